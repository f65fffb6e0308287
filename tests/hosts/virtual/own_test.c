/* SPDX-License-Identifier: MIT */
/* Ends in every way in which a KVM selftest does. */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";

	if (open("/dev/kvm", O_RDWR) < 0 || shm_open("/own", O_RDWR | O_CREAT, 0600) < 0)
		return 1;
	if (!strcmp(what, "tap"))
		return puts("TAP version 13\n1..2\nok 1 one\nnot ok 2 two"), 1;
	if (!strcmp(what, "skip"))
		return puts("1..0 # SKIP - no such feature"), 4;
	if (!strcmp(what, "assert"))
		return fputs("==== Test Assertion Failure ====\n  own_test.c:7: a == b\n"
			     "  pid=1 tid=1 errno=0 - Success\n  a is not b\n", stderr), 254;
	if (!strcmp(what, "signal"))
		return raise(SIGABRT);
	if (!strcmp(what, "hang"))
		pause();
	if (!strcmp(what, "panic"))
		return write(open("/proc/sysrq-trigger", O_WRONLY), "c", 1) == 1;
	return puts("done"), 0;
}
