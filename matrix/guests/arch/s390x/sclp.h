/* SPDX-License-Identifier: MIT */
/* What the service-call logical processor tells. sclp.c is the console, too. */
#ifndef SCLP_H
#define SCLP_H

#include <stdint.h>

/* Before anything is written to or read from the console. */
void sclp_console_open(void);

/* In bytes; 0 where SCLP does not say. */
uint64_t sclp_memory_size(void);

/* Ask for the list of CPUs and return how many there are, 0 where SCLP does not say; then the
 * index-th one's address, as SIGP wants it. */
unsigned sclp_cpu_count(void);
uint8_t sclp_cpu_address(unsigned index);

#endif
