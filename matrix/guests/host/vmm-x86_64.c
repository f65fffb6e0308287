/* SPDX-License-Identifier: MIT */
/*
 * The VMM's machine on x86_64: a PC as far as the guests use it, entered as by a multiboot loader
 * (Multiboot Specification 0.6.96), with the ports of QEMU's firmware configuration device, of its
 * debug exit, and of a serial port.
 */
#include "vmm.h"

#define CONFIG_SELECT 0x510
#define CONFIG_DATA   0x511
#define KEY_MEMORY    0x03
#define KEY_CPUS      0x05
#define UART	      0x3f8
#define DEBUG_EXIT    0xf4
#define TSS_ADDRESS   0xfffbd000ul /* three pages that the guest does not use: Intel's want them */

#define INFORMATION  0x1000ull /* of multiboot, then its memory map, then the command line */
#define MEMORY_MAP   0x1100ull
#define COMMAND	     0x2000ull
#define LINE_ROOM    0x1000ull
#define HAS_COMMAND  0x04
#define HAS_MAP	     0x40
#define CONVENTIONAL 0xa0000ull
#define HIGH	     0x100000ull

const uint64_t arch_memory_base;
const unsigned long arch_vm_type;
const bool arch_starts_vcpus; /* KVM's local APIC does */

struct elf32 {
	uint8_t identification[16];
	uint16_t type, machine;
	uint32_t version, entry, segments, sections, flags;
	uint16_t size, segment_size, segment_count;
};

struct segment32 {
	uint32_t type, offset, address, physical, in_file, in_memory;
};

static uint16_t config_key;
static unsigned config_at;

void arch_create(struct vm *vm)
{
	const struct kvm_pit_config pit = { .flags = KVM_PIT_SPEAKER_DUMMY };

	kvm_must(vm->file, KVM_SET_TSS_ADDR, (void *)TSS_ADDRESS, "KVM_SET_TSS_ADDR");
	kvm_must(vm->file, KVM_CREATE_IRQCHIP, NULL, "KVM_CREATE_IRQCHIP");
	kvm_must(vm->file, KVM_CREATE_PIT2, &pit, "KVM_CREATE_PIT2");
}

/* The CPU is what KVM can give; leaf 1 says which one it is. */
void arch_create_vcpu(struct vcpu *vcpu)
{
	static struct {
		struct kvm_cpuid2 head;
		struct kvm_cpuid_entry2 entries[128];
	} cpuid;

	cpuid.head.nent = ARRAY_SIZE(cpuid.entries);
	kvm_must(vcpu->vm->kvm, KVM_GET_SUPPORTED_CPUID, &cpuid, "KVM_GET_SUPPORTED_CPUID");
	for (unsigned i = 0; i < cpuid.head.nent; i++)
		if (cpuid.entries[i].function == 1)
			cpuid.entries[i].ebx = (cpuid.entries[i].ebx & 0xffffff) | vcpu->number
											   << 24;
	kvm_must(vcpu->file, KVM_SET_CPUID2, &cpuid, "KVM_SET_CPUID2");
}

static uint32_t load(struct vm *vm)
{
	const struct elf32 *elf = (const struct elf32 *)vm->image;

	for (unsigned i = 0; i < elf->segment_count; i++) {
		const struct segment32 *one = (const struct segment32 *)(vm->image + elf->segments +
									 i * elf->segment_size);

		if (one->type != 1)
			continue;
		if ((uint64_t)one->offset + one->in_file > vm->image_size)
			give_up(EXIT_REFUSED, "the image is cut off", 0);
		memcpy(guest_memory(vm, one->physical, one->in_memory), vm->image + one->offset,
		       one->in_file);
	}
	return elf->entry;
}

static void inform(struct vm *vm)
{
	uint32_t *information = guest_memory(vm, INFORMATION, 128);
	uint8_t *map = guest_memory(vm, MEMORY_MAP, 64);
	const uint64_t ranges[2][2] = { { 0, CONVENTIONAL }, { HIGH, vm->memory_size - HIGH } };
	char *command = guest_memory(vm, COMMAND, LINE_ROOM);
	size_t length = strlen(vm->append);
	static const char name[] = "/guest.flat ";

	information[0] = HAS_COMMAND | HAS_MAP;
	information[4] = COMMAND;
	information[11] = 2 * 24;
	information[12] = MEMORY_MAP;
	for (unsigned i = 0; i < 2; i++) {
		const uint32_t size = 20, available = 1;

		memcpy(map + 24 * i, &size, 4);
		memcpy(map + 24 * i + 4, ranges[i], 16);
		memcpy(map + 24 * i + 20, &available, 4);
	}
	if (length + sizeof(name) > LINE_ROOM)
		give_up(EXIT_REFUSED, "the guest's arguments are too long", 0);
	memcpy(command, name, sizeof(name) - 1);
	memcpy(command + sizeof(name) - 1, vm->append, length + 1);
}

static struct kvm_segment flat(uint16_t selector, uint8_t type)
{
	return (struct kvm_segment){
		.limit = 0xffffffff,
		.selector = selector,
		.type = type,
		.present = 1,
		.db = 1,
		.s = 1,
		.g = 1,
	};
}

void arch_boot(struct vm *vm)
{
	struct vcpu *first = &vm->vcpus[0];
	struct kvm_sregs special;
	struct kvm_regs general;

	memset(&general, 0, sizeof(general));
	general.rip = load(vm);
	general.rax = 0x2badb002;
	general.rbx = INFORMATION;
	general.rflags = 2;
	inform(vm);
	kvm_must(first->file, KVM_GET_SREGS, &special, "KVM_GET_SREGS");
	special.cr0 |= 1; /* protected mode */
	special.cs = flat(0x08, 0xb);
	special.ds = special.es = special.fs = special.gs = special.ss = flat(0x10, 0x3);
	kvm_must(first->file, KVM_SET_SREGS, &special, "KVM_SET_SREGS");
	kvm_must(first->file, KVM_SET_REGS, &general, "KVM_SET_REGS");
}

void arch_enter(struct vcpu *vcpu)
{
	(void)vcpu;
}

static uint8_t config_byte(struct vm *vm)
{
	const uint64_t value = config_key == KEY_MEMORY ? vm->memory_size
			       : config_key == KEY_CPUS ? vm->vcpu_count
							: 0;
	const unsigned at = config_at++;

	return at < 8 ? (uint8_t)(value >> (8 * at)) : 0;
}

static uint32_t port_read(struct vm *vm, uint16_t port)
{
	if (port >= UART && port < UART + 8)
		return uart_read(port - UART);
	if (port == CONFIG_DATA)
		return config_byte(vm);
	return port == DEBUG_EXIT ? 0 : ~0u;
}

static _Noreturn void debug_exit(uint32_t code)
{
	struct line line = { .length = 0 };

	console_flush();
	line_text(&line, "EXIT: STATUS=");
	line_number(&line, (int64_t)(code << 1 | 1));
	line_write(&line, 1);
	guest_ended();
}

static void port_write(uint16_t port, uint32_t value)
{
	if (port >= UART && port < UART + 8)
		uart_write(port - UART, (uint8_t)value);
	if (port == DEBUG_EXIT)
		debug_exit(value);
	if (port == CONFIG_SELECT) {
		config_key = (uint16_t)value;
		config_at = 0;
	}
}

static void ports(struct vm *vm, struct kvm_run *run)
{
	uint8_t *data = (uint8_t *)run + run->io.data_offset;

	for (unsigned i = 0; i < run->io.count; i++, data += run->io.size) {
		uint32_t value = 0;

		if (run->io.direction == KVM_EXIT_IO_OUT) {
			memcpy(&value, data, run->io.size);
			port_write(run->io.port, value);
		} else {
			value = port_read(vm, run->io.port);
			memcpy(data, &value, run->io.size);
		}
	}
}

bool arch_exit(struct vcpu *vcpu)
{
	struct kvm_run *run = vcpu->run;

	if (run->exit_reason == KVM_EXIT_MMIO) { /* of no device: reads as all ones */
		memset(run->mmio.data, 0xff, sizeof(run->mmio.data));
		return true;
	}
	if (run->exit_reason != KVM_EXIT_IO)
		return false;
	ports(vcpu->vm, run);
	return true;
}
