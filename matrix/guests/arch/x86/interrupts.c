/* SPDX-License-Identifier: MIT */
/* The interrupt descriptor table, what is done on each interrupt, and provoked faults. */
#include <arch.h>
#include <guest.h>
#include <x86.h>

#define GATE_INTERRUPT 0x8e /* present, for the kernel, interrupts off */

#ifdef __x86_64__
#define SELECTOR_CODE SELECTOR_CODE64
#define STORE_ADDRESS "movq"
/* Not mapped: in an entry of the top level's table that is absent. */
#define UNMAPPED ((void *)0x700000000000)
#else
#define SELECTOR_CODE SELECTOR_CODE32
#define STORE_ADDRESS "movl"
/* Not mapped by start.S; QEMU's machines have neither memory nor devices there. */
#define UNMAPPED      ((void *)0xf0000000)
#endif

struct gate {
	uint16_t offset_low, selector;
	uint8_t stack, type;
	uint16_t offset_middle;
#ifdef __x86_64__
	uint32_t offset_high, reserved;
#endif
};

static struct gate gates[VECTORS];

static const char *const exception_names[] = {
	"divide error",
	"debug exception",
	"non-maskable interrupt",
	"breakpoint",
	"overflow",
	"bound range exceeded",
	"invalid opcode",
	"device not available",
	"double fault",
	"coprocessor segment overrun",
	"invalid TSS",
	"segment not present",
	"stack fault",
	"general protection fault",
	"page fault",
	"reserved exception 15",
	"x87 floating-point error",
	"alignment check",
	"machine check",
	"SIMD floating-point exception",
	"virtualization exception",
	"control protection exception",
};

/* A fault that arch_fault has provoked: which, and where to go on. */
static volatile uintptr_t resume_at;
static volatile unsigned expected_vector, faults_taken;

void interrupts_load(void)
{
	const struct {
		uint16_t limit;
		uintptr_t base;
	} __attribute__((packed)) pointer = { sizeof(gates) - 1, (uintptr_t)gates };

	__asm__ volatile("lidt %0" : : "m"(pointer));
}

void interrupts_init(void)
{
	for (unsigned vector = 0; vector < VECTORS; vector++) {
		const uintptr_t stub = (uintptr_t)vector_stubs + vector * VECTOR_STUB_BYTES;

		gates[vector] = (struct gate){
			.offset_low = (uint16_t)stub,
			.selector = SELECTOR_CODE,
			.type = GATE_INTERRUPT,
			.offset_middle = (uint16_t)(stub >> 16),
		};
	}
	interrupts_load();
}

static uintptr_t fault_address(void)
{
	uintptr_t address;

	__asm__ volatile("mov %%cr2, %0" : "=r"(address));
	return address;
}

static _Noreturn void unhandled(const struct frame *frame)
{
	const unsigned vector = (unsigned)frame->vector;
	char what[128];
	size_t used;

	used = snprintf(what, sizeof(what), "%s (vector %u, error code 0x%lx",
			vector < ARRAY_SIZE(exception_names) ? exception_names[vector]
							     : "interrupt",
			vector, (unsigned long)frame->error);
	if (vector == VECTOR_PAGE_FAULT)
		used += snprintf(what + used, sizeof(what) - used, ", address 0x%lx",
				 (unsigned long)fault_address());
	snprintf(what + used, sizeof(what) - used, ", vCPU %u)", arch_cpu_number());
	guest_unhandled(what, frame->ip);
}

void interrupt_taken(struct frame *frame)
{
	if (frame->vector == VECTOR_TIMER) {
		clock_timer_interrupt();
	} else if (frame->vector == VECTOR_PIC) {
		clock_backup_interrupt();
	} else if (frame->vector > VECTOR_PIC && frame->vector < VECTOR_PIC + PIC_LINES &&
		   pci_interrupt_taken((unsigned)frame->vector - VECTOR_PIC)) {
		return;
	} else if (frame->vector == VECTOR_MESSAGE) {
		pci_message_taken();
	} else if (frame->vector == VECTOR_SPURIOUS) {
		return; /* takes no end of interrupt */
#ifdef __x86_64__
	} else if (user_left(frame)) {
		return;
#endif
	} else if (resume_at && frame->vector == expected_vector) {
		faults_taken++;
		frame->ip = resume_at;
		resume_at = 0;
	} else {
		unhandled(frame);
	}
}

/* Runs the instruction, which faults; execution goes on behind it. */
#define PROVOKE(instruction, ...)                                               \
	__asm__ volatile(STORE_ADDRESS " $1f, %[resume]\n\t" instruction "\n1:" \
			 : [resume] "=m"(resume_at)                             \
			 : __VA_ARGS__                                          \
			 : "eax", "edx", "memory", "cc")

static void read_unmapped(void)
{
	PROVOKE("movb (%[at]), %%al", [at] "r"(UNMAPPED));
}

static void write_unmapped(void)
{
	PROVOKE("movb $1, (%[at])", [at] "r"(UNMAPPED));
}

static void run_undefined(void)
{
	PROVOKE("ud2", "i"(0));
}

static void divide_by_zero(void)
{
	PROVOKE("xorl %%eax, %%eax; xorl %%edx, %%edx; divl %[zero]", [zero] "r"(0));
}

static void load_invalid_segment(void)
{
	PROVOKE("movl %[selector], %%es", [selector] "r"(SELECTOR_INVALID));
}

/* A different fault each time. */
unsigned arch_fault(const char **what)
{
	static const struct {
		const char *what;
		unsigned vector;
		void (*provoke)(void);
	} faults[] = {
		{ "page fault (read)", VECTOR_PAGE_FAULT, read_unmapped },
		{ "page fault (write)", VECTOR_PAGE_FAULT, write_unmapped },
		{ "invalid opcode", VECTOR_UNDEFINED, run_undefined },
		{ "divide error", 0, divide_by_zero },
		{ "general protection fault", 13, load_invalid_segment },
	};
	static unsigned next;
	const unsigned index = next++ % ARRAY_SIZE(faults);

	*what = faults[index].what;
	expected_vector = faults[index].vector;
	faults_taken = 0;
	faults[index].provoke();
	if (faults[index].vector == VECTOR_PAGE_FAULT && fault_address() != (uintptr_t)UNMAPPED)
		return 0;
	return faults_taken;
}
