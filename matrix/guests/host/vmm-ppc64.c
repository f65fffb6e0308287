/* SPDX-License-Identifier: MIT */
/* The VMM's machine on ppc64: a pseries partition (LoPAR, chapters 7 and 14) as far as the guests
 * use it. */
#include "vmm.h"

#define ENTRY_TREE 0x1000000ull /* the device tree's address */
#define TREE_ROOM  0x10000ull
#define CONSOLE	   0x71000000u
#define MSR_64BIT  (1ull << 63)
#define MSR_CHECKS (1ull << 12) /* ME: machine checks are taken */
#define LPCR_ILE   0x02000000ull

#define H_SUCCESS	0
#define H_FUNCTION	(-2)
#define H_PARAMETER	(-4)
#define H_GET_TERM_CHAR 0x54
#define H_PUT_TERM_CHAR 0x58
#define H_SET_MODE	0x31c
#define H_RTAS		0xf000
#define RESOURCE_ENDIAN 4

enum { POWER_OFF = 1, STOP_SELF, START_CPU, PANIC };

const uint64_t arch_memory_base;
const unsigned long arch_vm_type; /* the best that there is */
const bool arch_starts_vcpus = true;

static bool little_endian;

struct elf64 {
	uint8_t identification[16];
	uint16_t type, machine;
	uint32_t version;
	uint64_t entry, segments, sections;
	uint32_t flags;
	uint16_t size, segment_size, segment_count;
};

struct segment64 {
	uint32_t type, flags;
	uint64_t offset, address, physical, in_file, in_memory;
};

void arch_create(struct vm *vm)
{
	(void)vm;
}

void arch_create_vcpu(struct vcpu *vcpu)
{
	const struct kvm_enable_cap papr = { .cap = KVM_CAP_PPC_PAPR };

	kvm_must(vcpu->file, KVM_ENABLE_CAP, &papr, "KVM_CAP_PPC_PAPR");
}

static uint64_t load(struct vm *vm)
{
	const struct elf64 *elf = (const struct elf64 *)vm->image;

	for (unsigned i = 0; i < elf->segment_count; i++) {
		const struct segment64 *one = (const struct segment64 *)(vm->image + elf->segments +
									 i * elf->segment_size);

		if (one->type != 1)
			continue;
		if (one->offset > vm->image_size || one->in_file > vm->image_size - one->offset)
			give_up(EXIT_REFUSED, "the image is cut off", 0);
		memcpy(guest_memory(vm, one->address, one->in_memory), vm->image + one->offset,
		       one->in_file);
	}
	return elf->entry;
}

static uint32_t clock_frequency(void)
{
	uint64_t frequency = 512000000; /* of every POWER since 6, and of QEMU's */
	size_t size;
	const char *text = read_file("/proc/cpuinfo", &size);

	for (size_t i = 0; text && i + 8 < size; i++)
		if (!memcmp(text + i, "timebase", 8)) {
			while (text[i] && text[i] != ':')
				i++;
			while (text[i] == ':' || text[i] == ' ')
				i++;
			frequency = parse_number(text + i);
			break;
		}
	return (uint32_t)frequency;
}

static void describe_services(struct tree *tree)
{
	tree_open(tree, "rtas");
	tree_cell(tree, "power-off", POWER_OFF);
	tree_cell(tree, "stop-self", STOP_SELF);
	tree_cell(tree, "start-cpu", START_CPU);
	tree_cell(tree, "ibm,os-term", PANIC);
	tree_close(tree);
	tree_open(tree, "vdevice");
	tree_cell(tree, "#address-cells", 1);
	tree_cell(tree, "#size-cells", 0);
	tree_open_at(tree, "vty", CONSOLE);
	tree_text(tree, "compatible", "hvterm1");
	tree_text(tree, "device_type", "serial");
	tree_cell(tree, "reg", CONSOLE);
	tree_close(tree);
	tree_close(tree);
}

static void describe(struct vm *vm)
{
	static struct tree tree;
	const uint32_t frequency = clock_frequency();

	tree_open(&tree, "");
	tree_cell(&tree, "#address-cells", 2);
	tree_cell(&tree, "#size-cells", 2);
	tree_open(&tree, "chosen");
	tree_text(&tree, "bootargs", vm->append);
	tree_close(&tree);
	tree_open_at(&tree, "memory", 0);
	tree_text(&tree, "device_type", "memory");
	tree_reg(&tree, 0, vm->memory_size);
	tree_close(&tree);
	tree_open(&tree, "cpus");
	tree_cell(&tree, "#address-cells", 1);
	tree_cell(&tree, "#size-cells", 0);
	for (unsigned i = 0; i < vm->vcpu_count; i++) {
		tree_open_at(&tree, "cpu", i);
		tree_text(&tree, "device_type", "cpu");
		tree_cell(&tree, "reg", i);
		tree_cell(&tree, "ibm,ppc-interrupt-server#s", i);
		tree_cell(&tree, "timebase-frequency", frequency);
		tree_close(&tree);
	}
	tree_close(&tree);
	describe_services(&tree);
	tree_close(&tree);
	tree_finish(&tree, guest_memory(vm, ENTRY_TREE, TREE_ROOM), TREE_ROOM);
}

/* CPUs begin in big-endian mode, with the MMU off. */
static void set_entry(struct vcpu *vcpu, uint64_t at, uint64_t r3)
{
	struct kvm_regs registers;

	memset(&registers, 0, sizeof(registers));
	kvm_must(vcpu->file, KVM_GET_REGS, &registers, "KVM_GET_REGS");
	memset(registers.gpr, 0, sizeof(registers.gpr));
	registers.pc = at;
	registers.msr = MSR_64BIT | MSR_CHECKS;
	registers.gpr[3] = r3;
	kvm_must(vcpu->file, KVM_SET_REGS, &registers, "KVM_SET_REGS");
}

void arch_boot(struct vm *vm)
{
	const uint64_t entry = load(vm);

	describe(vm);
	set_entry(&vm->vcpus[0], entry, ENTRY_TREE);
}

static void take_interrupts_little_endian(struct vcpu *vcpu)
{
	const uint64_t lpcr = get_register(vcpu, KVM_REG_PPC_LPCR_64, "register LPCR");

	set_register(vcpu, KVM_REG_PPC_LPCR_64, lpcr | LPCR_ILE, "register LPCR");
}

void arch_enter(struct vcpu *vcpu)
{
	if (little_endian)
		take_interrupts_little_endian(vcpu);
}

/* A word of an RTAS call's block: token, number of arguments, of results, arguments, results. */
static uint32_t *rtas_word(struct vm *vm, uint64_t block, unsigned index)
{
	return guest_memory(vm, block + 4 * index, 4);
}

static uint32_t rtas_argument(struct vm *vm, uint64_t block, unsigned index)
{
	return __builtin_bswap32(*rtas_word(vm, block, 3 + index));
}

static int32_t rtas_start_cpu(struct vm *vm, uint64_t block)
{
	const uint32_t number = rtas_argument(vm, block, 0);

	if (number >= vm->vcpu_count || vm->vcpus[number].started)
		return -3; /* parameter error */
	set_entry(&vm->vcpus[number], rtas_argument(vm, block, 1), rtas_argument(vm, block, 2));
	vcpu_start(&vm->vcpus[number]);
	return 0;
}

static void rtas(struct vcpu *vcpu, uint64_t block)
{
	struct vm *vm = vcpu->vm;
	const uint32_t arguments = __builtin_bswap32(*rtas_word(vm, block, 1));
	int32_t status = 0;

	switch (__builtin_bswap32(*rtas_word(vm, block, 0))) {
	case POWER_OFF:
		guest_ended();
	case PANIC:
		give_up(EXIT_PANICKED, "the guest panicked", 0);
	case START_CPU:
		status = rtas_start_cpu(vm, block);
		break;
	case STOP_SELF:
		vcpu->stopped = true;
		break;
	default:
		status = -1;
	}
	*rtas_word(vm, block, 3 + arguments) = __builtin_bswap32((uint32_t)status);
}

static int64_t set_mode(struct vcpu *vcpu, const __u64 *arguments)
{
	if (arguments[1] != RESOURCE_ENDIAN)
		return H_PARAMETER;
	little_endian = true;
	take_interrupts_little_endian(vcpu);
	return H_SUCCESS;
}

static int64_t put_text(const __u64 *arguments)
{
	for (unsigned i = 0; i < arguments[1] && i < 16; i++)
		console_put((char)(arguments[2 + i / 8] >> (56 - 8 * (i % 8))));
	return H_SUCCESS;
}

static int64_t get_text(__u64 *arguments)
{
	const int byte = console_get();

	arguments[0] = byte >= 0;
	arguments[1] = byte >= 0 ? (uint64_t)byte << 56 : 0;
	arguments[2] = 0;
	return H_SUCCESS;
}

bool arch_exit(struct vcpu *vcpu)
{
	struct kvm_run *run = vcpu->run;

	if (run->exit_reason == KVM_EXIT_SYSTEM_EVENT)
		guest_ended();
	if (run->exit_reason != KVM_EXIT_PAPR_HCALL)
		return false;
	switch (run->papr_hcall.nr) {
	case H_PUT_TERM_CHAR:
		run->papr_hcall.ret = (uint64_t)put_text(run->papr_hcall.args);
		break;
	case H_GET_TERM_CHAR:
		run->papr_hcall.ret = (uint64_t)get_text(run->papr_hcall.args);
		break;
	case H_SET_MODE:
		run->papr_hcall.ret = (uint64_t)set_mode(vcpu, run->papr_hcall.args);
		break;
	case H_RTAS:
		rtas(vcpu, run->papr_hcall.args[0]);
		run->papr_hcall.ret = H_SUCCESS;
		break;
	default:
		run->papr_hcall.ret = (uint64_t)H_FUNCTION;
	}
	return true;
}
