/* SPDX-License-Identifier: MIT */
/* Runs one program with limits, and reports what it prints and how it ends. */
#include "init.h"

#define CLONE_CHILD  17 /* SIGCHLD alone: a fork */
#define KILL	     9
#define WAIT_NO_HANG 1
#define LIMIT_CORE   4
#define LIMIT_MEMORY 9 /* RLIMIT_AS */
#define POLL_IN	     1
#define MAX_WORDS    256
#define SLICE_MS     1000
#define LAST_OUTPUT  1000 /* turns of 1 ms for what still lies in the pipe */
#define CANNOT_START 127

struct poll_entry {
	int file;
	short wanted, got;
};

static struct {
	uint64_t id, output_left, cut;
	long process;
	int watched, output, input;
	int64_t begun, deadline;
	bool timed_out;
} now;

bool run_active(void)
{
	return now.process > 0;
}

static void report(uint64_t id, const char *what, const char *words)
{
	struct line line = { .length = 0 };

	line_text(&line, what);
	line_text(&line, " ");
	line_number(&line, (int64_t)id);
	line_text(&line, " ");
	line_text(&line, words);
	port_send(&line);
}

static char **read_words(unsigned count)
{
	char **words = memory_new((MAX_WORDS + 1) * sizeof(*words));

	for (unsigned i = 0; i < count; i++) {
		char *text;
		size_t size;

		while (!(text = port_line()))
			if (!port_fill())
				sleep_ms(1);
		size = parse_number(text);
		words[i] = memory_new(size + 1);
		port_data(words[i], size);
	}
	return words;
}

static _Noreturn void become(const struct run_request *request, char **words, const int *pipes)
{
	static const uint64_t no_core[2] = { 0, 0 };
	const uint64_t memory[2] = { request->memory_limit, request->memory_limit };
	char *environment[] = { "PATH=/bin:/sbin", "HOME=/", "LC_ALL=C", NULL };

	CALL0(__NR_setsid);
	CALL3(__NR_dup3, pipes[0], 0, 0);
	CALL3(__NR_dup3, pipes[3], 1, 0);
	CALL3(__NR_dup3, pipes[3], 2, 0);
	CALL4(__NR_prlimit64, 0, LIMIT_CORE, no_core, 0);
	if (request->memory_limit)
		CALL4(__NR_prlimit64, 0, LIMIT_MEMORY, memory, 0);
	complain(words[0], CALL3(__NR_execve, words[0], words, environment));
	exit_all(CANNOT_START);
}

/* pipes: input to read, to write, output to read, to write. */
static bool make_pipes(int *pipes)
{
	return CALL2(__NR_pipe2, pipes, O_CLOEXEC) >= 0 &&
	       CALL2(__NR_pipe2, pipes + 2, O_CLOEXEC) >= 0;
}

void run_start(const struct run_request *request)
{
	char **words;
	int pipes[4];

	if (request->words == 0 || request->words > MAX_WORDS || run_active()) {
		report(request->id, "error", "a program runs, or the command has too many words");
		return;
	}
	words = read_words(request->words);
	if (!make_pipes(pipes)) {
		report(request->id, "error", "no pipes");
		return;
	}
	now.process = CALL5(__NR_clone, CLONE_CHILD, 0, 0, 0, 0);
	if (now.process == 0)
		become(request, words, pipes);
	file_close(pipes[0]);
	file_close(pipes[3]);
	now.id = request->id;
	now.input = pipes[1];
	now.output = pipes[2];
	now.output_left = request->output_limit;
	now.cut = 0;
	now.timed_out = false;
	now.begun = clock_now();
	now.deadline = now.begun + (int64_t)request->seconds * NANOSECONDS;
	if (now.process < 0) {
		report(request->id, "error", "no process");
		return;
	}
	now.watched = (int)CALL2(__NR_pidfd_open, now.process, 0);
	CALL3(__NR_fcntl, now.output, F_SETFL, O_RDONLY | O_NONBLOCK);
	CALL3(__NR_fcntl, now.input, F_SETFL, O_WRONLY | O_NONBLOCK);
	for (unsigned i = 0; i < request->words; i++)
		CALL2(__NR_munmap, words[i], strlen(words[i]) + 1);
	CALL2(__NR_munmap, words, (MAX_WORDS + 1) * sizeof(*words));
}

static void kill_all(void)
{
	CALL2(__NR_kill, -now.process, KILL);
	CALL2(__NR_kill, now.process, KILL);
}

void run_kill(uint64_t id)
{
	if (run_active() && now.id == id)
		kill_all();
}

void run_input(uint64_t id, const void *data, size_t size)
{
	if (run_active() && now.id == id)
		CALL3(__NR_write, now.input, data, size); /* a reader that is gone is no matter */
}

/* One chunk of output; false where there is none now. */
static bool send_output(void)
{
	static char chunk[16384];
	struct line line = { .length = 0 };
	long got = file_read(now.output, chunk, sizeof(chunk));
	size_t kept;

	if (got <= 0)
		return false;
	kept = (uint64_t)got < now.output_left ? (size_t)got : (size_t)now.output_left;
	now.output_left -= kept;
	now.cut += (size_t)got - kept;
	if (kept > 0) {
		line_text(&line, "output ");
		line_number(&line, (int64_t)now.id);
		port_send_data(&line, chunk, kept);
	}
	return true;
}

/* "ended ID exit|signal NUMBER limit|- NANOSECONDS CUT" */
static void send_end(int status)
{
	struct line line = { .length = 0 };
	const int number = status & 0x7f;

	line_text(&line, "ended ");
	line_number(&line, (int64_t)now.id);
	line_text(&line, number ? " signal " : " exit ");
	line_number(&line, number ? number : status >> 8 & 0xff);
	line_text(&line, now.timed_out ? " limit " : " - ");
	line_number(&line, clock_now() - now.begun);
	line_text(&line, " ");
	line_number(&line, (int64_t)now.cut);
	port_send(&line);
}

/* What it left behind ends with it. */
static void finish(int status)
{
	CALL2(__NR_kill, -now.process, KILL);
	for (unsigned turn = 0; turn < LAST_OUTPUT && send_output(); turn++)
		;
	file_close(now.output);
	file_close(now.input);
	file_close(now.watched);
	log_send();
	send_end(status);
	now.process = 0;
}

static void reap(void)
{
	int status = 0;
	long ended;

	while ((ended = CALL4(__NR_wait4, -1, &status, WAIT_NO_HANG, 0)) > 0)
		if (ended == now.process)
			finish(status);
}

static int64_t wait_time(void)
{
	int64_t left = SLICE_MS * 1000000ll;

	if (run_active() && !now.timed_out && now.deadline - clock_now() < left)
		left = now.deadline - clock_now();
	return left < 0 ? 0 : left;
}

void run_wait(void)
{
	struct poll_entry entries[3] = { { port, POLL_IN, 0 },
					 { now.watched, POLL_IN, 0 },
					 { now.output, POLL_IN, 0 } };
	const int64_t left = wait_time();
	struct timespec64 time = { left / NANOSECONDS, left % NANOSECONDS };

	CALL5(__NR_ppoll, entries, run_active() ? 3 : 1, &time, 0, 0);
	if (entries[0].got & ~POLL_IN) /* nobody is at the other end of the port */
		sleep_ms(10);
	if (!run_active()) {
		reap();
		return;
	}
	send_output();
	log_send();
	if (!now.timed_out && clock_now() >= now.deadline) {
		now.timed_out = true;
		kill_all();
	}
	reap();
}
