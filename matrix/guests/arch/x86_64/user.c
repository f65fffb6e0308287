/* SPDX-License-Identifier: MIT */
/* User mode: the lower half of each vCPU's stack is the user's, the upper half the kernel's. */
#include <arch.h>
#include <guest.h>
#include <x86.h>

#define TASK_AVAILABLE (0x89ULL << 40) /* a 64-bit TSS, present */

struct task {
	uint32_t reserved;
	uint64_t stack; /* of interrupts from user mode */
	uint8_t rest[90];
	uint16_t permissions;
} __attribute__((packed));

extern uint64_t segment_task[2];
extern const char user_end[], user_return[];
void user_enter(void (*function)(void *argument), void *argument, void *stack, struct task *task);

static struct task tasks[MAX_CPUS];
static bool loaded[MAX_CPUS];
static struct spinlock segment_lock;

/* The processor keeps what it reads here, so that one descriptor serves all vCPUs in turn. */
static void load_task(struct task *task)
{
	const uint64_t base = (uintptr_t)task;

	task->permissions = sizeof(*task); /* past the end: no ports */
	spin_lock(&segment_lock);
	segment_task[0] = (sizeof(*task) - 1) | (base & 0xffffff) << 16 | TASK_AVAILABLE |
			  (base >> 24 & 0xff) << 56;
	segment_task[1] = base >> 32;
	__asm__ volatile("ltr %w0" : : "r"(SELECTOR_TASK) : "memory");
	spin_unlock(&segment_lock);
}

void arch_run_user(void (*function)(void *argument), void *argument)
{
	const unsigned cpu = arch_cpu_number();
	uint64_t *stack = (uint64_t *)(stacks + cpu * STACK_SIZE + STACK_SIZE / 2);

	if (!loaded[cpu])
		load_task(&tasks[cpu]);
	loaded[cpu] = true;
	*--stack = (uintptr_t)user_end; /* the function's return address, on an aligned stack */
	user_enter(function, argument, stack, &tasks[cpu]);
}

bool user_left(struct frame *frame)
{
	if (!(frame->cs & SELECTOR_PRIVILEGE) || frame->vector != VECTOR_UNDEFINED ||
	    frame->ip != (uintptr_t)user_end)
		return false;
	frame->ip = (uintptr_t)user_return;
	frame->cs = SELECTOR_CODE64;
	frame->sp = tasks[arch_cpu_number()].stack;
	frame->ss = SELECTOR_DATA;
	return true;
}
