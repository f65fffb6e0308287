/* SPDX-License-Identifier: MIT */
/*
 * The first and only program of a virtual host: mounts what Linux offers, loads the modules that
 * came with it, and serves the orchestrator's requests (README.md has the protocol).
 */
#include "init.h"

#define VERSION	      1
#define MODULE_LIST   "/modules/list"
#define REBOOT_MAGIC  0xfee1dead
#define REBOOT_MAGIC2 672274793
#define POWER_OFF     0x4321fedc
#define RESTART	      0x01234567
#define NAME_ROOM     65

struct kernel_names {
	char system[NAME_ROOM], node[NAME_ROOM], release[NAME_ROOM], version[NAME_ROOM];
	char machine[NAME_ROOM], domain[NAME_ROOM];
};

static char *arguments[8];

static void make_folder(const char *path)
{
	CALL3(__NR_mkdirat, AT_FDCWD, path, 0755);
}

static long mount(const char *what, const char *where, const char *type, unsigned long flags)
{
	make_folder(where);
	return CALL5(__NR_mount, what, where, type, flags, 0);
}

/* Each line of the list: a module's file, a space, its parameters. In order of dependencies. */
static void load_modules(void)
{
	char *text = read_file(MODULE_LIST, NULL);

	while (text && *text) {
		char *path = text, *parameters = "";
		long file, result;

		while (*text && *text != '\n' && *text != ' ')
			text++;
		if (*text == ' ') {
			*text++ = '\0';
			parameters = text;
			while (*text && *text != '\n')
				text++;
		}
		if (*text)
			*text++ = '\0';
		file = file_open(path, O_RDONLY);
		result = file < 0 ? file : CALL3(__NR_finit_module, file, parameters, 0);
		if (result < 0 && result != -EEXIST)
			complain(path, result);
		file_close((int)file);
	}
}

/* "reload MODULE": what it told the machine at its start is gone in a saved state. */
static long reload(const char *module)
{
	long result = CALL2(__NR_delete_module, module, O_NONBLOCK);

	load_modules();
	return result;
}

/* "ready VERSION KVM-ERROR RELEASE MACHINE": the kernel's error for /dev/kvm, 0 where it opens. */
static void send_ready(void)
{
	struct kernel_names names;
	struct line line = { .length = 0 };
	long kvm = file_open("/dev/kvm", O_RDWR);

	memset(&names, 0, sizeof(names));
	CALL1(__NR_uname, &names);
	line_text(&line, "ready ");
	line_number(&line, VERSION);
	line_text(&line, " ");
	line_number(&line, kvm < 0 ? -kvm : 0);
	line_text(&line, " ");
	line_text(&line, names.release);
	line_text(&line, " ");
	line_text(&line, names.machine);
	port_send(&line);
	if (kvm >= 0)
		file_close((int)kvm);
}

static void send_result(long result)
{
	struct line line = { .length = 0 };

	line_text(&line, "done ");
	line_number(&line, result < 0 ? -result : 0);
	port_send(&line);
}

/* "file PATH MODE SIZE": the data, in pieces, into a file of that name. */
static void receive_file(const char *path, unsigned mode, uint64_t size)
{
	static char piece[65536];
	long file =
		CALL4(__NR_openat, AT_FDCWD, path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
	long result = file < 0 ? file : 0;

	while (size > 0) {
		size_t here = size < sizeof(piece) ? (size_t)size : sizeof(piece);

		port_data(piece, here);
		if (result == 0 && !write_all((int)file, piece, here))
			result = -ENOSPC;
		size -= here;
	}
	if (file >= 0)
		file_close((int)file);
	send_result(result);
}

/* "get PATH": "data SIZE" and the content, or "done ERROR". */
static void send_file(const char *path)
{
	struct line line = { .length = 0 };
	size_t size = 0;
	char *data = read_file(path, &size);

	if (!data) {
		send_result(-ENOENT);
		return;
	}
	line_text(&line, "data");
	port_send_data(&line, data, size);
}

static void power(unsigned command)
{
	CALL0(__NR_sync);
	CALL4(__NR_reboot, REBOOT_MAGIC, REBOOT_MAGIC2, command, 0);
}

void power_off(void)
{
	power(POWER_OFF);
}

static unsigned split(char *line)
{
	unsigned count = 0;

	while (*line && count < ARRAY_SIZE(arguments)) {
		while (*line == ' ')
			*line++ = '\0';
		if (!*line)
			break;
		arguments[count++] = line;
		while (*line && *line != ' ')
			line++;
	}
	return count;
}

static void run(void)
{
	const struct run_request request = {
		.id = parse_number(arguments[1]),
		.seconds = parse_number(arguments[2]),
		.output_limit = parse_number(arguments[3]),
		.memory_limit = parse_number(arguments[4]),
		.words = (unsigned)parse_number(arguments[5]),
	};

	run_start(&request);
}

static void feed(void)
{
	static char data[4096];
	/* The words lie where the data will. */
	const uint64_t id = parse_number(arguments[1]), size = parse_number(arguments[2]);

	if (size > sizeof(data))
		return;
	port_data(data, (size_t)size);
	run_input(id, data, (size_t)size);
}

static void obey(char *line)
{
	const unsigned count = split(line);
	const char *what = count ? arguments[0] : "";

	if (!strcmp(what, "hello"))
		wake_timers(), send_ready();
	else if (!strcmp(what, "log"))
		log_send(), send_result(0);
	else if (!strcmp(what, "run") && count == 6)
		run();
	else if (!strcmp(what, "input") && count == 3)
		feed();
	else if (!strcmp(what, "kill") && count == 2)
		run_kill(parse_number(arguments[1]));
	else if (!strcmp(what, "file") && count == 4)
		receive_file(arguments[1], (unsigned)parse_number(arguments[2]),
			     parse_number(arguments[3]));
	else if (!strcmp(what, "get") && count == 2)
		send_file(arguments[1]);
	else if (!strcmp(what, "mount") && count == 4)
		send_result(mount(arguments[1], arguments[2], arguments[3], 1 /* read-only */));
	else if (!strcmp(what, "unmount") && count == 2)
		send_result(CALL2(__NR_umount2, arguments[1], 0));
	else if (!strcmp(what, "reload") && count == 2)
		send_result(reload(arguments[1]));
	else if (!strcmp(what, "power-off"))
		power_off();
	else
		send_result(-EINVAL);
}

_Noreturn void init_main(void)
{
	mount("devtmpfs", "/dev", "devtmpfs", 0);
	mount("proc", "/proc", "proc", 0);
	mount("sysfs", "/sys", "sysfs", 0);
	mount("tmpfs", "/tmp", "tmpfs", 0);
	mount("tmpfs", "/dev/shm", "tmpfs", 0); /* of sem_open and shm_open */
	mount("debugfs", "/sys/kernel/debug", "debugfs", 0);
	make_folder("/files");
	log_open();
	load_modules();
	run_alone();
	if (!port_open()) {
		complain("no virtio-serial port", 0);
		power(RESTART);
	}
	for (;;) {
		char *line;

		while ((line = port_line()))
			obey(line);
		run_wait();
		port_fill();
	}
}
