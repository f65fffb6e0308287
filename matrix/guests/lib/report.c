/* SPDX-License-Identifier: MIT */
/* The console protocol: a line per subtest and the summary, in kvm-unit-tests' words. */
#include <arch.h>
#include <guest.h>

#define PREFIX_BYTES 128

static char prefixes[PREFIX_BYTES]; /* "timer: latency: " */
static unsigned tests, failures, expected_failures, skips;
static struct spinlock report_lock;

void report_prefix_push(const char *prefix)
{
	const size_t used = strlen(prefixes);

	snprintf(prefixes + used, sizeof(prefixes) - used, "%s: ", prefix);
}

void report_prefix_pop(void)
{
	size_t length = strlen(prefixes);

	if (length < 2)
		return;
	length -= 2; /* the last prefix's ": " */
	while (length >= 2 && !(prefixes[length - 2] == ':' && prefixes[length - 1] == ' '))
		length--;
	prefixes[length < 2 ? 0 : length] = '\0';
}

static void line(const char *verdict, const char *format, va_list arguments)
{
	char before[PREFIX_BYTES + 16];

	snprintf(before, sizeof(before), "%s: %s", verdict, prefixes);
	print_line(before, format, arguments, "\n");
}

static void count(unsigned *counter)
{
	spin_lock(&report_lock);
	tests++;
	if (counter)
		(*counter)++;
	spin_unlock(&report_lock);
}

bool report(bool pass, const char *format, ...)
{
	va_list arguments;

	count(pass ? NULL : &failures);
	va_start(arguments, format);
	line(pass ? "PASS" : "FAIL", format, arguments);
	va_end(arguments);
	return pass;
}

void report_expected_failure(bool pass, const char *format, ...)
{
	va_list arguments;

	count(pass ? &failures : &expected_failures);
	va_start(arguments, format);
	line(pass ? "XPASS" : "XFAIL", format, arguments);
	va_end(arguments);
}

void report_skip(const char *format, ...)
{
	va_list arguments;

	count(&skips);
	va_start(arguments, format);
	line("SKIP", format, arguments);
	va_end(arguments);
}

void report_info(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	line("INFO", format, arguments);
	va_end(arguments);
}

int report_summary(void)
{
	char text[128];
	size_t used = snprintf(text, sizeof(text), "SUMMARY: %u tests", tests);

	if (failures)
		used += snprintf(text + used, sizeof(text) - used, ", %u unexpected failures",
				 failures);
	if (expected_failures)
		used += snprintf(text + used, sizeof(text) - used, ", %u expected failures",
				 expected_failures);
	if (skips)
		snprintf(text + used, sizeof(text) - used, ", %u skipped", skips);
	printf("%s\n", text);
	if (tests == skips)
		return EXIT_CODE_SKIP;
	return failures ? EXIT_CODE_FAIL : EXIT_CODE_PASS;
}
