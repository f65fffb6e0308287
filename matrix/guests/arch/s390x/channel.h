/* SPDX-License-Identifier: MIT */
/*
 * Channel I/O: z/Architecture Principles of Operation (SA22-7832), chapters 13 to 16. Interrupts
 * are not taken: whoever has started something asks for its end.
 */
#ifndef CHANNEL_H
#define CHANNEL_H

#include <stdbool.h>
#include <stdint.h>

#define CHANNEL_FIRST 0x00010000u /* the first subchannel; the others count up from it */

enum channel_presence { CHANNEL_DEVICE, CHANNEL_EMPTY, CHANNEL_NO_MORE };

/* What is behind a subchannel; the first that is beyond all says so. */
enum channel_presence channel_look(uint32_t subchannel);
/* Let it work; false where it does not. */
bool channel_enable(uint32_t subchannel);
/* Have the device do one command with at most so many bytes of data, and wait for its end; false
 * where it cannot. Data are below 2 GiB. */
bool channel_do(uint32_t subchannel, uint8_t command, void *data, uint16_t length);

#endif
