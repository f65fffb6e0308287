/* SPDX-License-Identifier: MIT */
/* The parts of a virtual host's first program. */
#ifndef INIT_H
#define INIT_H

#include "system.h"

/* The port to the orchestrator (port.c): lines in both directions, some with data behind them. */
extern int port;
bool port_open(void);
/* The next line without its end, or NULL while it is not there; waits for nothing. */
char *port_line(void);
/* Take in what has come; true where something has. */
bool port_fill(void);
/* The data behind a line; waits for it. False where the peer is gone. */
bool port_data(void *to, size_t size);
void port_send(struct line *line);
void port_send_data(struct line *line, const void *data, size_t size);

/* The kernel's log (log.c). */
void log_open(void);
/* Send every record that has come since the last time. */
void log_send(void);

/* Programs (run.c), one at a time. */
struct run_request {
	uint64_t id, seconds, output_limit, memory_limit;
	unsigned words; /* of the command */
};

void run_start(const struct run_request *request);
void run_kill(uint64_t id);
void run_input(uint64_t id, const void *data, size_t size);
/* Whether a program runs. */
bool run_active(void);
/* Wait until it, the port or the log has something, and deal with the program's part. */
void run_wait(void);

/* A host that came with a guest runs it and ends (alone.c); returns where there is none. */
void run_alone(void);
void power_off(void);

#endif
