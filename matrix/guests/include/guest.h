/* SPDX-License-Identifier: MIT */
/* What the common library offers to the tests and to the architectures' own code. */
#ifndef GUEST_H
#define GUEST_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ARRAY_SIZE(array) (sizeof(array) / sizeof((array)[0]))

/* Exit codes, as kvm-unit-tests gives them: what its runner looks at, and what a machine reports,
 * is (code << 1) | 1, which must come out as 77 for a skip and as 127 for an abort. */
#define EXIT_CODE_PASS	0
#define EXIT_CODE_FAIL	1
#define EXIT_CODE_SKIP	(77 >> 1)
#define EXIT_CODE_ABORT (127 >> 1)

/* One test: chosen by the first word of the command line, which is argv[0]; argv[argc] is NULL. It
 * returns the guest's exit code, mostly that of report_summary(). */
struct test {
	const char *name;
	int (*main)(int argc, char **argv);
};

int test_boot(int argc, char **argv);
int test_deadloop(int argc, char **argv);
int test_disk_integrity(int argc, char **argv);
int test_edu(int argc, char **argv) __attribute__((weak)); /* where PCI is */
int test_elastic_integrity(int argc, char **argv);
int test_exception(int argc, char **argv);
int test_fail(int argc, char **argv);
int test_hang(int argc, char **argv);
int test_memory(int argc, char **argv);
int test_net_integrity(int argc, char **argv);
int test_panic(int argc, char **argv);
int test_ram_integrity(int argc, char **argv);
int test_smp(int argc, char **argv);
int test_spin(int argc, char **argv);
int test_timer(int argc, char **argv);
int test_virtio_blk(int argc, char **argv);

/* string.c: as in C, and numbers. parse_number reads digits (0x… is hexadecimal) and sets *rest
 * behind them; it returns false, with *value untouched, where there is no digit. */
void *memcpy(void *to, const void *from, size_t length);
void *memmove(void *to, const void *from, size_t length);
void *memset(void *to, int byte, size_t length);
int memcmp(const void *left, const void *right, size_t length);
size_t strlen(const char *text);
int strcmp(const char *left, const char *right);
int strncmp(const char *left, const char *right, size_t length);
bool parse_number(const char *text, uint64_t *value, const char **rest);

/* options.c: a word like "rate=16" sets the value of the option named "rate=" (and *given, where
 * there is one); false where it is none of them, or no number follows. */
struct option {
	const char *name;
	uint64_t *value;
	bool *given;
};
bool read_option(const char *word, const struct option *options, size_t count);

/* printf.c: %d %i %u %x %c %s %p %% with -, 0, width, precision (of %s), l, ll, z. printf holds the
 * console's lock, so that lines of several vCPUs do not mix; each call should end its line.
 * Both return lengths as in C. print_line prints all of its arguments in one piece. */
int printf(const char *format, ...) __attribute__((format(printf, 1, 2)));
int print_line(const char *before, const char *format, va_list arguments, const char *after);
int snprintf(char *buffer, size_t size, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* From now on printf does not take the console's lock: its holder may be the CPU that failed. */
void bust_console_lock(void);

/* A lock that spins. */
struct spinlock {
	unsigned taken; /* a whole word: riscv64 has no atomic operations on bytes */
};
void spin_lock(struct spinlock *lock);
void spin_unlock(struct spinlock *lock);

/* report.c: one line per subtest, "PASS: prefix: prefix: text"; prefixes nest. */
void report_prefix_push(const char *prefix);
void report_prefix_pop(void);
bool report(bool pass, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* A failure that is expected: XFAIL where it failed, XPASS (a failure) where it did not. */
void report_expected_failure(bool pass, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
void report_skip(const char *format, ...) __attribute__((format(printf, 1, 2)));
void report_info(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Prints the SUMMARY line and returns the exit code: skip where nothing but skips was reported. */
int report_summary(void);

/* random.c: xorshift64*, the same sequence everywhere for the same seed. */
struct random {
	uint64_t state;
};
void random_seed(struct random *random, uint64_t seed);
uint64_t random_next(struct random *random);
/* 0 ≤ result < limit. */
uint32_t random_below(struct random *random, uint32_t limit);

/* time.c: ticks of arch_clock() and nanoseconds, without overflow for any number of ticks. */
uint64_t ticks_to_nanoseconds(uint64_t ticks);
uint64_t nanoseconds_to_ticks(uint64_t nanoseconds);
/* Waits, awake, until the condition holds or that long has passed; the condition's last value. */
#define wait_until(condition, nanoseconds)                                                  \
	({                                                                                  \
		const uint64_t wait_start = arch_clock();                                   \
		const uint64_t wait_ticks = nanoseconds_to_ticks(nanoseconds);              \
		bool wait_met;                                                              \
		while (!(wait_met = (condition)) && arch_clock() - wait_start < wait_ticks) \
			cpu_relax();                                                        \
		wait_met;                                                                   \
	})

#define NSEC_PER_SEC  1000000000ULL
#define NSEC_PER_MSEC 1000000ULL

#endif
