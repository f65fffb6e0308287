/* SPDX-License-Identifier: MIT */
/* From start-up to exit: find the test that the command line names, run it, end with its verdict.
 */
#include <arch.h>
#include <guest.h>

static const struct test all_tests[] = {
	{ "boot", test_boot },
	{ "deadloop", test_deadloop },
	{ "exception", test_exception },
	{ "fail", test_fail },
	{ "hang", test_hang },
	{ "memory", test_memory },
	{ "panic", test_panic },
	{ "ram-integrity", test_ram_integrity },
	{ "smp", test_smp },
	{ "spin", test_spin },
	{ "timer", test_timer },
};

static const struct test *test_find(const char *name, size_t length)
{
	for (size_t i = 0; i < ARRAY_LENGTH(all_tests); i++) {
		const struct test *test = &all_tests[i];

		if (strlen(test->name) == length && !strncmp(test->name, name, length))
			return test;
	}
	return NULL;
}

static _Noreturn void unknown_test(const char *name, size_t length)
{
	char names[256] = "";
	size_t used = 0;

	for (size_t i = 0; i < ARRAY_LENGTH(all_tests); i++)
		used += format_text(names + used, sizeof(names) - used, "%s%s", i ? ", " : "",
				    all_tests[i].name);
	report(false, "no test is named '%.*s': the first word of the command line is one of %s",
	       (int)length, name, names);
	report_summary();
	arch_exit(EXIT_CODE_ABORT);
}

_Noreturn void guest_main(uintptr_t boot_information)
{
	const char *arguments;
	const struct test *test;
	size_t length = 0;

	arch_init(boot_information);
	arguments = arch_arguments();
	while (*arguments == ' ')
		arguments++;
	while (arguments[length] && arguments[length] != ' ')
		length++;
	test = test_find(arguments, length);
	if (!test)
		unknown_test(arguments, length);
	arguments += length;
	report_prefix_push(test->name);
	test->run(*arguments ? arguments + 1 : arguments);
	arch_exit(report_summary());
}

_Noreturn void guest_unhandled(const char *what, uint64_t address)
{
	static unsigned failed_before; /* a whole word: riscv64 has no atomic operations on bytes */

	if (!__atomic_exchange_n(&failed_before, 1, __ATOMIC_RELAXED)) {
		print_unlock_for_ever();
		print("Unhandled exception: %s at 0x%llx\n", what, (unsigned long long)address);
	}
	arch_exit(EXIT_CODE_ABORT);
}
