/* SPDX-License-Identifier: MIT */
/*
 * The service-call logical processor: console, memory size, list of CPUs. It has no public
 * specification; numbers and layouts are those in QEMU's include/hw/s390x/sclp.h and
 * event-facility.h.
 */
#include <arch.h>
#include <guest.h>

#include "cpu.h"
#include "sclp.h"

#define SCLP_READ_SCP_INFORMATION 0x00020001u
#define SCLP_READ_CPU_INFORMATION 0x00010001u
#define SCLP_READ_EVENT_DATA	  0x00770005u
#define SCLP_WRITE_EVENT_DATA	  0x00760005u
#define SCLP_WRITE_EVENT_MASK	  0x00780005u

#define SCLP_NORMAL_READ 0x0010
#define SCLP_NORMAL	 0x0020

#define EVENT_ASCII	 0x1a
#define EVENT_ASCII_MASK (1u << (32 - EVENT_ASCII))

#define BLOCK_SIZE 4096

/* A service-call control block: must not cross a page, must lie below 2 GiB. */
union block {
	struct {
		uint16_t length;
		uint8_t function, control[3];
		uint16_t response;
		union {
			struct {
				uint16_t increments;
				uint8_t increment_mib;
				uint8_t reserved[89];
				uint32_t increment_mib_large; /* where the small one is 0 */
				uint64_t increments_large;    /* likewise */
			} memory;
			struct {
				uint16_t configured, offset, standby, offset_standby;
			} cpus;
			struct {
				uint16_t reserved, mask_length;
				uint32_t receive, send, can_receive, can_send;
			} mask;
			struct {
				uint16_t length;
				uint8_t type, flags;
				uint16_t reserved;
				char text[];
			} event;
		};
	};
	uint8_t bytes[BLOCK_SIZE];
} __attribute__((aligned(BLOCK_SIZE)));

_Static_assert(offsetof(union block, memory.increment_mib_large) == 100, "laid out by SCLP");

static union block console_block, other_block;

static void clear(union block *block)
{
	memset(block, 0, sizeof(*block));
	block->length = BLOCK_SIZE;
}

/* Have SCLP do a command; returns its response code. */
static uint16_t service_call(uint32_t command, union block *block)
{
	struct lowcore *core = lowcore();
	int condition;

	core->service_fired = false;
	do {
		__asm__ volatile(".insn rre, 0xb2200000, %1, %2\n"
				 "ipm %0\n"
				 "srl %0, 28"
				 : "=&d"(condition)
				 : "d"(command), "a"(block)
				 : "cc", "memory");
	} while (condition == 2); /* busy */
	/* The signal may be for console input that came meanwhile: a command that is done has a
	 * response. One that has it is not slept on, as a migration before QEMU 9.1 loses a signal
	 * that is pending; it is only let in, lest the next command finds SCLP busy. */
	while (condition == 0 && block->response == 0)
		wait_for(CR0_SERVICE_SIGNAL);
	if (!core->service_fired)
		let_in(CR0_SERVICE_SIGNAL);
	return condition == 0 ? block->response : 0;
}

void sclp_console_open(void)
{
	clear(&other_block);
	other_block.mask.mask_length = 4;
	other_block.mask.receive = EVENT_ASCII_MASK;
	other_block.mask.send = EVENT_ASCII_MASK;
	service_call(SCLP_WRITE_EVENT_MASK, &other_block);
}

void arch_console_write(const char *text, size_t length)
{
	const size_t most = BLOCK_SIZE - offsetof(union block, event.text);

	while (length > 0) {
		size_t now = length < most ? length : most;

		console_block.function = 0;
		console_block.response = 0;
		console_block.length = (uint16_t)(offsetof(union block, event.text) + now);
		console_block.event.length =
			(uint16_t)(console_block.length - offsetof(union block, event));
		console_block.event.type = EVENT_ASCII;
		console_block.event.flags = 0;
		console_block.event.reserved = 0;
		memcpy(console_block.event.text, text, now);
		service_call(SCLP_WRITE_EVENT_DATA, &console_block);
		text += now;
		length -= now;
	}
}

/* Input comes a whole line at a time; the block keeps what has not been asked for yet. */
int arch_console_read(void)
{
	static union block input;
	static uint16_t at, end;

	if (at == end) {
		clear(&input);
		if (service_call(SCLP_READ_EVENT_DATA, &input) != SCLP_NORMAL ||
		    input.event.type != EVENT_ASCII)
			return -1;
		at = 1; /* a zero byte says that text follows */
		end = (uint16_t)(input.event.length - 6);
		if (end <= at) {
			at = end;
			return -1;
		}
	}
	return (unsigned char)input.event.text[at++];
}

uint64_t sclp_memory_size(void)
{
	uint64_t count, mib;

	clear(&other_block);
	if (service_call(SCLP_READ_SCP_INFORMATION, &other_block) != SCLP_NORMAL_READ)
		return 0;
	count = other_block.memory.increments;
	mib = other_block.memory.increment_mib;
	if (count == 0)
		count = other_block.memory.increments_large;
	if (mib == 0)
		mib = other_block.memory.increment_mib_large;
	return count * mib << 20;
}

unsigned sclp_cpu_count(void)
{
	clear(&other_block);
	if (service_call(SCLP_READ_CPU_INFORMATION, &other_block) != SCLP_NORMAL_READ)
		return 0;
	return other_block.cpus.configured;
}

uint8_t sclp_cpu_address(unsigned index)
{
	return other_block.bytes[other_block.cpus.offset + 16 * index];
}
