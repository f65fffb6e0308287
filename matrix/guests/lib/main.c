/* SPDX-License-Identifier: MIT */
/* From start-up to exit: find the test that the command line names, run it, end with its verdict.
 */
#include <arch.h>
#include <guest.h>

#define COMMAND_LINE_SIZE 4096
#define MAX_WORDS	  64

static const struct test all_tests[] = {
	{ "boot", test_boot },
	{ "deadloop", test_deadloop },
	{ "disk-integrity", test_disk_integrity },
	{ "edu", test_edu },
	{ "elastic-integrity", test_elastic_integrity },
	{ "exception", test_exception },
	{ "fail", test_fail },
	{ "hang", test_hang },
	{ "memory", test_memory },
	{ "net-integrity", test_net_integrity },
	{ "panic", test_panic },
	{ "ram-integrity", test_ram_integrity },
	{ "smp", test_smp },
	{ "spin", test_spin },
	{ "timer", test_timer },
	{ "virtio-blk", test_virtio_blk },
};

/* The words of the command line, from a copy of it. */
static int split_command_line(char **argv)
{
	static char words[COMMAND_LINE_SIZE];
	char *at = words;
	int argc = 0;

	snprintf(words, sizeof(words), "%s", arch_command_line());
	for (;;) {
		while (*at == ' ')
			*at++ = '\0';
		if (!*at || argc == MAX_WORDS)
			return argc;
		argv[argc++] = at;
		while (*at && *at != ' ')
			at++;
	}
}

static const struct test *test_find(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(all_tests); i++) {
		const struct test *test = &all_tests[i];

		if (!strcmp(test->name, name))
			return test;
	}
	return NULL;
}

static _Noreturn void unknown_test(const char *name)
{
	char names[256] = "";
	size_t used = 0;

	for (size_t i = 0; i < ARRAY_SIZE(all_tests); i++)
		used += (size_t)snprintf(names + used, sizeof(names) - used, "%s%s", i ? ", " : "",
					 all_tests[i].name);
	report(false, "no test is named '%s': the first word of the command line is one of %s",
	       name, names);
	report_summary();
	arch_exit(EXIT_CODE_ABORT);
}

_Noreturn void guest_main(uintptr_t boot_information)
{
	static char *argv[MAX_WORDS + 1];
	const struct test *test;
	int argc;

	arch_init(boot_information);
	argc = split_command_line(argv);
	test = test_find(argc ? argv[0] : "");
	if (!test)
		unknown_test(argc ? argv[0] : "");
	report_prefix_push(test->name);
	if (!test->main) {
		report_skip("this guest knows no such devices on this architecture");
		arch_exit(report_summary());
	}
	arch_exit(test->main(argc, argv));
}

_Noreturn void guest_unhandled(const char *what, uint64_t address)
{
	static unsigned failed_before; /* a whole word: riscv64 has no atomic operations on bytes */

	if (!__atomic_exchange_n(&failed_before, 1, __ATOMIC_RELAXED)) {
		bust_console_lock();
		printf("Unhandled exception: %s at 0x%llx\n", what, (unsigned long long)address);
	}
	arch_exit(EXIT_CODE_ABORT);
}
