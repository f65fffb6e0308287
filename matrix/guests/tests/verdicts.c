/* SPDX-License-Identifier: MIT */
/* fail, hang, spin, deadloop: guests that do not pass, to prove that a runner says so. */
#include <arch.h>
#include <guest.h>

int test_fail(int argc, char **argv)
{
	report(true, "this one passes");
	report(false, "this one fails, as it should");
	return report_summary();
}

int test_hang(int argc, char **argv)
{
	report_info("going to sleep for ever, interrupts off");
	arch_hang();
}

/* A busy guest: its registers change, as those of a long computation do. */
int test_spin(int argc, char **argv)
{
	uintptr_t counter = 0;

	report_info("counting for ever");
	for (;;) {
		counter++;
		__asm__ volatile("" : "+r"(counter));
	}
}

/* A dead guest: no register changes any more. */
int test_deadloop(int argc, char **argv)
{
	report_info("jumping to the same place for ever");
	for (;;)
		;
}
