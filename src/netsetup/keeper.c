/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "netsetup/keeper.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "basic/channel.h"
#include "basic/clock.h"
#include "basic/fd.h"
#include "basic/io.h"
#include "basic/lock.h"
#include "basic/log.h"
#include "basic/path.h"
#include "basic/process.h"
#include "netsetup/keeper-message.h"
#include "netsetup/keeper-sweep.h"

/* The side of the supervisors. Who finds nobody at the socket makes it and starts the keeper with it, so
 * that whoever connects from then on is served, however long the keeper takes to begin. */

#define BACKLOG 128
#define LOCK_STEP_MS 5
/* A keeper that is lost so often in a row, each time within this time, is not started again. */
#define LOSSES_MAX 5
#define LOSS_US UINT64_C(10000000)

static const struct sockaddr_un socket_address = { .sun_family = AF_UNIX,
                                                   .sun_path = KEEPER_SOCKET };

static int connect_keeper(void)
{
        const struct timeval limit = { .tv_sec = KEEPER_WAIT_MS / 1000 };
        int fd CLEANUP_FD = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

        if (fd < 0)
                return -errno;
        /* connect(2) and sendmsg(2) wait for a keeper that is busy, but not for ever. */
        if (setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)) < 0)
                return -errno;
        while (connect(fd, (const struct sockaddr *) &socket_address, sizeof(socket_address)) < 0)
                if (errno != EINTR)
                        return -errno;
        return TAKE_FD(fd);
}

bool keeper_has_network(const char *network)
{
        char path[sizeof(NETWORK_RUN_NETWORKS) + KEEPER_NETWORK_MAX + 2];
        int fd CLEANUP_FD = -1;

        (void) snprintf(path, sizeof(path), "%s/%s", NETWORK_RUN_NETWORKS, network);
        if (access(path, F_OK) < 0)
                return false;
        /* A killed keeper's folder is still there. */
        fd = connect_keeper();
        return fd >= 0;
}

/* ---- starting it ------------------------------------------------------------------------- */

static _Noreturn void exec_keeper(const char *path, int listen_fd)
{
        char name[] = "network-keeper";
        char *argv[] = { name, NULL };
        int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);

        (void) umask(022);
        if (chdir("/") < 0 || null_fd < 0 || process_reset_signals() < 0)
                _exit(126);
        for (int i = 0; i < 3; i++)
                if (null_fd != i && dup2(null_fd, i) < 0)
                        _exit(126);
        /* dup2() onto itself would keep close-on-exec. */
        if (listen_fd == KEEPER_LISTEN_FD ? fcntl(listen_fd, F_SETFD, 0) < 0
                                          : dup2(listen_fd, KEEPER_LISTEN_FD) < 0)
                _exit(126);
        if (fd_cloexec_from(KEEPER_LISTEN_FD + 1) < 0)
                _exit(126);
        execve(path, argv, environ);
        _exit(127);
}

/* The keeper is nobody's child and has a session of its own: it outlives us and our terminal. */
static int spawn_detached(const char *path, int listen_fd)
{
        struct process_end end = { .exited = false };
        int pidfd CLEANUP_FD = -1, r;
        pid_t pid = process_clone(0, -1, &pidfd);

        if (pid == 0) {
                int inner_pidfd;

                if (setsid() < 0)
                        _exit(126);
                pid = process_clone(0, -1, &inner_pidfd);
                if (pid == 0)
                        exec_keeper(path, listen_fd);
                _exit(pid < 0 ? 126 : 0);
        }
        if (pid < 0)
                return (int) pid;
        r = process_wait(pidfd, &end);
        if (r < 0)
                return r;
        return end.exited && end.status == 0 ? 0 : -ECHILD;
}

static int make_socket(void)
{
        int fd CLEANUP_FD = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

        if (fd < 0)
                return -errno;
        /* The socket's own mode becomes that of its name: at no time can others connect. */
        if (fchmod(fd, 0600) < 0 || (unlink(KEEPER_SOCKET) < 0 && errno != ENOENT) ||
            bind(fd, (const struct sockaddr *) &socket_address, sizeof(socket_address)) < 0)
                return -errno;
        if (listen(fd, BACKLOG) < 0) {
                int r = -errno;

                (void) unlink(KEEPER_SOCKET);
                return r;
        }
        return fd_above_stdio_take_fd(TAKE_FD(fd));
}

static int start_keeper(struct failure *failure)
{
        char *path CLEANUP_FREE = path_of_program("network-keeper");
        int fd CLEANUP_FD = -1, r;

        if (!path)
                return failure_set(failure, -ENOMEM, "Out of memory.");
        if (access(path, X_OK) < 0)
                return failure_set(
                        failure, -errno,
                        "Cannot run '%s', which gives machines names, a firewall and published "
                        "ports: %s. Install all of stead.",
                        path, error_text(errno));
        fd = make_socket();
        if (fd < 0)
                return failure_set(failure, fd, "Cannot make the socket '%s': %s.", KEEPER_SOCKET,
                                   error_text(fd));
        r = spawn_detached(path, fd);
        if (r >= 0)
                return 0;
        (void) unlink(KEEPER_SOCKET);
        return failure_set(failure, r, "Cannot start '%s': %s.", path, error_text(r));
}

static bool nobody_listens(int error)
{
        return error == -ENOENT || error == -ECONNREFUSED;
}

/* With the lock: if there still is no keeper, starts one. Connects. -EBUSY: others have the lock. */
static int connect_locked(struct failure *failure)
{
        struct lock_file lock CLEANUP_LOCK_FILE = LOCK_FILE_NULL;
        int r = make_directories(NETWORK_RUN_FOLDER, 0755);

        if (r >= 0)
                r = lock_file_acquire(KEEPER_LOCK, LOCK_EXCLUSIVE, &lock, NULL);
        /* The last keeper may just be removing the folder. */
        if (r == -EBUSY || r == -ENOENT)
                return -EBUSY;
        if (r < 0)
                return failure_set(failure, r, "Cannot lock '%s': %s.", KEEPER_LOCK, error_text(r));
        r = connect_keeper();
        if (!nobody_listens(r))
                return r;
        r = start_keeper(failure);
        return r < 0 ? r : connect_keeper();
}

static int connect_or_start(struct failure *failure)
{
        uint64_t end = clock_now_us() + KEEPER_WAIT_MS * UINT64_C(1000);
        int r = connect_keeper();

        while (nobody_listens(r)) {
                r = connect_locked(failure);
                if (r != -EBUSY || clock_now_us() >= end)
                        break;
                (void) poll(NULL, 0, LOCK_STEP_MS);
                r = connect_keeper();
        }
        if (r < 0)
                (void) failure_set(failure, r, "Cannot reach the network's keeper at '%s': %s.",
                                   KEEPER_SOCKET, error_text(r));
        return r;
}

/* ---- being a member ---------------------------------------------------------------------- */

static int send_request(int fd, const char *text, int leader_pidfd)
{
        for (size_t left = strlen(text);;) {
                struct channel_message m = { .type = KEEPER_PART, .value = KEEPER_VERSION };
                bool last = left < sizeof(m.text);
                size_t n = last ? left : sizeof(m.text) - 1;
                int r;

                memcpy(m.text, text, n);
                if (last)
                        m.type = KEEPER_JOIN;
                r = channel_send(fd, &m, &leader_pidfd, last && leader_pidfd >= 0 ? 1 : 0);
                if (r < 0 || last)
                        return r;
                text += n;
                left -= n;
        }
}

int keeper_join(const struct net_plan *plan, int leader_pidfd, struct keeper_member *ret,
                struct failure *failure)
{
        struct strbuf text CLEANUP_STRBUF = STRBUF_NULL;
        int fd CLEANUP_FD = -1, r;

        *ret = (struct keeper_member) KEEPER_MEMBER_NULL;
        r = keeper_request_print_plan(plan, &text);
        if (r < 0)
                return failure_set(failure, r,
                                   "Cannot tell the network's keeper of machine '%s': %s.",
                                   plan->machine, error_text(r));
        /* One that ends just now takes the connection and does not answer: then keeper_wait() and
         * keeper_dispatch() see it gone. */
        fd = connect_or_start(failure);
        if (fd < 0)
                return fd;
        r = send_request(fd, strbuf_text(&text), leader_pidfd);
        if (r < 0 && r != -EPIPE && r != -ECONNRESET)
                return failure_set(failure, r, "Cannot talk to the network's keeper: %s.",
                                   error_text(r));
        ret->fd = TAKE_FD(fd);
        ret->leader_pidfd = leader_pidfd;
        ret->joined_us = clock_now_us();
        return 0;
}

/* Lost: joins again, unless that happens all the time. */
static int join_again(struct keeper_member *member, const struct net_plan *plan,
                      struct failure *failure)
{
        unsigned n_losses = clock_now_us() - member->joined_us < LOSS_US ? member->n_losses + 1 : 1;
        int pidfd = member->leader_pidfd, r;

        member->fd = fd_close(member->fd);
        if (n_losses > LOSSES_MAX)
                r = failure_set(
                        failure, -ECONNABORTED,
                        "The network's keeper has ended %u times in a row: names, firewall and "
                        "published ports of the machine are gone.",
                        n_losses);
        else
                r = keeper_join(plan, pidfd, member, failure);
        member->leader_pidfd = pidfd;
        member->n_losses = n_losses;
        return r;
}

static void take_text(const struct channel_message *m, char *notice, size_t size)
{
        (void) snprintf(notice, size, "%s", m->text);
        for (char *p = notice; *p; p++)
                if ((unsigned char) *p < ' ' || *p == 0x7f)
                        *p = '?';
}

int keeper_wait(struct keeper_member *member, const struct net_plan *plan, char *notice,
                size_t size, struct failure *failure)
{
        uint64_t end = clock_now_us() + KEEPER_WAIT_MS * UINT64_C(1000);

        notice[0] = '\0';
        while (member->fd >= 0 && !member->ready) {
                struct channel_message m = { .type = 0 };
                uint64_t now = clock_now_us();
                int left = now < end ? (int) ((end - now) / 1000) : 0;
                int r = channel_receive(member->fd, left, &m, NULL, 0, NULL);

                if (r == -ETIMEDOUT)
                        return failure_set(failure, r,
                                           "The network's keeper did not answer within %d s.",
                                           KEEPER_WAIT_MS / 1000);
                if (r == -EPIPE)
                        r = join_again(member, plan, failure);
                else if (r >= 0 && m.type == KEEPER_FAILED)
                        r = failure_set(failure, m.error < 0 ? m.error : -EPROTO, "%s", m.text);
                else if (r >= 0)
                        take_text(&m, notice, size);
                if (r < 0)
                        return failure_set(failure, r, "Cannot hear the network's keeper: %s.",
                                           error_text(r));
                member->ready = m.type == KEEPER_READY;
        }
        return 0;
}

int keeper_dispatch(struct keeper_member *member, const struct net_plan *plan, char *notice,
                    size_t size)
{
        struct channel_message m = { .type = 0 };
        struct failure failure = { .error = 0 };
        int r = channel_receive(member->fd, 0, &m, NULL, 0, NULL);

        notice[0] = '\0';
        if (r == -ETIMEDOUT)
                return 0;
        if (r < 0) {
                r = join_again(member, plan, &failure);
                if (r < 0)
                        (void) snprintf(notice, size, "%s", failure.text);
                return r;
        }
        member->ready = member->ready || m.type == KEEPER_READY;
        take_text(&m, notice, size);
        return 0;
}

void keeper_leave(struct keeper_member *member)
{
        /* The container's first process has a copy until it runs the payload, which the keeper must not wait for
         * when the machine joins again. */
        if (member->fd >= 0)
                (void) shutdown(member->fd, SHUT_RDWR);
        member->fd = fd_close(member->fd);
        *member = (struct keeper_member) KEEPER_MEMBER_NULL;
}

int keeper_sweep(struct failure *failure)
{
        struct lock_file lock CLEANUP_LOCK_FILE = LOCK_FILE_NULL;
        int fd CLEANUP_FD = -1, r;

        if (access(NETWORK_RUN_FOLDER, F_OK) < 0)
                return 0;
        r = lock_file_acquire(KEEPER_LOCK, LOCK_EXCLUSIVE, &lock, NULL);
        if (r == -EBUSY || r == -ENOENT) /* somebody starts one, or ends */
                return 0;
        if (r < 0)
                return failure_set(failure, r, "Cannot lock '%s': %s.", KEEPER_LOCK, error_text(r));
        fd = connect_keeper();
        if (fd >= 0 || fd == -EAGAIN) /* one that is busy lives, too */
                return 0;
        if (!nobody_listens(fd))
                return failure_set(failure, fd, "Cannot reach the network's keeper at '%s': %s.",
                                   KEEPER_SOCKET, error_text(fd));
        r = keeper_clear(failure);
        if (unlink(KEEPER_SOCKET) == 0 && r >= 0)
                r++;
        lock_file_release(&lock);
        (void) rmdir(NETWORK_RUN_FOLDER);
        return r;
}
