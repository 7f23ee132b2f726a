/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Connections of the port proxy. Each has two sockets and a stream for each direction; what goes
 * through a stream stays in the kernel: splice(2) from one socket into a pipe and out of it into
 * the other. A pipe is only held while something is in it, so that an idle connection costs two
 * descriptors.
 *
 * Sockets are watched edge-triggered, once: after an event a connection's streams are pumped until
 * neither moves, or its share of the turn is over; then it is on the list of those that go on in
 * the next turn.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "basic/clock.h"
#include "basic/fd.h"
#include "netsetup/port-proxy-loop.h"

#define PIPE_BYTES ((size_t) 256 * 1024)
#define FREE_PIPES 16
#define ROUNDS_EACH_TURN 8
#define ACCEPTS_EACH_TURN 32
/* A peer that vanished without a word is noticed after 300 + 4 * 30 seconds. */
#define KEEPALIVE_IDLE 300
#define KEEPALIVE_INTERVAL 30
#define KEEPALIVE_COUNT 4
/* SYNs to the machine, which is at hand: 1 + 2 + 4 seconds. */
#define CONNECT_TRIES 2
/* When there are as many connections as there may be, one without traffic for so long makes
 * place. */
#define IDLE_MS UINT64_C(60000)

struct stream {
        int pipe_out, pipe_in; /* read and write end; -1 while nothing is in it */
        size_t filled;
        bool ended; /* its source has said that nothing more comes */
        bool shut;  /* its destination has been told so */
};

struct connection {
        struct source client, guest;
        struct stream up, down; /* to the guest, to the client */
        bool connecting, is_ready, is_dead;
        bool broken; /* one of the sockets had an error; what it received before is still passed on */
        uint64_t used;
        struct connection *older, *newer;          /* all of them, by the time of use */
        struct connection *next_ready, *next_dead; /* the lists of .is_ready and .is_dead */
};

struct tcp_table {
        struct connection *oldest, *newest, *ready, *dead;
        size_t n;
        int free_pipes[FREE_PIPES][2];
        size_t n_free_pipes;
        bool paused;
};

int tcp_table_new(struct tcp_table **ret)
{
        *ret = calloc(1, sizeof(**ret));
        return *ret ? 0 : -ENOMEM;
}

/* ---- pipes ------------------------------------------------------------------------------- */

static int pipe_take(struct tcp_table *table, struct stream *stream)
{
        int pipe_fds[2];

        if (stream->pipe_in >= 0)
                return 0;
        if (table->n_free_pipes > 0) {
                table->n_free_pipes--;
                stream->pipe_out = table->free_pipes[table->n_free_pipes][0];
                stream->pipe_in = table->free_pipes[table->n_free_pipes][1];
                return 0;
        }
        if (pipe2(pipe_fds, O_CLOEXEC | O_NONBLOCK) < 0)
                return -errno;
        /* A user's pipes have a limit; a small one works, too. */
        (void) fcntl(pipe_fds[1], F_SETPIPE_SZ, (int) PIPE_BYTES);
        stream->pipe_out = pipe_fds[0];
        stream->pipe_in = pipe_fds[1];
        return 0;
}

static void pipe_give_back(struct tcp_table *table, struct stream *stream)
{
        if (stream->pipe_in < 0)
                return;
        if (stream->filled == 0 && table->n_free_pipes < FREE_PIPES) {
                table->free_pipes[table->n_free_pipes][0] = stream->pipe_out;
                table->free_pipes[table->n_free_pipes][1] = stream->pipe_in;
                table->n_free_pipes++;
        } else {
                fd_close(stream->pipe_out);
                fd_close(stream->pipe_in);
        }
        stream->pipe_out = stream->pipe_in = -1;
}

/* ---- the lists --------------------------------------------------------------------------- */

static void unlink_used(struct tcp_table *table, struct connection *c)
{
        *(c->older ? &c->older->newer : &table->oldest) = c->newer;
        *(c->newer ? &c->newer->older : &table->newest) = c->older;
        c->older = c->newer = NULL;
}

static void link_newest(struct tcp_table *table, struct connection *c)
{
        c->older = table->newest;
        c->newer = NULL;
        *(table->newest ? &table->newest->newer : &table->oldest) = c;
        table->newest = c;
        c->used = clock_now_ms();
}

static void make_ready(struct tcp_table *table, struct connection *c)
{
        if (c->is_ready || c->is_dead)
                return;
        c->is_ready = true;
        c->next_ready = table->ready;
        table->ready = c;
}

/* Closes it such that the peer sees that it was not an end in order. What is still on its way to
 * the peer would be lost by that, and is more important. Returns -1. */
static int close_with_reset(int fd)
{
        struct linger linger = { .l_onoff = 1, .l_linger = 0 };
        int unsent = 0;

        if (ioctl(fd, SIOCOUTQ, &unsent) < 0 || unsent == 0)
                (void) setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
        return fd_close(fd);
}

static void connection_close(struct tcp_table *table, struct connection *c, bool reset)
{
        if (c->is_dead)
                return;
        if (reset) {
                c->client.fd = close_with_reset(c->client.fd);
                c->guest.fd = close_with_reset(c->guest.fd);
        }
        c->client.fd = fd_close(c->client.fd);
        c->guest.fd = fd_close(c->guest.fd);
        pipe_give_back(table, &c->up);
        pipe_give_back(table, &c->down);
        unlink_used(table, c);
        table->n--;
        c->is_dead = true;
        c->next_dead = table->dead;
        table->dead = c;
}

void tcp_bury(struct proxy *proxy)
{
        struct tcp_table *table = proxy->tcp;
        struct connection **link = &table->ready;

        if (!table->dead)
                return;
        while (*link) {
                if ((*link)->is_dead)
                        *link = (*link)->next_ready;
                else
                        link = &(*link)->next_ready;
        }
        while (table->dead) {
                struct connection *c = table->dead;

                table->dead = c->next_dead;
                free(c);
        }
}

/* ---- moving bytes ------------------------------------------------------------------------ */

static bool is_try_again(int error)
{
        return error == EAGAIN || error == EINTR;
}

/* One step of a stream. Returns 1 if something moved, 0 or a negative errno. */
static int stream_step(struct tcp_table *table, struct stream *stream, int from_fd, int to_fd)
{
        bool moved = false;
        ssize_t n;

        if (!stream->ended && stream->filled < PIPE_BYTES) {
                int r = pipe_take(table, stream);

                if (r < 0)
                        return r;
                n = splice(from_fd, NULL, stream->pipe_in, NULL, PIPE_BYTES - stream->filled,
                           SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
                if (n < 0 && !is_try_again(errno))
                        return -errno;
                stream->ended = n == 0;
                if (n > 0)
                        stream->filled += (size_t) n;
                moved = n > 0;
        }
        if (stream->filled > 0) {
                n = splice(stream->pipe_out, NULL, to_fd, NULL, stream->filled,
                           SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
                if (n < 0 && !is_try_again(errno))
                        return -errno;
                if (n > 0)
                        stream->filled -= (size_t) n;
                moved = moved || n > 0;
        }
        return moved;
}

/* Moves what can be moved, up to this turn's share. Returns 1 if there may be more, 0 or an
 * error. */
static int stream_pump(struct tcp_table *table, struct stream *stream, int from_fd, int to_fd)
{
        int r = 1;

        for (int i = 0; i < ROUNDS_EACH_TURN && r > 0; i++)
                r = stream_step(table, stream, from_fd, to_fd);
        if (r < 0)
                return r;
        if (stream->filled == 0)
                pipe_give_back(table, stream);
        if (stream->ended && stream->filled == 0 && !stream->shut) {
                /* Only this direction: the other one may go on for long. */
                if (shutdown(to_fd, SHUT_WR) < 0)
                        return -errno;
                stream->shut = true;
        }
        return r;
}

static void connection_pump(struct tcp_table *table, struct connection *c)
{
        int up, down;

        if (c->is_dead || c->connecting)
                return;
        up = stream_pump(table, &c->up, c->client.fd, c->guest.fd);
        down = up < 0 ? 0 : stream_pump(table, &c->down, c->guest.fd, c->client.fd);
        if (up < 0 || down < 0) {
                connection_close(table, c, true);
                return;
        }
        if ((c->up.shut && c->down.shut) || (c->broken && up == 0 && down == 0)) {
                connection_close(table, c, c->broken);
                return;
        }
        unlink_used(table, c);
        link_newest(table, c);
        if (up > 0 || down > 0)
                make_ready(table, c);
}

bool tcp_continue(struct proxy *proxy)
{
        struct tcp_table *table = proxy->tcp;
        struct connection *list = table->ready;

        table->ready = NULL;
        while (list) {
                struct connection *c = list;

                list = c->next_ready;
                c->next_ready = NULL;
                c->is_ready = false;
                connection_pump(table, c);
        }
        return table->ready != NULL;
}

/* ---- events ------------------------------------------------------------------------------ */

static int socket_error(int fd)
{
        int error = 0;
        socklen_t size = sizeof(error);

        if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) < 0)
                return errno;
        return error;
}

static void client_ready(struct proxy *proxy, struct source *source, uint32_t events)
{
        struct connection *c = source->owner;

        if (c->is_dead)
                return;
        if (events & EPOLLERR)
                c->broken = true;
        if (c->broken && c->connecting)
                connection_close(proxy->tcp, c, true);
        make_ready(proxy->tcp, c);
}

static void guest_ready(struct proxy *proxy, struct source *source, uint32_t events)
{
        struct connection *c = source->owner;

        if (c->is_dead)
                return;
        if (c->connecting && events & (EPOLLOUT | EPOLLERR | EPOLLHUP)) {
                if (socket_error(c->guest.fd) != 0)
                        connection_close(proxy->tcp, c, true);
                c->connecting = false;
        }
        if (events & EPOLLERR)
                c->broken = true;
        make_ready(proxy->tcp, c);
}

static void set_options(int fd)
{
        int on = 1, idle = KEEPALIVE_IDLE, interval = KEEPALIVE_INTERVAL, count = KEEPALIVE_COUNT;

        /* Peers decide what waits for more. */
        (void) setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
        (void) setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
        (void) setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof(idle));
        (void) setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof(interval));
        (void) setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &count, sizeof(count));
}

/* A socket on its way to the machine, or a negative errno. */
static int connect_guest(const struct proxy *proxy, const struct listener *listener)
{
        struct sockaddr_storage address;
        socklen_t size = 0;
        int tries = CONNECT_TRIES, r;

        if (!proxy_target(proxy, listener->family, listener->guest_port, &address, &size))
                return -EHOSTUNREACH;

        int fd CLEANUP_FD =
                socket(address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

        if (fd < 0)
                return -errno;
        set_options(fd);
        (void) setsockopt(fd, IPPROTO_TCP, TCP_SYNCNT, &tries, sizeof(tries));
        r = proxy_connect(proxy, fd, &address, size);
        return r < 0 ? r : TAKE_FD(fd);
}

/* Takes @client_fd. */
static int connection_begin(struct proxy *proxy, const struct listener *listener, int client_fd)
{
        struct connection *c = calloc(1, sizeof(*c));
        int guest_fd = c ? connect_guest(proxy, listener) : -ENOMEM, r;

        if (guest_fd < 0) {
                (void) close_with_reset(client_fd);
                free(c);
                return guest_fd;
        }
        set_options(client_fd);
        c->client = (struct source){ .ready = client_ready, .owner = c, .fd = client_fd };
        c->guest = (struct source){ .ready = guest_ready, .owner = c, .fd = guest_fd };
        c->up = c->down = (struct stream){ .pipe_out = -1, .pipe_in = -1 };
        c->connecting = true;
        link_newest(proxy->tcp, c);
        proxy->tcp->n++;
        r = proxy_watch(proxy, &c->client, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET);
        if (r >= 0)
                r = proxy_watch(proxy, &c->guest, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET);
        if (r < 0)
                connection_close(proxy->tcp, c, true);
        return r;
}

/* ---- new connections --------------------------------------------------------------------- */

static void set_listening(struct proxy *proxy, bool on)
{
        for (size_t i = 0; i < proxy->n_listeners; i++) {
                struct listener *l = &proxy->listeners[i];
                struct epoll_event event = { .events = on ? EPOLLIN : 0, .data.ptr = &l->source };

                if (l->protocol == NET_TCP)
                        (void) epoll_ctl(proxy->epoll_fd, EPOLL_CTL_MOD, l->source.fd, &event);
        }
        proxy->tcp->paused = !on;
}

bool tcp_is_paused(const struct proxy *proxy)
{
        return proxy->tcp->paused;
}

/* Whether there is room for one more; an idle one goes for it. */
static bool make_room(struct proxy *proxy)
{
        struct tcp_table *table = proxy->tcp;

        if (table->n < proxy->max_connections)
                return true;
        if (clock_now_ms() - table->oldest->used < IDLE_MS)
                return false;
        connection_close(table, table->oldest, true);
        return true;
}

void tcp_resume(struct proxy *proxy)
{
        if (make_room(proxy))
                set_listening(proxy, true);
}

void tcp_listener_ready(struct proxy *proxy, struct source *source, uint32_t events)
{
        struct listener *listener = source->owner;

        (void) events;
        for (int i = 0; i < ACCEPTS_EACH_TURN; i++) {
                int fd;

                if (!make_room(proxy)) {
                        set_listening(proxy, false);
                        return;
                }
                fd = accept4(source->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
                if (fd < 0) {
                        /* A client that has gone again is no reason to wait for descriptors. */
                        if (errno == EMFILE || errno == ENFILE || errno == ENOMEM ||
                            errno == ENOBUFS)
                                set_listening(proxy, false);
                        return;
                }
                (void) connection_begin(proxy, listener, fd);
        }
}
