/* SPDX-License-Identifier: MIT */
/*
 * A host that is there for one guest, and is migrated while that runs: the guest's console is the
 * host's own, and the host ends with it. README.md has what is in /guest.
 */
#include "init.h"

#include <asm/ioctls.h>
#include <asm/termbits.h>

#define WORDS	"/guest/words"
#define CONSOLE "/dev/console"
#define SIGCHLD 17

/* Bytes go through as they are, and one at a time. */
static void make_raw(int terminal)
{
	struct termios settings;

	if (device_control(terminal, TCGETS, &settings) < 0)
		return;
	settings.c_iflag = 0;
	settings.c_oflag &= ~(tcflag_t)OPOST;
	settings.c_lflag &= ~(tcflag_t)(ICANON | ECHO | ISIG | IEXTEN);
	device_control(terminal, TCSETS, &settings);
}

static _Noreturn void become_vmm(char *text)
{
	char *words[8] = { "vmm" };
	int count = 1;

	while (*text && count < (int)ARRAY_SIZE(words)) {
		words[count++] = text;
		while (*text && *text != '\n')
			text++;
		if (*text)
			*text++ = '\0';
	}
	/* A file of its own: the VMM does not wait for input, and does for output. */
	CALL3(__NR_dup3, file_open(CONSOLE, O_RDONLY | O_NOCTTY), 0, 0);
	exit_all(vmm_main(count, words));
}

void run_alone(void)
{
	struct line line = { .length = 0 };
	char *text = read_file(WORDS, NULL);
	int status = 0;
	long process;

	if (!text)
		return;
	make_raw(0);
	process = CALL5(__NR_clone, SIGCHLD, 0, 0, 0, 0);
	if (process == 0)
		become_vmm(text);
	CALL4(__NR_wait4, process, &status, 0, 0);
	if (status) {
		line_text(&line, "the VMM ended with wait status ");
		line_hex(&line, (uint64_t)status);
		line_write(&line, 1);
	}
	power_off();
}
