/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "nspawn/console.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "basic/clock.h"
#include "basic/fd.h"
#include "basic/terminal.h"

#define ESCAPE_BYTE 0x1d /* ^] */
#define ESCAPE_WINDOW_MS 1000
/* How often a busy console is read before everybody else gets a turn. */
#define READS_PER_TURN 32
/* What a terminal takes at once when it says that it has room (tty drivers keep that much). */
#define POLLED_WRITE 256

/*
 * Terminals and pipes are opened a second time: flags on ours do not show at the caller's. Files
 * are not, since a second description would have a position of its own; nor is the master of a
 * pseudo terminal, of which a second one would be another terminal.
 */
static void stream_open(struct console_stream *s, int fd, int flags)
{
        struct stat st = { .st_mode = 0 };
        unsigned number;
        int copy = -1;

        (void) fstat(fd, &st);
        if (S_ISFIFO(st.st_mode) ||
            (S_ISCHR(st.st_mode) && isatty(fd) && ioctl(fd, TIOCGPTN, &number) < 0))
                copy = terminal_reopen(fd, flags | O_NONBLOCK);
        *s = (struct console_stream){ .fd = copy >= 0 ? copy : fd, .owned = copy >= 0 };
        if (copy < 0 && S_ISSOCK(st.st_mode))
                s->way = WAY_SOCKET;
        else if (copy < 0 && !S_ISREG(st.st_mode))
                s->way = WAY_POLLED;
}

static ssize_t stream_write(const struct console_stream *s, const char *data, size_t n)
{
        struct pollfd room = { .fd = s->fd, .events = POLLOUT };

        if (s->way == WAY_SOCKET)
                return send(s->fd, data, n, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (s->way == WAY_POLLED) {
                if (poll(&room, 1, 0) <= 0) {
                        errno = EAGAIN;
                        return -1;
                }
                n = MIN_OF(n, (size_t) POLLED_WRITE);
        }
        return write(s->fd, data, n);
}

int console_init(struct console *c, enum console_mode mode, int take_master, int take_slave)
{
        *c = (struct console) CONSOLE_NULL;
        c->mode = mode;
        c->master = take_master;
        c->slave = take_slave;
        c->last_byte = '\n';
        c->in.finished = mode != CONSOLE_INTERACTIVE;
        c->out.finished = mode == CONSOLE_PASSIVE || mode == CONSOLE_PIPE;
        if (c->out.finished)
                return 0;
        c->from_guest = malloc(CONSOLE_BUFFER_SIZE);
        if (!c->from_guest)
                return -ENOMEM;
        stream_open(&c->out, STDOUT_FILENO, O_WRONLY);
        if (mode == CONSOLE_INTERACTIVE) {
                c->to_guest = malloc(CONSOLE_BUFFER_SIZE);
                if (!c->to_guest)
                        return -ENOMEM;
                stream_open(&c->in, STDIN_FILENO, O_RDONLY);
                c->raw = terminal_set_raw(STDIN_FILENO, &c->saved) >= 0;
                if (terminal_copy_size(STDOUT_FILENO, c->master) < 0)
                        (void) terminal_copy_size(STDIN_FILENO, c->master);
        }
        return 0;
}

/* How long a terminal that is stuck keeps us, at the end and at the beginning. */
#define LOOKS_PATIENCE_MS 200

static void write_looks(const struct console *c, const char *text)
{
        size_t n = strlen(text);

        while (n > 0) {
                struct pollfd room = { .fd = c->out.fd, .events = POLLOUT };
                ssize_t written = stream_write(&c->out, text, n);

                if (written < 0 && errno != EAGAIN && errno != EINTR)
                        return;
                if (written <= 0 && poll(&room, 1, LOOKS_PATIENCE_MS) <= 0)
                        return;
                if (written > 0) {
                        text += written;
                        n -= (size_t) written;
                }
        }
}

void console_dress(struct console *c, const char *background, const char *machine)
{
        char text[128];

        if (machine) {
                /* The terminal keeps the old title (xterm's CSI 22 t), and gets the new one. */
                (void) snprintf(text, sizeof(text), "\x1b[22;0t\x1b]0;Container %.64s\x1b\\",
                                machine);
                write_looks(c, text);
                c->titled = true;
        }
        if (background) {
                tint_init(&c->tint, background);
                write_looks(c, c->tint.sequence);
                /* What is below the cursor gets the colour, too: it is empty in most cases. */
                write_looks(c, "\x1b[J");
                c->tinted = true;
        }
}

static void take_looks_back(const struct console *c)
{
        if (!c->tinted && !c->titled)
                return;
        /* The guest may have been cut off in the midst of a sequence or a string. */
        write_looks(c, "\x1b\\");
        if (c->tinted)
                write_looks(c, "\x1b[0m\x1b[J");
        if (c->titled)
                write_looks(c, "\x1b[23;0t");
}

void console_resized(struct console *c)
{
        if (c->mode == CONSOLE_INTERACTIVE && terminal_copy_size(STDOUT_FILENO, c->master) < 0)
                (void) terminal_copy_size(STDIN_FILENO, c->master);
}

/* ---- towards the guest ------------------------------------------------------------------- */

static enum console_event look_for_escape(struct console *c, char byte)
{
        if (byte != ESCAPE_BYTE) {
                unsigned before = c->escapes;

                c->escapes = 0;
                if (before != 2 || clock_now_ms() - c->escape_start_ms > ESCAPE_WINDOW_MS)
                        return CONSOLE_NOTHING;
                return byte == 'p'   ? CONSOLE_POWEROFF
                       : byte == 'r' ? CONSOLE_REBOOT
                                     : CONSOLE_NOTHING;
        }
        if (c->escapes == 0 || clock_now_ms() - c->escape_start_ms > ESCAPE_WINDOW_MS) {
                c->escapes = 1;
                c->escape_start_ms = clock_now_ms();
                return CONSOLE_NOTHING;
        }
        return ++c->escapes >= 3 ? CONSOLE_KILL : CONSOLE_NOTHING;
}

static void flush_to_guest(struct console *c)
{
        ssize_t n = write(c->master, c->to_guest, c->n_to_guest);

        if (n <= 0)
                return;
        c->n_to_guest -= (size_t) n;
        memmove(c->to_guest, c->to_guest + n, c->n_to_guest);
}

static enum console_event read_caller(struct console *c)
{
        char *start = c->to_guest + c->n_to_guest;
        enum console_event event = CONSOLE_NOTHING;
        ssize_t n = read(c->in.fd, start, CONSOLE_BUFFER_SIZE - c->n_to_guest);

        if (n < 0 && (errno == EAGAIN || errno == EINTR))
                return CONSOLE_NOTHING;
        if (n <= 0) {
                c->in.finished = true;
                return CONSOLE_KILL;
        }
        for (ssize_t i = 0; i < n && event == CONSOLE_NOTHING; i++)
                event = look_for_escape(c, start[i]);
        c->n_to_guest += (size_t) n;
        flush_to_guest(c);
        return event;
}

/* ---- from the guest ---------------------------------------------------------------------- */

static void flush_from_guest(struct console *c)
{
        assert(c->from_guest);
        while (c->from_guest_done < c->n_from_guest) {
                const char *start = c->from_guest + c->from_guest_done;
                size_t rest = c->n_from_guest - c->from_guest_done;
                ssize_t n = stream_write(&c->out, start, rest);

                if (n < 0 && (errno == EAGAIN || errno == EINTR))
                        return;
                if (n <= 0) {
                        /* Nobody reads: the guest goes on, its output is dropped. */
                        c->out.finished = true;
                        break;
                }
                c->last_byte = start[n - 1];
                c->from_guest_done += (size_t) n;
        }
        c->from_guest_done = c->n_from_guest = 0;
}

/*
 * A guest that hangs its terminal up (getty does) closes ours too, and the master reports an error
 * until somebody opens the other end again.
 */
static void reopen_slave(struct console *c)
{
        (void) fd_close(c->slave);
        c->slave = ioctl(c->master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
}

/* Returns false when there is nothing more to read now. */
static bool read_guest(struct console *c)
{
        char aside[4096];
        bool direct = c->from_guest && !c->tinted;
        char *buffer = direct ? c->from_guest : aside;
        size_t size = direct ? CONSOLE_BUFFER_SIZE
                      : c->tinted
                              ? MIN_OF(sizeof(aside), (size_t) CONSOLE_BUFFER_SIZE / TINT_GROWTH)
                              : sizeof(aside);
        ssize_t n = read(c->master, buffer, size);

        if (n < 0 && errno == EIO && c->slave >= 0)
                reopen_slave(c);
        if (n <= 0)
                return false;
        if (!c->out.finished) {
                c->n_from_guest = c->tinted ? tint_apply(&c->tint, aside, (size_t) n, c->from_guest)
                                            : (size_t) n;
                c->from_guest_done = 0;
                flush_from_guest(c);
        }
        return true;
}

static void relay_guest(struct console *c)
{
        for (int i = 0; i < READS_PER_TURN && c->n_from_guest == 0; i++)
                if (!read_guest(c))
                        break;
}

/* ---- polling ----------------------------------------------------------------------------- */

size_t console_poll(const struct console *c, struct pollfd *fds)
{
        short master = 0;
        size_t n = 0;

        if (c->master < 0 || c->mode == CONSOLE_PASSIVE)
                return 0;
        if (c->n_from_guest == 0)
                master |= POLLIN;
        if (c->n_to_guest > 0)
                master |= POLLOUT;
        if (master)
                fds[n++] = (struct pollfd){ .fd = c->master, .events = master };
        if (!c->in.finished && c->n_to_guest < CONSOLE_BUFFER_SIZE)
                fds[n++] = (struct pollfd){ .fd = c->in.fd, .events = POLLIN };
        if (!c->out.finished && c->n_from_guest > 0)
                fds[n++] = (struct pollfd){ .fd = c->out.fd, .events = POLLOUT };
        return n;
}

enum console_event console_dispatch(struct console *c, const struct pollfd *fds, size_t n)
{
        enum console_event event = CONSOLE_NOTHING;

        for (size_t i = 0; i < n; i++) {
                if (fds[i].revents == 0)
                        continue;
                if (fds[i].fd == c->master) {
                        if (fds[i].revents & POLLOUT)
                                flush_to_guest(c);
                        if (fds[i].revents & (POLLIN | POLLHUP | POLLERR))
                                relay_guest(c);
                } else if (fds[i].fd == c->in.fd && fds[i].events == POLLIN)
                        event = read_caller(c);
                else {
                        flush_from_guest(c);
                        if (c->n_from_guest == 0)
                                relay_guest(c);
                }
        }
        return event;
}

bool console_drain(struct console *c)
{
        if (c->master < 0 || c->out.finished)
                return true;
        /* Without a second holder the master ends with an error behind the last byte. */
        c->slave = fd_close(c->slave);
        for (;;) {
                if (c->n_from_guest > 0)
                        flush_from_guest(c);
                if (c->n_from_guest > 0)
                        return false;
                if (c->out.finished || !read_guest(c))
                        return true;
        }
}

void console_end_line(struct console *c)
{
        if (c->out.fd >= 0 && !c->out.finished && c->last_byte != '\n')
                (void) stream_write(&c->out, "\n", 1);
}

void console_done(struct console *c)
{
        take_looks_back(c);
        if (c->raw)
                terminal_restore(STDIN_FILENO, &c->saved);
        if (c->in.owned)
                (void) fd_close(c->in.fd);
        if (c->out.owned)
                (void) fd_close(c->out.fd);
        (void) fd_close(c->master);
        (void) fd_close(c->slave);
        free(c->to_guest);
        free(c->from_guest);
        *c = (struct console) CONSOLE_NULL;
}
