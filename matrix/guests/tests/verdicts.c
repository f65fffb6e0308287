/* SPDX-License-Identifier: MIT */
/* fail, hang, spin, deadloop: guests that do not pass, to prove that a runner says so. */
#include <arch.h>
#include <guest.h>

void test_fail(const char *arguments)
{
	(void)arguments;
	report(true, "this one passes");
	report(false, "this one fails, as it should");
}

void test_hang(const char *arguments)
{
	(void)arguments;
	report_info("going to sleep for ever, interrupts off");
	arch_hang();
}

/* A busy guest: its registers change, as those of a long computation do. */
void test_spin(const char *arguments)
{
	uintptr_t counter = 0;

	(void)arguments;
	report_info("counting for ever");
	for (;;) {
		counter++;
		__asm__ volatile("" : "+r"(counter));
	}
}

/* A dead guest: no register changes any more. */
void test_deadloop(const char *arguments)
{
	(void)arguments;
	report_info("jumping to the same place for ever");
	for (;;)
		;
}
