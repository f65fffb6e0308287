/* SPDX-License-Identifier: MIT */
/*
 * What machines described by a device tree have in common. fdt-machine.c gives them
 * arch_command_line, arch_memory_size, arch_memory_free and arch_cpu_count; pci-window.c gives
 * those with PCI arch_pci_map, pci.c those with a generic host bridge what else pci.h has, and
 * pvpanic-pci.c arch_panic.
 */
#ifndef FDT_MACHINE_H
#define FDT_MACHINE_H

#include <stdbool.h>
#include <stdint.h>

struct fdt_node;

/* Read the tree: CPUs, with the one of this hardware id as number 0 and the others in the order of
 * the tree, and memory without what the tree, [image, image_end) and an initrd take. */
void machine_open(uintptr_t device_tree, uint64_t boot_cpu_id, uintptr_t image,
		  uintptr_t image_end);

/* What a tree does not tell where other means do: memory, and the command line. */
void machine_add_memory(uint64_t start, uint64_t size);
void machine_set_command_line(const char *text);

/* What firmware and interrupt controllers call this CPU: its "reg" in the tree. */
uint64_t machine_cpu_id(unsigned cpu);

/* The index-th range of memory as the tree describes it; false past the last one. */
bool machine_memory(unsigned index, uint64_t *start, uint64_t *size);

/* pci-window.c: from now on devices behind this bridge get addresses in its window of 32-bit PCI
 * memory, which the CPU sees there; false where it has none. */
bool machine_pci_window(const struct fdt_node *bridge, uint64_t *start, uint64_t *total);

/* For pci.c, by each architecture: make a device's registers accessible. False where
 * they are beyond the addresses that this CPU can reach. */
bool machine_map_device(uint64_t start, uint64_t size);

#endif
