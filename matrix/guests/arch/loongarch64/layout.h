/* SPDX-License-Identifier: MIT */
/* What C, assembly and the firmware agree on. */
#ifndef LAYOUT_H
#define LAYOUT_H

/* STACK_SIZE of arch.h, which the assembler cannot read. */
#define CPU_STACK_SIZE 8192

/* Registers that an exception saves. */
#define FRAME_SIZE 160

/* Control and status registers (LoongArch reference manual, volume 1, chapter 7). */
#define CSR_MODE	  0x0
#define CSR_UNITS	  0x2
#define CSR_CONFIGURATION 0x4
#define CSR_STATUS	  0x5
#define CSR_RETURN	  0x6
#define CSR_BAD_ADDRESS	  0x7
#define CSR_ENTRY	  0xc
#define CSR_CPU		  0x20
#define CSR_TIMER	  0x41
#define CSR_TIMER_CLEAR	  0x44

#define MODE_INTERRUPTS	 0x4
#define INTERRUPT_TIMER	 (1 << 11)
#define INTERRUPT_OTHERS (1 << 12) /* of other CPUs */

/* IOCSRs of each CPU for messages between CPUs (Loongson 3A5000 manual, chapter 10). */
#define IPI_ENABLE 0x1004
#define IPI_CLEAR  0x100c
#define MAILBOX_0  0x1020
#define MAILBOX_1  0x1028
#define IPI_SEND   0x1040
#define MAIL_SEND  0x1048

/* Where the firmware puts the image, and QEMU's fw_cfg device (docs/specs/fw_cfg.rst) is. */
#define IMAGE		0x200000
#define FW_CFG		0x1e020000
#define FW_CFG_SELECTOR 8

#endif
