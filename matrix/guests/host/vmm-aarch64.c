/* SPDX-License-Identifier: MIT */
/* The VMM's machine on aarch64: QEMU's "virt" as far as the guests use it. */
#include "vmm.h"

#define DISTRIBUTOR   0x08000000ull
#define REDISTRIBUTOR 0x080a0000ull
#define FRAMES	      0x20000ull /* of one vCPU's redistributor */
#define UART	      0x09000000ull
#define UART_SIZE     0x1000ull
#define UART_DATA     0x00
#define UART_FLAGS    0x18
#define FLAG_EMPTY    (1u << 4) /* nothing was received */
#define TREE_ROOM     0x10000ull
#define IMAGE_OFFSET  0x200000ull /* where QEMU loads it, behind the device tree here */
#define EL1_MASKED    0x3c5u	  /* PSTATE: EL1h, all interrupts masked */
#define GIC_PHANDLE   1u
#define PPI	      1u
#define LEVEL_LOW     8u

#define CORE_REGISTER(field) \
	(KVM_REG_ARM64 | KVM_REG_SIZE_U64 | KVM_REG_ARM_CORE | KVM_REG_ARM_CORE_REG(field))

const uint64_t arch_memory_base = 0x40000000;
const unsigned long arch_vm_type;
const bool arch_starts_vcpus; /* KVM serves PSCI */

static int gic;

static void gic_set(uint32_t group, uint64_t attribute, const uint64_t *value, const char *what)
{
	const struct kvm_device_attr attr = { .group = group,
					      .attr = attribute,
					      .addr = (uintptr_t)value };

	kvm_must(gic, KVM_SET_DEVICE_ATTR, &attr, what);
}

void arch_create(struct vm *vm)
{
	struct kvm_create_device device = { .type = KVM_DEV_TYPE_ARM_VGIC_V3 };

	kvm_must(vm->file, KVM_CREATE_DEVICE, &device, "KVM_CREATE_DEVICE (GICv3)");
	gic = (int)device.fd;
}

void arch_create_vcpu(struct vcpu *vcpu)
{
	struct kvm_vcpu_init init;

	memset(&init, 0, sizeof(init));
	kvm_must(vcpu->vm->file, KVM_ARM_PREFERRED_TARGET, &init, "KVM_ARM_PREFERRED_TARGET");
	init.features[0] = 1u << KVM_ARM_VCPU_PSCI_0_2;
	if (vcpu->number > 0)
		init.features[0] |= 1u << KVM_ARM_VCPU_POWER_OFF;
	kvm_must(vcpu->file, KVM_ARM_VCPU_INIT, &init, "KVM_ARM_VCPU_INIT");
}

static void describe_devices(struct tree *tree, struct vm *vm)
{
	const uint64_t frames = FRAMES * vm->vcpu_count;
	const uint32_t gic_reg[8] = { 0, (uint32_t)DISTRIBUTOR,	  0, 0x10000,
				      0, (uint32_t)REDISTRIBUTOR, 0, (uint32_t)frames };
	/* Secure physical, physical, virtual, hypervisor. */
	const uint32_t timers[12] = { PPI, 13, LEVEL_LOW, PPI, 14, LEVEL_LOW,
				      PPI, 11, LEVEL_LOW, PPI, 10, LEVEL_LOW };

	tree_open_at(tree, "intc", DISTRIBUTOR);
	tree_text(tree, "compatible", "arm,gic-v3");
	tree_cell(tree, "#interrupt-cells", 3);
	tree_bytes(tree, "interrupt-controller", NULL, 0);
	tree_cells(tree, "reg", 8, gic_reg);
	tree_cell(tree, "phandle", GIC_PHANDLE);
	tree_close(tree);
	tree_open(tree, "timer");
	tree_text(tree, "compatible", "arm,armv8-timer");
	tree_cells(tree, "interrupts", 12, timers);
	tree_close(tree);
	tree_open_at(tree, "pl011", UART);
	tree_text(tree, "compatible", "arm,pl011");
	tree_reg(tree, UART, UART_SIZE);
	tree_close(tree);
	tree_open(tree, "psci");
	tree_text(tree, "compatible", "arm,psci-0.2");
	tree_text(tree, "method", "hvc");
	tree_close(tree);
}

static void describe(struct vm *vm)
{
	static struct tree tree;

	tree_open(&tree, "");
	tree_cell(&tree, "#address-cells", 2);
	tree_cell(&tree, "#size-cells", 2);
	tree_cell(&tree, "interrupt-parent", GIC_PHANDLE);
	tree_open(&tree, "chosen");
	tree_text(&tree, "bootargs", vm->append);
	tree_text(&tree, "stdout-path", "/pl011@9000000");
	tree_close(&tree);
	tree_open_at(&tree, "memory", arch_memory_base);
	tree_text(&tree, "device_type", "memory");
	tree_reg(&tree, arch_memory_base, vm->memory_size);
	tree_close(&tree);
	tree_open(&tree, "cpus");
	tree_cell(&tree, "#address-cells", 1);
	tree_cell(&tree, "#size-cells", 0);
	for (unsigned i = 0; i < vm->vcpu_count; i++) {
		tree_open_at(&tree, "cpu", i);
		tree_text(&tree, "device_type", "cpu");
		tree_cell(&tree, "reg", i); /* KVM's MPIDR, up to 16 vCPUs */
		tree_close(&tree);
	}
	tree_close(&tree);
	describe_devices(&tree, vm);
	tree_close(&tree);
	tree_finish(&tree, guest_memory(vm, arch_memory_base, TREE_ROOM), TREE_ROOM);
}

void arch_boot(struct vm *vm)
{
	const uint64_t distributor = DISTRIBUTOR, redistributor = REDISTRIBUTOR;
	const uint64_t entry = arch_memory_base + IMAGE_OFFSET;
	struct vcpu *first = &vm->vcpus[0];

	gic_set(KVM_DEV_ARM_VGIC_GRP_ADDR, KVM_VGIC_V3_ADDR_TYPE_DIST, &distributor,
		"the GICv3's distributor");
	gic_set(KVM_DEV_ARM_VGIC_GRP_ADDR, KVM_VGIC_V3_ADDR_TYPE_REDIST, &redistributor,
		"the GICv3's redistributors");
	gic_set(KVM_DEV_ARM_VGIC_GRP_CTRL, KVM_DEV_ARM_VGIC_CTRL_INIT, NULL, "the GICv3's start");
	memcpy(guest_memory(vm, entry, vm->image_size), vm->image, vm->image_size);
	describe(vm);
	set_register(first, CORE_REGISTER(regs.pc), entry, "register pc");
	set_register(first, CORE_REGISTER(regs.regs[0]), arch_memory_base, "register x0");
	set_register(first, CORE_REGISTER(regs.pstate), EL1_MASKED, "register pstate");
}

void arch_enter(struct vcpu *vcpu)
{
	(void)vcpu;
}

static bool uart(struct kvm_run *run)
{
	const uint64_t at = run->mmio.phys_addr - UART;
	uint32_t value = 0;

	if (run->mmio.is_write) {
		if (at == UART_DATA)
			console_put((char)run->mmio.data[0]);
		return true;
	}
	if (at == UART_FLAGS)
		value = console_ready() ? 0 : FLAG_EMPTY;
	else if (at == UART_DATA)
		value = (uint8_t)console_get();
	memset(run->mmio.data, 0, sizeof(run->mmio.data));
	memcpy(run->mmio.data, &value, sizeof(value));
	return true;
}

bool arch_exit(struct vcpu *vcpu)
{
	struct kvm_run *run = vcpu->run;

	if (run->exit_reason == KVM_EXIT_SYSTEM_EVENT)
		guest_ended();
	if (run->exit_reason == KVM_EXIT_MMIO && run->mmio.phys_addr - UART < UART_SIZE)
		return uart(run);
	return false;
}
