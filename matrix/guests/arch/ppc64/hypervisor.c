/* SPDX-License-Identifier: MIT */
/* Calls to the hypervisor, and through it to RTAS. */
#include <fdt.h>
#include <stddef.h>

#include "pseries.h"

static struct fdt_node rtas;

int64_t hypervisor_call(uint64_t number, uint64_t values[4])
{
	register uint64_t r3 __asm__("3") = number;
	register uint64_t r4 __asm__("4") = values[0];
	register uint64_t r5 __asm__("5") = values[1];
	register uint64_t r6 __asm__("6") = values[2];
	register uint64_t r7 __asm__("7") = values[3];

	__asm__ volatile("sc 1"
			 : "+r"(r3), "+r"(r4), "+r"(r5), "+r"(r6), "+r"(r7)
			 :
			 : "r0", "r8", "r9", "r10", "r11", "r12", "lr", "ctr", "xer", "cr0", "cr1",
			   "cr5", "cr6", "cr7", "memory");
	values[0] = r4;
	values[1] = r5;
	values[2] = r6;
	return (int64_t)r3;
}

#define MOST_ARGUMENTS 5

static int32_t call(const char *service, unsigned arguments, const uint32_t *argument,
		    unsigned results, uint32_t *result)
{
	/* Token, counts, arguments, status and a result: all big-endian. */
	uint32_t block[3 + MOST_ARGUMENTS + 2] = { 0 };
	uint32_t token;

	if (!fdt_cell(&rtas, service, 0, &token))
		return -1;
	block[0] = big_endian32(token);
	block[1] = big_endian32(arguments);
	block[2] = big_endian32(1 + results);
	for (unsigned i = 0; i < arguments; i++)
		block[3 + i] = big_endian32(argument[i]);
	hypervisor_call(H_RTAS, (uint64_t[4]){ (uintptr_t)block });
	if (results)
		*result = big_endian32(block[3 + arguments + 1]);
	return (int32_t)big_endian32(block[3 + arguments]);
}

int32_t rtas_call(const char *service, unsigned arguments, const uint32_t *argument)
{
	return call(service, arguments, argument, 0, NULL);
}

int32_t rtas_ask(const char *service, unsigned arguments, const uint32_t *argument,
		 uint32_t *result)
{
	return call(service, arguments, argument, 1, result);
}

void rtas_open(void)
{
	fdt_find(&rtas, "/rtas");
}
