/* SPDX-License-Identifier: MIT */
/* See vmm.h; KVM's interface is Linux, Documentation/virt/kvm/api.rst. */
#include "vmm.h"

#define STACK_SIZE   16384
#define MAP_SHARED   1
#define PROT_BOTH    3
#define MIB	     (1ull << 20)
#define API_VERSION  12
#define UART_STATUS  5
#define UART_DATA    0
#define STATUS_EMPTY 0x60 /* the transmitter and its holding register */
#define STATUS_DATA  0x01

static char pending[1024];
static size_t pending_size;
static int input = -1;
static struct vm machine;

_Noreturn void give_up(int status, const char *what, long error)
{
	console_flush();
	complain(what, error);
	exit_all(status);
}

long kvm_must(int file, unsigned long request, const void *argument, const char *what)
{
	long result = device_control(file, request, argument);

	if (result < 0)
		give_up(EXIT_REFUSED, what, result);
	return result;
}

void set_register(struct vcpu *vcpu, uint64_t id, uint64_t value, const char *what)
{
	struct kvm_one_reg one = { .id = id, .addr = (uintptr_t)&value };

	kvm_must(vcpu->file, KVM_SET_ONE_REG, &one, what);
}

uint64_t get_register(struct vcpu *vcpu, uint64_t id, const char *what)
{
	uint64_t value = 0;
	struct kvm_one_reg one = { .id = id, .addr = (uintptr_t)&value };

	kvm_must(vcpu->file, KVM_GET_ONE_REG, &one, what);
	return value;
}

void *guest_memory(struct vm *vm, uint64_t address, uint64_t size)
{
	uint64_t at = address - arch_memory_base;

	if (address < arch_memory_base || at > vm->memory_size || size > vm->memory_size - at)
		give_up(EXIT_REFUSED, "the guest's memory is too small", 0);
	return vm->memory + at;
}

void console_flush(void)
{
	write_all(1, pending, pending_size);
	pending_size = 0;
}

/* What guests print are lines: one write for each. */
void console_put(char byte)
{
	pending[pending_size++] = byte;
	if (byte == '\n' || pending_size == sizeof(pending))
		console_flush();
}

bool console_ready(void)
{
	char byte;

	if (input < 0 && file_read(0, &byte, 1) == 1)
		input = (unsigned char)byte;
	return input >= 0;
}

int console_get(void)
{
	int byte = console_ready() ? input : -1;

	input = -1;
	return byte;
}

_Noreturn void guest_ended(void)
{
	console_flush();
	exit_all(0);
}

uint8_t uart_read(unsigned at)
{
	if (at == UART_STATUS)
		return (uint8_t)(STATUS_EMPTY | (console_ready() ? STATUS_DATA : 0));
	return at == UART_DATA ? (uint8_t)console_get() : 0;
}

void uart_write(unsigned at, uint8_t value)
{
	static uint8_t line_control; /* bit 7: the first two registers are the speed */

	if (at == 3)
		line_control = value;
	if (at == UART_DATA && !(line_control & 0x80))
		console_put((char)value);
}

static void failed(struct vcpu *vcpu)
{
	struct kvm_run *run = vcpu->run;
	struct line line = { .length = 0 };

	line_text(&line, "KVM gave vCPU ");
	line_number(&line, vcpu->number);
	line_text(&line, " up: exit reason ");
	line_number(&line, run->exit_reason);
	if (run->exit_reason == KVM_EXIT_FAIL_ENTRY) {
		line_text(&line, " (failed entry), hardware reason ");
		line_hex(&line, run->fail_entry.hardware_entry_failure_reason);
	} else if (run->exit_reason == KVM_EXIT_INTERNAL_ERROR) {
		line_text(&line, " (internal error), suberror ");
		line_number(&line, run->internal.suberror);
	} else if (run->exit_reason == KVM_EXIT_SHUTDOWN) {
		line_text(&line, " (shutdown: a triple fault)");
	} else if (run->exit_reason == KVM_EXIT_MMIO) {
		line_text(&line, " (an access to no device), address ");
		line_hex(&line, run->mmio.phys_addr);
	}
	console_flush();
	line_write(&line, 2);
	exit_all(EXIT_KVM_FAILED);
}

/* The devices are slow paths, and their state is one: vCPUs take turns. */
static void handle_exit(struct vcpu *vcpu)
{
	static int busy;

	while (__atomic_exchange_n(&busy, 1, __ATOMIC_ACQUIRE))
		CALL0(__NR_sched_yield);
	if (!arch_exit(vcpu))
		failed(vcpu);
	__atomic_store_n(&busy, 0, __ATOMIC_RELEASE);
}

static void run_vcpu(void *argument)
{
	struct vcpu *vcpu = argument;

	arch_enter(vcpu);
	while (!vcpu->stopped) {
		long result = device_control(vcpu->file, KVM_RUN, NULL);

		if (result == -EINTR || result == -EAGAIN)
			continue;
		if (result < 0)
			give_up(EXIT_KVM_FAILED, "KVM_RUN", result);
		handle_exit(vcpu);
	}
	for (;;)
		sleep_ms(1000);
}

void vcpu_start(struct vcpu *vcpu)
{
	long thread;

	if (vcpu->started)
		return;
	vcpu->started = true;
	vcpu->stack_top = (uint8_t *)memory_new(STACK_SIZE) + STACK_SIZE;
	thread = thread_start(run_vcpu, vcpu, vcpu->stack_top);
	if (thread < 0)
		give_up(EXIT_REFUSED, "a thread for a vCPU", thread);
}

static void create_memory(struct vm *vm)
{
	struct kvm_userspace_memory_region region = {
		.slot = 0,
		.guest_phys_addr = arch_memory_base,
		.memory_size = vm->memory_size,
	};

	vm->memory = memory_new(vm->memory_size);
	region.userspace_addr = (uintptr_t)vm->memory;
	kvm_must(vm->file, KVM_SET_USER_MEMORY_REGION, &region, "KVM_SET_USER_MEMORY_REGION");
}

static void create_vcpu(struct vm *vm, unsigned number)
{
	struct vcpu *vcpu = &vm->vcpus[number];
	long at;

	vcpu->vm = vm;
	vcpu->number = number;
	vcpu->file = (int)kvm_must(vm->file, KVM_CREATE_VCPU, (void *)(uintptr_t)number,
				   "KVM_CREATE_VCPU");
	at = CALL6(__NR_mmap, 0, vm->run_size, PROT_BOTH, MAP_SHARED, vcpu->file, 0);
	if (at < 0 && at > -4096)
		give_up(EXIT_REFUSED, "mmap of struct kvm_run", at);
	vcpu->run = (struct kvm_run *)at;
	arch_create_vcpu(vcpu);
}

static void create(struct vm *vm)
{
	long kvm = file_open("/dev/kvm", O_RDWR);

	if (kvm < 0)
		give_up(EXIT_REFUSED, "/dev/kvm", kvm);
	vm->kvm = (int)kvm;
	if (kvm_must(vm->kvm, KVM_GET_API_VERSION, NULL, "KVM_GET_API_VERSION") != API_VERSION)
		give_up(EXIT_REFUSED, "this KVM speaks another version of its interface", 0);
	vm->file = (int)kvm_must(vm->kvm, KVM_CREATE_VM, (void *)arch_vm_type, "KVM_CREATE_VM");
	vm->run_size =
		(size_t)kvm_must(vm->kvm, KVM_GET_VCPU_MMAP_SIZE, NULL, "KVM_GET_VCPU_MMAP_SIZE");
	create_memory(vm);
	arch_create(vm);
	for (unsigned i = 0; i < vm->vcpu_count; i++)
		create_vcpu(vm, i);
	arch_boot(vm);
}

/* vmm IMAGE MIB VCPUS [ARGUMENTS] */
int vmm_main(int argc, char **argv)
{
	struct vm *vm = &machine;

	if (argc < 4) {
		complain("usage: vmm IMAGE MIB VCPUS [ARGUMENTS]", 0);
		return EXIT_USAGE;
	}
	vm->image = (const uint8_t *)read_file(argv[1], &vm->image_size);
	vm->memory_size = parse_number(argv[2]) * MIB;
	vm->vcpu_count = (unsigned)parse_number(argv[3]);
	vm->append = argc > 4 ? argv[4] : "";
	if (!vm->image || !vm->memory_size || !vm->vcpu_count || vm->vcpu_count > MAX_VCPUS) {
		complain("an image that can be read, memory, and 1 to 16 vCPUs are needed", 0);
		return EXIT_USAGE;
	}
	CALL3(__NR_fcntl, 0, F_SETFL, O_RDONLY | O_NONBLOCK);
	create(vm);
	for (unsigned i = 1; !arch_starts_vcpus && i < vm->vcpu_count; i++)
		vcpu_start(&vm->vcpus[i]);
	vm->vcpus[0].started = true;
	run_vcpu(&vm->vcpus[0]);
	return 0;
}
