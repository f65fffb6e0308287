/* SPDX-License-Identifier: MIT */
/* panic: QEMU is told that the guest panicked (GUEST_PANICKED on its monitor). */
#include <arch.h>
#include <guest.h>

int test_panic(int argc, char **argv)
{
	const char *reason;

	report_info("raising GUEST_PANICKED");
	reason = arch_panic();
	report_skip("%s", reason);
	return report_summary();
}
