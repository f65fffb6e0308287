/* SPDX-License-Identifier: MIT */
/*
 * boot MIB [WORDS]: the console works, the command line arrived unchanged, and the machine has the
 * memory that it was given. MIB is what -m said; WORDS, where given, must be exactly these.
 */
#include <arch.h>
#include <guest.h>

static const char intact[] =
	"several  words, 'quotes', key=value;x:y/z (a) [b] {c} <d> #1 50% ~^&|!?@*_+-.";

/* What follows the words and one space, byte for byte: argv does not keep spaces. */
static const char *after_words(const char *line, unsigned words)
{
	while (words--) {
		while (*line == ' ')
			line++;
		while (*line && *line != ' ')
			line++;
	}
	return *line ? line + 1 : line;
}

int test_boot(int argc, char **argv)
{
	const unsigned long long found = arch_memory_size();
	const char *rest;
	uint64_t expected;

	report(true, "console");
	report_info("memory: %llu bytes (%llu MiB)", found, found >> 20);
	report_info("vCPUs: %u", arch_cpu_count());
	if (argc < 2 || !parse_number(argv[1], &expected, &rest)) {
		report_skip("memory size: nothing to compare with (boot MIB [WORDS])");
		return report_summary();
	}
	report(found == expected << 20, "memory size: %llu MiB are there, %llu MiB were given",
	       found >> 20, (unsigned long long)expected);
	if (argc > 2) {
		rest = after_words(arch_command_line(), 2);
		report_info("arguments: \"%s\"", rest);
		report(!strcmp(rest, intact), "arguments: intact");
	}
	return report_summary();
}
