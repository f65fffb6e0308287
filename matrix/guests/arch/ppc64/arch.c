/* SPDX-License-Identifier: MIT */
/*
 * ppc64: a pseries partition, little-endian, MMU off. The hypervisor's calls (LoPAR, chapter 14)
 * for the console and to sleep, RTAS (chapter 7) for CPUs, power-off and panic, the decrementer as
 * timer; everything else comes from the device tree.
 */
#include <arch.h>
#include <fdt-machine.h>
#include <fdt.h>
#include <guest.h>
#include <memory-map.h>

#include "frame.h"

#define H_SUCCESS			  0
#define H_BUSY				  1
#define H_GET_TERM_CHAR			  0x54
#define H_PUT_TERM_CHAR			  0x58
#define H_CEDE				  0xe0
#define H_SET_MODE			  0x31c
#define H_SET_MODE_RESOURCE_LITTLE_ENDIAN 4
/* QEMU's own: what the RTAS blob, which nobody loads here, would call (hw/ppc/spapr_hcall.c). */
#define H_RTAS 0xf000

#define MSR_EE 0x8000ull

#define VECTOR_FIRST	   0x100
#define VECTOR_PROGRAM	   0x700
#define VECTOR_DECREMENTER 0x900
#define VECTOR_CLOSE	   0xf00 /* from here on they are 0x20 apart instead of 0x80 */
#define VECTOR_LAST	   0xf80
#define VECTORS_END	   0x4000

#define DECREMENTER_MAX 0x7fffffffu /* of a 32-bit one */

struct frame {
	uint64_t header[4];
	uint64_t registers[11];
	uint64_t lr, ctr, xer, cr, srr0, srr1;
};

_Static_assert(offsetof(struct frame, registers) == FRAME_GPR, "start.S");
_Static_assert(offsetof(struct frame, srr1) == FRAME_SRR1, "start.S");
_Static_assert(sizeof(struct frame) <= FRAME_SIZE, "start.S");

/* What the interrupt handler tells the CPU it interrupted. */
struct cpu {
	uint64_t timer_clock; /* first thing in the handler; 0: no interrupt yet */
	uint64_t fault_at;    /* 0: a fault is not expected */
	unsigned faults;
	bool timer_proven;
};

extern char image_start[], image_end[];
extern char start_secondary_cpu[];
extern const uint32_t vector_template[], vector_template_number[], vector_template_end[];

uint64_t secondary_stacks[MAX_CPUS]; /* initial stack pointers, for start.S */

_Noreturn void secondary_main(uint64_t number);
void interrupt(uint64_t clock, uint64_t vector, struct frame *frame);

static uint8_t stacks[MAX_CPUS][STACK_SIZE] __attribute__((aligned(16)));
static void (*entries[MAX_CPUS])(unsigned cpu);
static struct cpu cpus[MAX_CPUS];
static struct fdt_node rtas;
static uint64_t console; /* unit address of the virtual terminal */
static uint64_t clock_frequency;

static uint64_t machine_state(void)
{
	uint64_t state;

	__asm__ volatile("mfmsr %0" : "=r"(state));
	return state;
}

static void set_external_interrupts(bool on)
{
	uint64_t state = on ? machine_state() | MSR_EE : machine_state() & ~MSR_EE;

	__asm__ volatile("mtmsrd %0, 1" : : "r"(state) : "memory");
}

static struct cpu *this_cpu(void)
{
	return &cpus[arch_cpu_number()];
}

/*
 * Calls to the hypervisor
 */

/* Four arguments in, three results out; returns the status. */
static int64_t hypervisor_call(uint64_t number, uint64_t values[4])
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

/* A service by its name in the device tree; returns its status, or -1 (hardware error) where this
 * machine does not have it. */
static int32_t rtas_call(const char *service, unsigned arguments, const uint32_t *argument)
{
	uint32_t block[3 + 3 + 1] = { 0 }; /* token, counts, arguments, status: all big-endian */
	uint32_t token;

	if (!fdt_cell(&rtas, service, 0, &token))
		return -1;
	block[0] = __builtin_bswap32(token);
	block[1] = __builtin_bswap32(arguments);
	block[2] = __builtin_bswap32(1);
	for (unsigned i = 0; i < arguments; i++)
		block[3 + i] = __builtin_bswap32(argument[i]);
	hypervisor_call(H_RTAS, (uint64_t[4]){ (uintptr_t)block });
	return (int32_t)__builtin_bswap32(block[3 + arguments]);
}

/*
 * Interrupts
 */

void interrupt(uint64_t clock, uint64_t vector, struct frame *frame)
{
	struct cpu *cpu = this_cpu();

	if (vector == VECTOR_DECREMENTER) {
		__asm__ volatile("mtdec %0" : : "r"((uint64_t)DECREMENTER_MAX));
		cpu->timer_clock = clock;
		frame->srr1 &= ~MSR_EE; /* one is enough */
	} else if (vector == VECTOR_PROGRAM && frame->srr0 == cpu->fault_at) {
		cpu->faults++;
		frame->srr0 += 4;
	} else {
		char what[32];

		snprintf(what, sizeof(what), "interrupt 0x%x", (unsigned)vector);
		guest_unhandled(what, frame->srr0);
	}
}

static void install_vectors(void)
{
	const size_t number = (size_t)(vector_template_number - vector_template);
	const size_t length = (size_t)(vector_template_end - vector_template);

	for (unsigned vector = VECTOR_FIRST; vector <= VECTOR_LAST;
	     vector += vector < VECTOR_CLOSE ? 0x80 : 0x20) {
		uint32_t *code = (uint32_t *)(uintptr_t)vector;

		memcpy(code, vector_template, length * sizeof(*code));
		code[number] |= vector; /* li takes 16 bits */
		__asm__ volatile("dcbst 0, %0\n"
				 "sync\n"
				 "icbi 0, %0\n"
				 "isync"
				 :
				 : "r"(code)
				 : "memory");
	}
	hypervisor_call(H_SET_MODE, (uint64_t[4]){ 1, H_SET_MODE_RESOURCE_LITTLE_ENDIAN });
}

/*
 * Console
 */

void arch_console_write(const char *text, size_t length)
{
	while (length > 0) {
		uint64_t call[4] = { console, length < 16 ? length : 16 };
		size_t now = call[1];
		int64_t status;

		do {
			uint64_t again[4] = { call[0], call[1] };

			memcpy(&again[2], text, now);
			again[2] = __builtin_bswap64(again[2]);
			again[3] = __builtin_bswap64(again[3]);
			status = hypervisor_call(H_PUT_TERM_CHAR, again);
		} while (status == H_BUSY);
		text += now;
		length -= now;
	}
}

int arch_console_read(void)
{
	static unsigned char input[16];
	static unsigned at, end;

	if (at == end) {
		uint64_t call[4] = { console };

		if (hypervisor_call(H_GET_TERM_CHAR, call) != H_SUCCESS || call[0] == 0 ||
		    call[0] > 16)
			return -1;
		at = 0;
		end = (unsigned)call[0];
		call[1] = __builtin_bswap64(call[1]);
		call[2] = __builtin_bswap64(call[2]);
		memcpy(input, &call[1], sizeof(input));
	}
	return input[at++];
}

/*
 * Ends
 */

_Noreturn void arch_exit(int code)
{
	printf("EXIT: STATUS=%d\n", code << 1 | 1);
	for (;;)
		rtas_call("power-off", 2, (uint32_t[2]){ 0, 0 });
}

/* H_CEDE would turn interrupts on, so the CPU stops as one does that is unplugged. */
_Noreturn void arch_hang(void)
{
	set_external_interrupts(false);
	for (;;)
		rtas_call("stop-self", 0, NULL);
}

const char *arch_panic(void)
{
	static const char message[512] = "panic, as the test wants it"; /* QEMU reads that many */

	if (rtas_call("ibm,os-term", 1, (uint32_t[1]){ (uint32_t)(uintptr_t)message }) != 0)
		return "RTAS has no ibm,os-term";
	/* QEMU may be told to let the guest run on. */
	arch_hang();
}

/*
 * CPUs
 */

_Noreturn void secondary_main(uint64_t number)
{
	entries[number]((unsigned)number);
	arch_hang();
}

unsigned arch_cpu_number(void)
{
	uint64_t number;

	__asm__ volatile("mfsprg %0, 0" : "=r"(number));
	return (unsigned)number;
}

const char *arch_cpu_start(unsigned cpu, void (*entry)(unsigned cpu))
{
	const uint32_t argument[3] = { (uint32_t)machine_cpu_id(cpu),
				       (uint32_t)(uintptr_t)start_secondary_cpu, cpu };

	entries[cpu] = entry;
	secondary_stacks[cpu] = (uintptr_t)stacks[cpu] + STACK_SIZE;
	__asm__ volatile("sync" : : : "memory");
	return rtas_call("start-cpu", 3, argument) == 0 ? NULL : "RTAS start-cpu refused";
}

/*
 * Time
 */

uint64_t arch_clock(void)
{
	uint64_t clock;

	__asm__ volatile("mftb %0" : "=r"(clock) : : "memory");
	return clock;
}

uint64_t arch_clock_frequency(void)
{
	return clock_frequency;
}

const char *arch_timer_problem(void)
{
	return NULL;
}

/* Asleep, or the first time on each CPU awake: an interrupt that never comes ends that one sleep
 * only, and proves that it is safe to sleep. */
static void wait_for_timer(struct cpu *cpu, uint64_t limit)
{
	const volatile uint64_t *fired = &cpu->timer_clock;

	if (cpu->timer_proven) {
		while (*fired == 0)
			hypervisor_call(H_CEDE, (uint64_t[4]){ 0 }); /* turns interrupts on */
	} else {
		set_external_interrupts(true);
		while (*fired == 0 && arch_clock() < limit)
			cpu_relax();
		set_external_interrupts(false);
		cpu->timer_proven = *fired != 0;
	}
}

uint64_t arch_timer_sleep(uint64_t deadline)
{
	struct cpu *cpu = this_cpu();
	uint64_t ticks;

	do {
		uint64_t now = arch_clock();

		ticks = deadline > now ? deadline - now : 0;
		cpu->timer_clock = 0;
		__asm__ volatile("mtdec %0"
				 :
				 : "r"(ticks < DECREMENTER_MAX ? ticks : DECREMENTER_MAX)
				 : "memory");
		wait_for_timer(cpu, now + ticks + clock_frequency);
	} while (ticks > DECREMENTER_MAX && cpu->timer_clock != 0);
	return cpu->timer_clock;
}

/*
 * Faults
 */

unsigned arch_fault(const char **what)
{
	struct cpu *cpu = this_cpu();

	cpu->faults = 0;
	__asm__ volatile("lis 9, 0f@ha\n"
			 "addi 9, 9, 0f@l\n"
			 "std 9, %0\n"
			 "0: .long 0" /* for ever illegal */
			 : "=m"(cpu->fault_at)
			 :
			 : "r9", "memory");
	cpu->fault_at = 0;
	*what = "illegal instruction (program interrupt; the MMU is off)";
	return cpu->faults;
}

/* The segment lookaside buffer goes, and with it what was derived from it; with the MMU off it
 * holds nothing that is needed. */
void arch_flush_tlb(void)
{
	__asm__ volatile("isync\n"
			 "slbia\n"
			 "isync"
			 :
			 :
			 : "memory");
}

static void find_console(void)
{
	struct fdt_node node = { 0 };
	uint64_t size;

	if (fdt_next_compatible(&node, "hvterm1"))
		fdt_reg(&node, 0, &console, &size);
}

static void find_clock(void)
{
	struct fdt_node node = { 0 };
	uint32_t frequency;

	if (fdt_next_of_type(&node, "cpu") && fdt_cell(&node, "timebase-frequency", 0, &frequency))
		clock_frequency = frequency;
}

void arch_init(uintptr_t boot_information)
{
	install_vectors();
	machine_open(boot_information, 0, (uintptr_t)image_start, (uintptr_t)image_end);
	memory_map_remove(0, VECTORS_END);
	fdt_find(&rtas, "/rtas");
	find_console();
	find_clock();
}
