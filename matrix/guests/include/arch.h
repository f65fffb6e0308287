/* SPDX-License-Identifier: MIT */
/*
 * What one architecture provides to the common code: this header is the whole interface.
 * Each architecture implements it in arch/NAME/ (start.S, C files, guest.lds, arch.mk).
 * Bits and units: sizes in bytes, times in ticks of arch_clock() unless a name says otherwise.
 */
#ifndef ARCH_H
#define ARCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MAX_CPUS   64
#define STACK_SIZE 8192

/* start.S sets up a stack and the boot CPU, clears .bss, and calls this with whatever the
 * firmware passed (device tree, multiboot information, …); it never returns. */
_Noreturn void guest_main(uintptr_t boot_information);

/* Called once, first: find console, command line, memory and CPUs. */
void arch_init(uintptr_t boot_information);

/* The line that -append gave, without an image name; "" where there is none. */
const char *arch_command_line(void);

/* Console: write returns when the bytes have been handed to the device; read returns -1 where no
 * character is waiting or the machine has no console input. */
void arch_console_write(const char *text, size_t length);
int arch_console_read(void);

/* End the guest with a status, in this architecture's way (kvm-unit-tests' way where it has one):
 * x86 isa-debug-exit, Arm testdev on the virtconsole, others "EXIT: STATUS=n" on the console with
 * n = (code << 1) | 1, then power off. */
_Noreturn void arch_exit(int code);

/* Interrupts off and asleep, for ever: no CPU time is used on the host. */
_Noreturn void arch_hang(void);

/* Raise GUEST_PANICKED. Returns only where it cannot, with the reason; the test then skips. */
const char *arch_panic(void);

/* Memory: size as the machine describes it, and the free part that tests may overwrite, in one or
 * several ranges; arch_memory_free returns false past the last one. Every range is mapped. */
uint64_t arch_memory_size(void);
bool arch_memory_free(unsigned index, uintptr_t *start, uintptr_t *end);

/* vCPUs: how many the machine has; start one (1 ≤ cpu < count), which calls entry(cpu) on a stack
 * of its own and may return (the vCPU then sleeps); this CPU's number. arch_cpu_start returns NULL
 * or the reason why it cannot. A vCPU is started once. */
unsigned arch_cpu_count(void);
const char *arch_cpu_start(unsigned cpu, void (*entry)(unsigned cpu));
unsigned arch_cpu_number(void);
static inline void cpu_relax(void);

/* Run a function that only computes: in user mode where the architecture's code here has one, else
 * it is just called (lib/user.c). Some hosts' KVM emulates a guest's privileged code, thousands of
 * times slower than user mode, which runs natively. Of this header, the function may call
 * cpu_relax, arch_clock and arch_registers_load and _store, and it cannot print. */
void arch_run_user(void (*function)(void *argument), void *argument);

/* What the machine calls the place of this memory: the address of its physical memory. */
uint64_t arch_physical_address(uintptr_t address);

/* Have memory be addressable that the machine did not have at its start; false where it cannot. For
 * the boot CPU, while no other runs. */
bool arch_map_memory(uint64_t start, uint64_t size);

/* This vCPU forgets which pages it has looked up before. Not in user mode. */
void arch_flush_tlb(void);

/* Floating-point and vector registers. Compiled code here uses neither, so that they keep what is
 * loaded for as long as the machine does. Open turns them on for this vCPU and returns NULL, or the
 * reason why there are none; load and store move all of them from and to 64-bit words, which are
 * aligned to 16 bytes, and return how many of these there are. Load and store may be called in
 * user mode. Where the two files share registers, each has half of them. */
enum register_file { FLOATING_POINT, VECTOR };
#define REGISTER_FILES 2
#define REGISTER_WORDS 64
const char *arch_registers_open(enum register_file file);
unsigned arch_registers_load(enum register_file file, const uint64_t *words);
unsigned arch_registers_store(enum register_file file, uint64_t *words);

/* Time: a counter that never goes back, its frequency in Hz, and a one-shot timer interrupt at an
 * absolute count. arch_timer_sleep programs the deadline, waits with the CPU asleep until the
 * interrupt has been taken, and returns the count read first thing in the interrupt handler; it
 * returns 0 where no interrupt came although the clock passed the deadline by a second. A deadline
 * that has passed already interrupts at once. */
uint64_t arch_clock(void);
uint64_t arch_clock_frequency(void);
uint64_t arch_timer_sleep(uint64_t deadline);
/* NULL where timers work, else the reason why this architecture has none. */
const char *arch_timer_problem(void);

/* Faults: provoke one (an access that is not mapped, or an illegal instruction where the MMU is
 * off), survive it, and return how many were taken (1); description in *what. */
unsigned arch_fault(const char **what);

/* A fault that nobody provoked: arch code calls this with what and where; it prints
 * "Unhandled exception: WHAT at ADDRESS" and exits with EXIT_CODE_ABORT. */
_Noreturn void guest_unhandled(const char *what, uint64_t address);

#include <arch-inline.h> /* arch/NAME/include: cpu_relax and barriers */

#endif
