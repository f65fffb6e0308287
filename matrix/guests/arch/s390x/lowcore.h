/* SPDX-License-Identifier: MIT */
/*
 * Offsets in the prefix area of a CPU: the assigned storage locations of z/Architecture Principles
 * of Operation (SA22-7832, chapter 3), and from 0x200 on what this code keeps there per CPU.
 */
#ifndef LOWCORE_H
#define LOWCORE_H

#define LC_EXTERNAL_CODE    0x086
#define LC_PROGRAM_CODE	    0x08e
#define LC_EXTERNAL_OLD_PSW 0x130
#define LC_PROGRAM_OLD_PSW  0x150
#define LC_RESTART_NEW_PSW  0x1a0
#define LC_EXTERNAL_NEW_PSW 0x1b0
#define LC_PROGRAM_NEW_PSW  0x1d0

#define LC_EXTERNAL_CLOCK     0x200 /* clock, first thing in the external interrupt handler */
#define LC_EXTERNAL_REGISTERS 0x208
#define LC_PROGRAM_REGISTERS  0x288
#define LC_STACK	      0x308 /* initial stack pointer of a CPU that is started */
#define LC_SOFTWARE	      0x310
#define LC_SIZE		      0x2000

#endif
