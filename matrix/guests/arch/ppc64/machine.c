/* SPDX-License-Identifier: MIT */
/*
 * ppc64: a pseries partition in either byte order, MMU off. The hypervisor's calls (LoPAR, chapter
 * 14) for the console and to sleep, RTAS (chapter 7) for CPUs, power-off and panic, the decrementer
 * as timer; everything else comes from the device tree.
 */
#include <arch.h>
#include <fdt-machine.h>
#include <guest.h>
#include <memory-map.h>

#include "pseries.h"

extern char image_start[], image_end[];

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

void arch_init(uintptr_t boot_information)
{
	install_vectors();
	machine_open(boot_information, 0, (uintptr_t)image_start, (uintptr_t)image_end);
	memory_map_remove(0, VECTORS_END);
	rtas_open();
	console_open();
	timer_open();
}
