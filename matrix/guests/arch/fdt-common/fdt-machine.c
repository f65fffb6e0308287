/* SPDX-License-Identifier: MIT */
/* Command line, memory and CPUs of a machine that a device tree describes. */
#include <arch.h>
#include <fdt-machine.h>
#include <fdt.h>
#include <memory-map.h>

static const char *arguments = "";
static uint64_t memory_size;
static uint64_t cpu_ids[MAX_CPUS];
static unsigned cpu_count = 1;

bool machine_memory(unsigned index, uint64_t *start, uint64_t *size)
{
	struct fdt_node node = { 0 };

	while (fdt_next_of_type(&node, "memory")) {
		/* status: memory of the Arm secure world, say, is "disabled" for ours. */
		for (unsigned i = 0; fdt_enabled(&node) && fdt_reg(&node, i, start, size); i++)
			if (index-- == 0)
				return true;
	}
	return false;
}

/* The index-th CPU of a node: its "reg", or on POWER, where a node is a core, one per thread. */
static bool cpu_id(const struct fdt_node *node, unsigned index, uint64_t *id)
{
	static const char threads[] = "ibm,ppc-interrupt-server#s";
	uint64_t no_size;
	uint32_t thread;

	if (fdt_property(node, threads, NULL) == NULL)
		return fdt_reg(node, index, id, &no_size);
	if (!fdt_cell(node, threads, index, &thread))
		return false;
	*id = thread;
	return true;
}

static void find_cpus(uint64_t boot_cpu_id)
{
	struct fdt_node node = { 0 };
	uint64_t id;

	cpu_ids[0] = boot_cpu_id;
	while (fdt_next_of_type(&node, "cpu"))
		for (unsigned i = 0; fdt_enabled(&node) && cpu_id(&node, i, &id); i++)
			if (id != boot_cpu_id && cpu_count < MAX_CPUS)
				cpu_ids[cpu_count++] = id;
}

/* An address property may have one cell or two. */
static uint64_t address(const struct fdt_node *node, const char *name)
{
	size_t length;
	const void *cells = fdt_property(node, name, &length);

	return cells == NULL ? 0 : fdt_number(cells, (unsigned)length / 4);
}

static void find_memory(void)
{
	struct fdt_node node;
	uint64_t start, size;

	for (unsigned i = 0; machine_memory(i, &start, &size); i++) {
		memory_map_add(start, start + size);
		memory_size += size;
	}
	for (unsigned i = 0; fdt_reserved(i, &start, &size); i++)
		memory_map_remove(start, start + size);
	/* Firmware that stays resident, such as OpenSBI, is a child of /reserved-memory. */
	if (fdt_find(&node, "/reserved-memory")) {
		unsigned depth = node.depth;

		while (fdt_next(&node) && node.depth > depth)
			for (unsigned i = 0; fdt_reg(&node, i, &start, &size); i++)
				memory_map_remove(start, start + size);
	}
	if (fdt_find(&node, "/chosen"))
		memory_map_remove(address(&node, "linux,initrd-start"),
				  address(&node, "linux,initrd-end"));
}

void machine_open(uintptr_t device_tree, uint64_t boot_cpu_id, uintptr_t image, uintptr_t image_end)
{
	struct fdt_node node;

	cpu_ids[0] = boot_cpu_id;
	if (!fdt_open((const void *)device_tree))
		return;
	if (fdt_find(&node, "/chosen"))
		arguments = fdt_text(&node, "bootargs");
	find_cpus(boot_cpu_id);
	find_memory();
	memory_map_remove(device_tree, device_tree + fdt_size());
	memory_map_remove(image, image_end);
}

void machine_add_memory(uint64_t start, uint64_t size)
{
	memory_map_add(start, start + size);
	memory_size += size;
}

void machine_set_command_line(const char *text)
{
	arguments = text;
}

uint64_t machine_cpu_id(unsigned cpu)
{
	return cpu_ids[cpu];
}

const char *arch_command_line(void)
{
	return arguments;
}

uint64_t arch_memory_size(void)
{
	return memory_size;
}

bool arch_memory_free(unsigned index, uintptr_t *start, uintptr_t *end)
{
	return memory_map_range(index, start, end);
}

unsigned arch_cpu_count(void)
{
	return cpu_count;
}
