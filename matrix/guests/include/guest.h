/* SPDX-License-Identifier: MIT */
/* What the common library offers to the tests and to the architectures' own code. */
#ifndef GUEST_H
#define GUEST_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ARRAY_LENGTH(array) (sizeof(array) / sizeof((array)[0]))

/* Exit codes, as kvm-unit-tests gives them: what its runner looks at, and what a machine reports,
 * is (code << 1) | 1, which must come out as 77 for a skip and as 127 for an abort. */
#define EXIT_CODE_PASS	0
#define EXIT_CODE_FAIL	1
#define EXIT_CODE_SKIP	(77 >> 1)
#define EXIT_CODE_ABORT (127 >> 1)

/* One test: chosen by the first word of the command line, given the rest of that line. It returns
 * to say that it is done; what it reported decides the exit code. */
struct test {
	const char *name;
	void (*run)(const char *arguments);
};

void test_boot(const char *arguments);
void test_deadloop(const char *arguments);
void test_exception(const char *arguments);
void test_fail(const char *arguments);
void test_hang(const char *arguments);
void test_memory(const char *arguments);
void test_panic(const char *arguments);
void test_ram_integrity(const char *arguments);
void test_smp(const char *arguments);
void test_spin(const char *arguments);
void test_timer(const char *arguments);

/* string.c: as in C, plus numbers. number_parse reads digits (0x… is hexadecimal) and sets *rest
 * behind them; it returns false, with *value untouched, where there is no digit. */
void *memcpy(void *to, const void *from, size_t length);
void *memmove(void *to, const void *from, size_t length);
void *memset(void *to, int byte, size_t length);
int memcmp(const void *left, const void *right, size_t length);
size_t strlen(const char *text);
int strcmp(const char *left, const char *right);
int strncmp(const char *left, const char *right, size_t length);
bool number_parse(const char *text, uint64_t *value, const char **rest);

/* printf.c: %d %i %u %x %c %s %p %% with -, 0, width, precision (of %s), l, ll, z. print holds the
 * console's lock, so that lines of several vCPUs do not mix; each call should end its line.
 * format_text writes at most size bytes with the closing 0 and returns the length it needed. */
void print(const char *format, ...) __attribute__((format(printf, 1, 2)));
void print_arguments(const char *before, const char *format, va_list arguments, const char *after);
size_t format_text(char *buffer, size_t size, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* From now on print does not take the console's lock: its holder may be the CPU that failed. */
void print_unlock_for_ever(void);

/* A lock that spins. */
struct lock {
	unsigned taken; /* a whole word: riscv64 has no atomic operations on bytes */
};
void lock_take(struct lock *lock);
void lock_release(struct lock *lock);

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
			arch_relax();                                                       \
		wait_met;                                                                   \
	})

#define NANOSECONDS_PER_SECOND	    1000000000ULL
#define NANOSECONDS_PER_MILLISECOND 1000000ULL

#endif
