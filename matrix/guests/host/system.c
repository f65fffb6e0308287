/* SPDX-License-Identifier: MIT */
/* See system.h. */
#include "system.h"

#define MAP_ANONYMOUS 0x20
#define MAP_PRIVATE   0x02
#define PROT_READ     1
#define PROT_WRITE    2
#define CLOCK	      1 /* CLOCK_MONOTONIC */
#define ABSOLUTE      1 /* TIMER_ABSTIME */

int program_main(long *stack);

int program_main(long *stack)
{
	int argc = (int)stack[0];
	char **argv = (char **)(stack + 1);

	if (argc > 1 && !strcmp(argv[1], "vmm"))
		exit_all(vmm_main(argc - 1, argv + 1));
	if (CALL0(__NR_getpid) != 1) {
		complain("usage: init vmm IMAGE MIB VCPUS [ARGUMENTS]", 0);
		exit_all(64);
	}
	init_main();
}

_Noreturn void exit_all(int status)
{
	for (;;)
		CALL1(__NR_exit_group, status);
}

int64_t clock_now(void)
{
	struct timespec64 now = { 0, 0 };

	CALL2(__NR_clock_gettime, CLOCK, &now);
	return now.seconds * NANOSECONDS + now.nanoseconds;
}

/* A timer that has expired long ago makes Linux program the clock's next event anew. */
static void wake_timer(void)
{
	struct timespec64 past = { 0, 1 };

	CALL4(__NR_clock_nanosleep, CLOCK, ABSOLUTE, &past, 0);
}

void wake_timers(void)
{
	for (unsigned cpu = 0; cpu < 64; cpu++) {
		const uint64_t one = 1ull << cpu;

		if (CALL3(__NR_sched_setaffinity, 0, sizeof(one), &one) >= 0)
			wake_timer();
	}
	const uint64_t all = ~0ull;

	CALL3(__NR_sched_setaffinity, 0, sizeof(all), &all);
}

void sleep_ms(unsigned ms)
{
	wake_timer();
	struct timespec64 time = { ms / 1000, (int64_t)(ms % 1000) * 1000000 };

	CALL2(__NR_nanosleep, &time, 0);
}

void *memory_new(size_t size)
{
	long at = CALL6(__NR_mmap, 0, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
			0);

	if (at < 0 && at > -4096) {
		complain("memory", at);
		exit_all(70);
	}
	return (void *)at;
}

bool write_all(int file, const void *data, size_t size)
{
	const char *at = data;

	while (size > 0) {
		long written = CALL3(__NR_write, file, at, size);

		if (written == -EINTR || written == -EAGAIN)
			continue;
		if (written <= 0)
			return false;
		at += written;
		size -= (size_t)written;
	}
	return true;
}

char *read_file(const char *path, size_t *size)
{
	long file = file_open(path, O_RDONLY);
	size_t room = 1 << 16, used = 0;
	char *data;
	long got;

	if (file < 0)
		return NULL;
	data = memory_new(room);
	while ((got = file_read((int)file, data + used, room - 1 - used)) > 0) {
		used += (size_t)got;
		if (used == room - 1) {
			char *larger = memory_new(2 * room);

			memcpy(larger, data, used);
			CALL2(__NR_munmap, data, room);
			data = larger;
			room *= 2;
		}
	}
	file_close((int)file);
	data[used] = '\0';
	if (size)
		*size = used;
	return got < 0 ? NULL : data;
}

void *memcpy(void *to, const void *from, size_t size)
{
	for (size_t i = 0; i < size; i++)
		((char *)to)[i] = ((const char *)from)[i];
	return to;
}

void *memmove(void *to, const void *from, size_t size)
{
	if ((uintptr_t)to <= (uintptr_t)from)
		return memcpy(to, from, size);
	while (size-- > 0)
		((char *)to)[size] = ((const char *)from)[size];
	return to;
}

void *memset(void *to, int byte, size_t size)
{
	for (size_t i = 0; i < size; i++)
		((char *)to)[i] = (char)byte;
	return to;
}

int memcmp(const void *a, const void *b, size_t size)
{
	const unsigned char *first = a, *second = b;

	for (size_t i = 0; i < size; i++)
		if (first[i] != second[i])
			return first[i] - second[i];
	return 0;
}

size_t strlen(const char *text)
{
	size_t length = 0;

	while (text[length])
		length++;
	return length;
}

int strcmp(const char *a, const char *b)
{
	while (*a && *a == *b) {
		a++;
		b++;
	}
	return (unsigned char)*a - (unsigned char)*b;
}

uint64_t parse_number(const char *text)
{
	uint64_t number = 0;

	while (*text >= '0' && *text <= '9')
		number = number * 10 + (uint64_t)(*text++ - '0');
	return number;
}

void line_text(struct line *line, const char *text)
{
	while (*text && line->length < sizeof(line->text) - 1)
		line->text[line->length++] = *text++;
}

static void digits(struct line *line, uint64_t number, unsigned base)
{
	char text[24];
	size_t at = sizeof(text);

	text[--at] = '\0';
	do {
		text[--at] = "0123456789abcdef"[number % base];
		number /= base;
	} while (number > 0);
	line_text(line, text + at);
}

void line_number(struct line *line, int64_t number)
{
	if (number < 0)
		line_text(line, "-");
	digits(line, number < 0 ? -(uint64_t)number : (uint64_t)number, 10);
}

void line_hex(struct line *line, uint64_t number)
{
	line_text(line, "0x");
	digits(line, number, 16);
}

bool line_write(struct line *line, int file)
{
	if (line->length == sizeof(line->text) - 1)
		line->length--;
	line->text[line->length++] = '\n';
	return write_all(file, line->text, line->length);
}

void complain(const char *what, long error)
{
	struct line line = { .length = 0 };

	line_text(&line, what);
	if (error < 0) {
		line_text(&line, ": error ");
		line_number(&line, -error);
	}
	line_write(&line, 2);
}
