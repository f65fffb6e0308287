/* SPDX-License-Identifier: MIT */
/* panic: QEMU is told that the guest panicked (GUEST_PANICKED on its monitor). */
#include <arch.h>
#include <guest.h>

void test_panic(const char *arguments)
{
	const char *reason;

	(void)arguments;
	report_info("raising GUEST_PANICKED");
	reason = arch_panic();
	report_skip("%s", reason);
}
