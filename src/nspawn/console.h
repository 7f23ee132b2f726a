/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <poll.h>
#include <termios.h>

#include "nspawn/config.h"
#include "nspawn/tint.h"

/*
 * The console: relays between the caller's standard streams and the container's terminal. The
 * caller's file flags are never changed: where non-blocking descriptors are needed they are opened
 * anew. The caller's terminal gets its mode back in console_done(), whatever happened.
 */

enum console_event {
        CONSOLE_NOTHING,
        CONSOLE_KILL,     /* ^] three times, or the end of the input of an interactive console */
        CONSOLE_POWEROFF, /* ^] ^] p */
        CONSOLE_REBOOT,   /* ^] ^] r */
};

#define CONSOLE_BUFFER_SIZE 16384

/* How one writes to a stream without being kept by it. */
enum console_way {
        WAY_PLAIN, /* a file, which does not keep anybody; or a description of our own that may not */
        WAY_SOCKET, /* send(2) can be told not to wait */
        WAY_POLLED, /* little at a time, and only when there is room */
};

struct console_stream {
        int fd;
        enum console_way way;
        bool owned;    /* opened by us: non-blocking, and to be closed */
        bool finished; /* end of file, or nobody reads any more */
};

struct console {
        enum console_mode mode;
        int master;
        int slave; /* kept open, so that a guest that closes its console does not end it */
        struct console_stream in, out;
        struct termios saved;
        bool raw;
        char *to_guest, *from_guest; /* buffers of CONSOLE_BUFFER_SIZE */
        size_t n_to_guest, n_from_guest, from_guest_done;
        unsigned escapes;         /* ^] in a row */
        uint64_t escape_start_ms; /* when the first of them came */
        bool tinted, titled;      /* the terminal has to get its looks back */
        struct tint tint;
        char last_byte; /* written to the caller, for the final line end */
};

#define CONSOLE_NULL                                                                               \
        {                                                                                          \
                .master = -1, .slave = -1, .in = { .fd = -1 }, .out = {.fd = -1 }                  \
        }

/*
 * Takes the terminal's @master; it must be non-blocking. In interactive mode the caller's terminal
 * becomes raw and its size is passed on. Returns 0 or a negative errno.
 */
int console_init(struct console *c, enum console_mode mode, int take_master, int take_slave);

/*
 * Gives the caller's terminal a background (parameters of SGR) and a title with the machine's name
 * until console_done(); either may be NULL. Only where standard output is a terminal, after
 * console_init().
 */
void console_dress(struct console *c, const char *background, const char *machine);

/* What to poll for: fills at most 3 items of @fds and returns how many. */
size_t console_poll(const struct console *c, struct pollfd *fds);

/* Relays what is there. @fds and @n as console_poll() made them and poll(2) answered them. */
enum console_event console_dispatch(struct console *c, const struct pollfd *fds, size_t n);

/* The caller's terminal has a new size. */
void console_resized(struct console *c);

/*
 * After the payload's end: passes on what it still wrote. Returns true when that is done, or nobody
 * reads any more; false when the reader has to make room first: poll .out.fd for POLLOUT, call again.
 */
bool console_drain(struct console *c);

/* Ends the last line that was passed on, if the payload did not. */
void console_end_line(struct console *c);

/* Gives the caller's terminal its mode and its looks back, closes and frees. Accepts an empty one. */
void console_done(struct console *c);
