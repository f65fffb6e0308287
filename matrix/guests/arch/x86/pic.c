/* SPDX-License-Identifier: MIT */
/* The two 8259 interrupt controllers, behind the local APIC's LINT0. */
#include <x86.h>

#define PIC_COMMAND	     0x20
#define PIC_DATA	     0x21
#define PIC_SECOND_COMMAND   0xa0
#define PIC_SECOND_DATA	     0xa1
#define PIC_INIT	     0x11
#define PIC_8086	     0x01
#define PIC_CASCADE	     2
#define PIC_END_OF_INTERRUPT 0x20
#define PIC_ONLY_TIMER	     0xfe
#define PIC_NONE	     0xff

void pic_init(void)
{
	port_write8(PIC_COMMAND, PIC_INIT);
	port_write8(PIC_SECOND_COMMAND, PIC_INIT);
	port_write8(PIC_DATA, VECTOR_PIC);
	port_write8(PIC_SECOND_DATA, VECTOR_PIC + 8);
	port_write8(PIC_DATA, 1 << PIC_CASCADE);
	port_write8(PIC_SECOND_DATA, PIC_CASCADE);
	port_write8(PIC_DATA, PIC_8086);
	port_write8(PIC_SECOND_DATA, PIC_8086);
	port_write8(PIC_DATA, PIC_ONLY_TIMER);
	port_write8(PIC_SECOND_DATA, PIC_NONE);
}

void pic_open(unsigned line)
{
	const uint16_t port = line < 8 ? PIC_DATA : PIC_SECOND_DATA;

	port_write8(port, (uint8_t)(port_read8(port) & ~(1u << line % 8)));
	if (line >= 8)
		pic_open(PIC_CASCADE);
}

void pic_end(unsigned line)
{
	if (line >= 8)
		port_write8(PIC_SECOND_COMMAND, PIC_END_OF_INTERRUPT);
	port_write8(PIC_COMMAND, PIC_END_OF_INTERRUPT);
}
