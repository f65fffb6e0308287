/* SPDX-License-Identifier: MIT */
/* What programs of a virtual host have in place of a C library: system calls, text, memory. */
#ifndef SYSTEM_H
#define SYSTEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <asm/unistd.h>
#include <linux/errno.h>
#include <linux/types.h>

#include <linux/fcntl.h>

#define ARRAY_SIZE(array) (sizeof(array) / sizeof((array)[0]))

/* start.S. A call returns what the kernel does: a negative number is an error. */
long system_call(long number, long a, long b, long c, long d, long e, long f);
/* Run function(argument) in a thread on the stack that ends at top; its thread id or an error. */
long thread_start(void (*function)(void *), void *argument, void *top);

#define CALL6(n, a, b, c, d, e, f) \
	system_call(n, (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), (long)(f))
#define CALL5(n, a, b, c, d, e) CALL6(n, a, b, c, d, e, 0)
#define CALL4(n, a, b, c, d)	CALL6(n, a, b, c, d, 0, 0)
#define CALL3(n, a, b, c)	CALL6(n, a, b, c, 0, 0, 0)
#define CALL2(n, a, b)		CALL6(n, a, b, 0, 0, 0, 0)
#define CALL1(n, a)		CALL6(n, a, 0, 0, 0, 0, 0)
#define CALL0(n)		CALL6(n, 0, 0, 0, 0, 0, 0)

struct timespec64 {
	int64_t seconds, nanoseconds;
};

#define NANOSECONDS 1000000000ll

static inline long file_open(const char *path, int flags)
{
	return CALL4(__NR_openat, AT_FDCWD, path, flags | O_CLOEXEC, 0600);
}

static inline long file_read(int file, void *data, size_t size)
{
	return CALL3(__NR_read, file, data, size);
}

static inline void file_close(int file)
{
	CALL1(__NR_close, file);
}

static inline long device_control(int file, unsigned long request, const void *argument)
{
	return CALL3(__NR_ioctl, file, request, argument);
}

_Noreturn void exit_all(int status);
/* Nanoseconds of the monotonic clock. */
int64_t clock_now(void);
/*
 * QEMU (7.2 to 11.1) does not migrate the timers of Arm's EL2 (target/arm/machine.c has those of
 * EL1 alone), which a Linux that runs there uses: in a host that goes on from a saved state, no
 * timer would ever expire until one is set to an earlier time than the one that was lost.
 * wake_timers does that on every CPU; sleep_ms on its own, first.
 */
void wake_timers(void);
void sleep_ms(unsigned ms);
/* Anonymous, zeroed memory; ends the program where there is none. */
void *memory_new(size_t size);
/* All of it; false where the reader is gone. */
bool write_all(int file, const void *data, size_t size);
/* The content of a file in memory of its own, with a NUL behind; NULL where it cannot be read. */
char *read_file(const char *path, size_t *size);

void *memcpy(void *to, const void *from, size_t size);
void *memmove(void *to, const void *from, size_t size);
void *memset(void *to, int byte, size_t size);
int memcmp(const void *a, const void *b, size_t size);
size_t strlen(const char *text);
int strcmp(const char *a, const char *b);
/* The number that text begins with, in decimal; 0 where it begins with none. */
uint64_t parse_number(const char *text);

/* A line that is being put together; what does not fit is left out. */
struct line {
	char text[512];
	size_t length;
};

void line_text(struct line *line, const char *text);
void line_number(struct line *line, int64_t number);
void line_hex(struct line *line, uint64_t number);
bool line_write(struct line *line, int file);
/* "WHAT: ERROR" in the kernel's number, on standard error. */
void complain(const char *what, long error);

/* vmm.c: run a guest under KVM; the exit status. Its arguments as for a program. */
int vmm_main(int argc, char **argv);
/* init.c */
_Noreturn void init_main(void);

#endif
