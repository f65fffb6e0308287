/* SPDX-License-Identifier: MIT */
/*
 * A VMM for one guest: memory, vCPUs, and the console and exit of the embedded guests. vmm.c has
 * what all architectures share, vmm-ARCH.c the rest. No product: it shows whether KVM runs guests.
 */
#ifndef VMM_H
#define VMM_H

#include <linux/kvm.h>

#include "system.h"

#define MAX_VCPUS 16

/* Exit statuses beside 0: which the orchestrator reads (matrix/hosts/virtual/vmm.py). */
#define EXIT_USAGE	64
#define EXIT_REFUSED	69 /* KVM does not give what the guest was to have */
#define EXIT_KVM_FAILED 70 /* KVM gave a vCPU up */
#define EXIT_PANICKED	71 /* the guest says that it has panicked */

struct vm;

struct vcpu {
	struct vm *vm;
	unsigned number;
	int file;
	struct kvm_run *run;
	void *stack_top;
	bool started;
	bool stopped; /* for ever, by itself */
};

struct vm {
	int kvm, file;
	unsigned vcpu_count;
	struct vcpu vcpus[MAX_VCPUS];
	uint8_t *memory; /* of the guest, from arch_memory_base on */
	uint64_t memory_size;
	const uint8_t *image;
	size_t image_size;
	const char *append;
	size_t run_size;
};

/* By each architecture. */
extern const uint64_t arch_memory_base;
extern const unsigned long arch_vm_type;
extern const bool arch_starts_vcpus; /* by a call of the guest's that the VMM serves */
void arch_create(struct vm *vm);     /* before there are vCPUs */
void arch_create_vcpu(struct vcpu *vcpu);
void arch_boot(struct vm *vm); /* all vCPUs are there: the image, and the first one's registers */
void arch_enter(struct vcpu *vcpu); /* in the vCPU's thread, before it runs */
bool arch_exit(struct vcpu *vcpu);  /* false where it is none of the architecture's */

/* Ends the program with a status and "WHAT: error N" on stderr. */
_Noreturn void give_up(int status, const char *what, long error);
/* An ioctl that has to work, on a file of KVM's. */
long kvm_must(int file, unsigned long request, const void *argument, const char *what);
void set_register(struct vcpu *vcpu, uint64_t id, uint64_t value, const char *what);
uint64_t get_register(struct vcpu *vcpu, uint64_t id, const char *what);
/* The guest's memory at an address of its; ends the program where it is outside. */
void *guest_memory(struct vm *vm, uint64_t address, uint64_t size);
void vcpu_start(struct vcpu *vcpu);

/* The console. */
void console_put(char byte);
void console_flush(void);
int console_get(void); /* -1: no input */
bool console_ready(void);
_Noreturn void guest_ended(void);

/* A 16550's registers, as far as a polled console needs them. */
uint8_t uart_read(unsigned at);
void uart_write(unsigned at, uint8_t value);

/* fdt-write.c: a flattened device tree (Devicetree Specification 0.4, chapter 5). */
struct tree {
	uint8_t structure[6144];
	size_t used;
	char names[1024];
	size_t names_used;
};

void tree_open(struct tree *tree, const char *name);
void tree_close(struct tree *tree);
void tree_bytes(struct tree *tree, const char *name, const void *data, size_t size);
void tree_text(struct tree *tree, const char *name, const char *text);
void tree_cells(struct tree *tree, const char *name, unsigned count, const uint32_t *cells);
void tree_cell(struct tree *tree, const char *name, uint32_t cell);
/* "reg" of two cells for the address and two for the size. */
void tree_reg(struct tree *tree, uint64_t address, uint64_t size);
/* A node's name with its address. */
void tree_open_at(struct tree *tree, const char *name, uint64_t address);
size_t tree_finish(struct tree *tree, void *to, size_t room);

#endif
