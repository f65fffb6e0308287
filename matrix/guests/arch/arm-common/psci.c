/* SPDX-License-Identifier: MIT */
/* Power state of CPUs and machine, by Arm's PSCI (DEN 0022), versions 0.2 and up. */
#include <arch.h>
#include <arm-registers.h>
#include <fdt.h>
#include <guest.h>

#include "arm.h"

#ifdef __aarch64__
#define CPU_ON 0xc4000003u
#else
#define CPU_ON 0x84000003u
#endif
#define SYSTEM_OFF 0x84000008u

enum conduit { NO_CONDUIT, HYPERVISOR_CALL, SECURE_MONITOR_CALL };

static enum conduit conduit;

void psci_open(void)
{
	struct fdt_node node = { 0 };
	const char *method;

	if (!fdt_next_compatible(&node, "arm,psci-0.2"))
		return;
	method = fdt_text(&node, "method");
	if (!strcmp(method, "hvc"))
		conduit = HYPERVISOR_CALL;
	else if (!strcmp(method, "smc"))
		conduit = SECURE_MONITOR_CALL;
}

const char *psci_cpu_start(uint64_t affinity, uintptr_t entry, unsigned long context)
{
	if (conduit == NO_CONDUIT)
		return "the device tree has no PSCI";
	switch ((int)firmware_call(conduit == SECURE_MONITOR_CALL, CPU_ON, (unsigned long)affinity,
				   entry, context)) {
	case 0:
		return NULL;
	case -2:
		return "PSCI CPU_ON: invalid parameters";
	case -3:
		return "PSCI CPU_ON: denied";
	case -4:
		return "PSCI CPU_ON: already on";
	case -5:
		return "PSCI CPU_ON: already being started";
	case -6:
		return "PSCI CPU_ON: internal failure";
	case -9:
		return "PSCI CPU_ON: invalid address";
	default:
		return "PSCI CPU_ON: not supported";
	}
}

void psci_power_off(void)
{
	if (conduit != NO_CONDUIT)
		firmware_call(conduit == SECURE_MONITOR_CALL, SYSTEM_OFF, 0, 0, 0);
}
