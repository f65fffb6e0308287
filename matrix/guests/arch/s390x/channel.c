/* SPDX-License-Identifier: MIT */
/* Channel programs of one command, and the subchannels that they go through. */
#include <arch.h>
#include <guest.h>

#include "channel.h"

/* A subchannel-information block: its path-management-control word first. */
struct information {
	uint32_t parameter, flags, rest[11];
} __attribute__((aligned(4)));
#define FLAG_ENABLED 0x00800000u
#define FLAG_VALID   0x00010000u /* there is a device */

/* An operation-request block. */
struct request {
	uint32_t parameter, flags, program, rest[5];
} __attribute__((aligned(4)));
#define FLAG_FORMAT_1  0x00800000u /* of the commands */
#define FLAG_ALL_PATHS 0x0000ff00u

struct command {
	uint8_t code, flags;
	uint16_t count;
	uint32_t data;
} __attribute__((aligned(8)));
#define FLAG_ANY_LENGTH 0x20 /* the device may want less */

/* An interruption-response block: its subchannel-status word first. */
struct response {
	uint32_t control, at;
	uint8_t device_status, subchannel_status;
	uint16_t left;
	uint32_t rest[21];
} __attribute__((aligned(4)));
#define CONTROL_STARTED 0x00004000u /* the start function */
#define DEVICE_DONE	0x0c	    /* channel end and device end, and nothing else */

#define PATIENCE (20 * NSEC_PER_SEC)

enum condition { DONE, PENDING, BUSY, NOT_THERE };

#define ON_SUBCHANNEL(instruction, subchannel, block)                 \
	({                                                            \
		register uint64_t number __asm__("1") = (subchannel); \
		int condition;                                        \
		__asm__ volatile(instruction " %1\n"                  \
					     "ipm %0\n"               \
					     "srl %0, 28"             \
				 : "=d"(condition), "+Q"(block)       \
				 : "d"(number)                        \
				 : "cc", "memory");                   \
		condition;                                            \
	})

enum channel_presence channel_look(uint32_t subchannel)
{
	struct information information;

	if (ON_SUBCHANNEL("stsch", subchannel, information) != DONE)
		return CHANNEL_NO_MORE;
	return information.flags & FLAG_VALID ? CHANNEL_DEVICE : CHANNEL_EMPTY;
}

bool channel_enable(uint32_t subchannel)
{
	struct information information;

	if (ON_SUBCHANNEL("stsch", subchannel, information) != DONE)
		return false;
	information.flags |= FLAG_ENABLED;
	return ON_SUBCHANNEL("msch", subchannel, information) == DONE;
}

/* Take its status, which clears it; false where there is none. */
static bool take_status(uint32_t subchannel, struct response *response)
{
	return ON_SUBCHANNEL("tsch", subchannel, *response) == DONE;
}

/* Start it; false where nothing is there. A subchannel that has a status starts nothing before that
 * has been taken: its device interrupts for a queue. */
static bool start(uint32_t subchannel, struct request *request)
{
	struct response earlier;
	int condition;

	while ((condition = ON_SUBCHANNEL("ssch", subchannel, *request)) != DONE) {
		if (condition == NOT_THERE)
			return false;
		take_status(subchannel, &earlier);
	}
	return true;
}

/* Start it and wait for its status. Where that is not of what was started, it was not, whatever the
 * condition code said: a migration of QEMU's TCG may lose that (see README.md). */
static bool run(uint32_t subchannel, struct request *request, struct response *response)
{
	do {
		if (!start(subchannel, request) ||
		    !wait_until(take_status(subchannel, response), PATIENCE))
			return false;
	} while (!(response->control & CONTROL_STARTED));
	return true;
}

bool channel_do(uint32_t subchannel, uint8_t command, void *data, uint16_t length)
{
	struct command program = { .code = command,
				   .flags = FLAG_ANY_LENGTH,
				   .count = length,
				   .data = (uint32_t)(uintptr_t)data };
	struct request request = { .flags = FLAG_FORMAT_1 | FLAG_ALL_PATHS,
				   .program = (uint32_t)(uintptr_t)&program };
	struct response response;

	return run(subchannel, &request, &response) && response.device_status == DEVICE_DONE &&
	       !response.subchannel_status;
}
