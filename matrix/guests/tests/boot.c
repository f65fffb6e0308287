/* SPDX-License-Identifier: MIT */
/*
 * boot MIB [WORDS]: the console works, the command line arrived unchanged, and the machine has the
 * memory that it was given. MIB is what -m said; WORDS, where given, must be exactly these.
 */
#include <arch.h>
#include <guest.h>

static const char intact[] =
	"several  words, 'quotes', key=value;x:y/z (a) [b] {c} <d> #1 50% ~^&|!?@*_+-.";

void test_boot(const char *arguments)
{
	const unsigned long long found = arch_memory_size();
	uint64_t expected;

	report(true, "console");
	report_info("memory: %llu bytes (%llu MiB)", found, found >> 20);
	report_info("vCPUs: %u", arch_cpu_count());
	if (!number_parse(arguments, &expected, &arguments)) {
		report_skip("memory size: nothing to compare with (boot MIB [WORDS])");
		return;
	}
	report(found == expected << 20, "memory size: %llu MiB are there, %llu MiB were given",
	       found >> 20, (unsigned long long)expected);
	if (*arguments == ' ') {
		report_info("arguments: \"%s\"", arguments + 1);
		report(!strcmp(arguments + 1, intact), "arguments: intact");
	}
}
