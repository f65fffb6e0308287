/* SPDX-License-Identifier: MIT */
/* The VMM's machine on riscv64: QEMU's "virt" as far as the guests use it; KVM is the SBI. */
#include "vmm.h"

#define UART	     0x10000000ull
#define UART_SIZE    0x100ull
#define TREE_ROOM    0x10000ull
#define IMAGE_OFFSET 0x200000ull /* where QEMU loads it, behind its firmware */
#define LEGACY_PUT   1		 /* SBI's legacy console */

#define CORE_REGISTER(field) \
	(KVM_REG_RISCV | KVM_REG_SIZE_U64 | KVM_REG_RISCV_CORE | KVM_REG_RISCV_CORE_REG(field))

const uint64_t arch_memory_base = 0x80000000;
const unsigned long arch_vm_type;
const bool arch_starts_vcpus; /* KVM serves the SBI's hart state management */

void arch_create(struct vm *vm)
{
	(void)vm;
}

void arch_create_vcpu(struct vcpu *vcpu)
{
	(void)vcpu;
}

static void describe_cpus(struct tree *tree, struct vm *vm)
{
	const uint64_t id = KVM_REG_RISCV | KVM_REG_SIZE_U64 | KVM_REG_RISCV_TIMER |
			    KVM_REG_RISCV_TIMER_REG(frequency);

	tree_open(tree, "cpus");
	tree_cell(tree, "#address-cells", 1);
	tree_cell(tree, "#size-cells", 0);
	tree_cell(tree, "timebase-frequency",
		  (uint32_t)get_register(&vm->vcpus[0], id, "the timer's frequency"));
	for (unsigned i = 0; i < vm->vcpu_count; i++) {
		tree_open_at(tree, "cpu", i);
		tree_text(tree, "device_type", "cpu");
		tree_text(tree, "compatible", "riscv");
		tree_cell(tree, "reg", i);
		tree_close(tree);
	}
	tree_close(tree);
}

static void describe(struct vm *vm)
{
	static struct tree tree;

	tree_open(&tree, "");
	tree_cell(&tree, "#address-cells", 2);
	tree_cell(&tree, "#size-cells", 2);
	tree_open(&tree, "chosen");
	tree_text(&tree, "bootargs", vm->append);
	tree_text(&tree, "stdout-path", "/serial@10000000");
	tree_close(&tree);
	tree_open_at(&tree, "memory", arch_memory_base);
	tree_text(&tree, "device_type", "memory");
	tree_reg(&tree, arch_memory_base, vm->memory_size);
	tree_close(&tree);
	describe_cpus(&tree, vm);
	tree_open_at(&tree, "serial", UART);
	tree_text(&tree, "compatible", "ns16550a");
	tree_reg(&tree, UART, UART_SIZE);
	tree_close(&tree);
	tree_close(&tree);
	tree_finish(&tree, guest_memory(vm, arch_memory_base, TREE_ROOM), TREE_ROOM);
}

void arch_boot(struct vm *vm)
{
	const uint64_t entry = arch_memory_base + IMAGE_OFFSET;
	struct vcpu *first = &vm->vcpus[0];

	memcpy(guest_memory(vm, entry, vm->image_size), vm->image, vm->image_size);
	describe(vm);
	set_register(first, CORE_REGISTER(regs.pc), entry, "register pc");
	set_register(first, CORE_REGISTER(regs.a0), 0, "register a0");
	set_register(first, CORE_REGISTER(regs.a1), arch_memory_base, "register a1");
}

void arch_enter(struct vcpu *vcpu)
{
	(void)vcpu;
}

bool arch_exit(struct vcpu *vcpu)
{
	struct kvm_run *run = vcpu->run;

	switch (run->exit_reason) {
	case KVM_EXIT_SYSTEM_EVENT:
		guest_ended();
	case KVM_EXIT_RISCV_SBI:
		if (run->riscv_sbi.extension_id != LEGACY_PUT)
			return false;
		console_put((char)run->riscv_sbi.args[0]);
		run->riscv_sbi.ret[0] = 0;
		return true;
	case KVM_EXIT_MMIO:
		if (run->mmio.phys_addr - UART >= UART_SIZE)
			return false;
		if (run->mmio.is_write)
			uart_write((unsigned)(run->mmio.phys_addr - UART), run->mmio.data[0]);
		else
			run->mmio.data[0] = uart_read((unsigned)(run->mmio.phys_addr - UART));
		return true;
	default:
		return false;
	}
}
