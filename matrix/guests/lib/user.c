/* SPDX-License-Identifier: MIT */
/* For architectures whose code here has no user mode. */
#include <arch.h>

void arch_run_user(void (*function)(void *argument), void *argument)
{
	function(argument);
}
