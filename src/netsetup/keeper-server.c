/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "netsetup/keeper-server.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <syslog.h>
#include <unistd.h>

#include "basic/channel.h"
#include "basic/fd.h"
#include "basic/io.h"
#include "basic/lock.h"
#include "basic/log.h"
#include "basic/strv.h"
#include "netsetup/keeper-sweep.h"
#include "netsetup/keeper.h"

/* Who started us connects at once; if it was killed first, nobody may ever come. */
#define FIRST_WAIT_US UINT64_C(5000000)
/* Somebody starts and has the lock. */
#define IDLE_STEP_US UINT64_C(5000)
/* The bridge of a zone whose last supervisor was killed is empty once the kernel has taken the guest's
 * namespaces down. */
#define SWEEP_STEP_US UINT64_C(30000)
#define SWEEPS_MAX 100

void keeper_tell(struct keeper *k, const struct network *network, const char *text)
{
        struct channel_message message = { .type = KEEPER_NOTICE, .value = KEEPER_VERSION };

        syslog(LOG_NOTICE, "%s", text);
        (void) snprintf(message.text, sizeof(message.text), "%s", text);
        for (struct member *m = k->members; m; m = m->next)
                if (m->state == MEMBER_READY && (!network || m->network == network))
                        (void) channel_send(m->fd, &message, NULL, 0);
}

/* ---- the end ----------------------------------------------------------------------------- */

static int accept_one(struct keeper *k)
{
        int fd = accept4(k->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

        return fd < 0 ? -errno : member_accept(k, fd);
}

static void put_back(struct keeper *k)
{
        struct failure failure = { .error = 0 };

        /* First the kernel stops to forward, then the firewall to limit it. */
        if (forwarding_put_back(k->run_fd, &failure) < 0)
                syslog(LOG_WARNING, "%s", failure.text);
        keeper_close_ports(k);
        firewall_close(k->firewall);
        k->firewall = NULL;
}

/*
 * With the lock nobody starts another keeper. Who has connected meanwhile is still served; who finds the
 * socket's name and connects after our last look sees the connection end and begins again.
 */
static int end(struct keeper *k)
{
        struct lock_file lock CLEANUP_LOCK_FILE = LOCK_FILE_NULL;

        if (lock_file_acquire(KEEPER_LOCK, LOCK_EXCLUSIVE, &lock, NULL) < 0)
                return -EAGAIN;
        if (accept_one(k) >= 0)
                return -EAGAIN;
        (void) unlink(KEEPER_SOCKET);
        k->listener = sd_event_source_disable_unref(k->listener);
        k->listen_fd = fd_close(k->listen_fd);
        put_back(k);
        (void) keeper_remove_files();
        lock_file_release(&lock);
        (void) rmdir(NETWORK_RUN_FOLDER);
        return sd_event_exit(k->event, 0);
}

static int on_idle(sd_event_source *source, uint64_t usec, void *userdata)
{
        struct keeper *k = userdata;

        (void) source;
        (void) usec;
        k->idle = sd_event_source_disable_unref(k->idle);
        keeper_check_idle(k);
        return 0;
}

static int wait_idle(struct keeper *k, uint64_t usec)
{
        k->idle = sd_event_source_disable_unref(k->idle);
        return sd_event_add_time_relative(k->event, &k->idle, CLOCK_MONOTONIC, usec, 1000, on_idle,
                                          k);
}

void keeper_check_idle(struct keeper *k)
{
        if (!k->members && !k->sweep && k->listen_fd >= 0 && end(k) < 0)
                (void) wait_idle(k, IDLE_STEP_US);
}

/* ---- bridges ----------------------------------------------------------------------------- */

static int on_sweep(sd_event_source *source, uint64_t usec, void *userdata)
{
        struct keeper *k = userdata;

        (void) source;
        (void) usec;
        k->sweep = sd_event_source_disable_unref(k->sweep);
        if (keeper_sweep_zones(&k->zones) || k->n_sweeps++ == SWEEPS_MAX ||
            sd_event_add_time_relative(k->event, &k->sweep, CLOCK_MONOTONIC, SWEEP_STEP_US, 1000,
                                       on_sweep, k) < 0) {
                k->zones = strv_free(k->zones);
                keeper_check_idle(k);
        }
        return 0;
}

void keeper_sweep_later(struct keeper *k, const char *bridge)
{
        k->n_sweeps = 0;
        if (strv_add(&k->zones, bridge) >= 0 && !k->sweep)
                (void) sd_event_add_time_relative(k->event, &k->sweep, CLOCK_MONOTONIC, 1, 1000,
                                                  on_sweep, k);
}

/* ---- the beginning ----------------------------------------------------------------------- */

static int on_connection(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
        (void) source;
        (void) fd;
        (void) events;
        (void) accept_one(userdata);
        return 0;
}

/* Who shuts the host down stops the machines as well; without any we go by ourselves. */
static int on_signal(sd_event_source *source, const struct signalfd_siginfo *si, void *userdata)
{
        (void) source;
        (void) si;
        keeper_check_idle(userdata);
        return 0;
}

static int open_folder(const char *path)
{
        int r = make_directories(path, 0755), fd;

        if (r < 0)
                return r;
        fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        return fd < 0 ? -errno : fd;
}

static int open_folders(struct keeper *k, struct failure *failure)
{
        k->run_fd = open_folder(NETWORK_RUN_FOLDER);
        k->machines_fd = open_folder(NETWORK_RUN_MACHINES);
        k->hosts_fd = open_folder(NETWORK_RUN_HOSTS);
        if (k->run_fd < 0 || k->machines_fd < 0 || k->hosts_fd < 0)
                return failure_set(
                        failure, MIN_OF(k->run_fd, MIN_OF(k->machines_fd, k->hosts_fd)),
                        "Cannot make the folders in '%s': %s.", NETWORK_RUN_FOLDER,
                        error_text(MIN_OF(k->run_fd, MIN_OF(k->machines_fd, k->hosts_fd))));
        return 0;
}

static int open_loop(struct keeper *k, struct failure *failure)
{
        int r = sd_event_new(&k->event);

        if (r >= 0)
                r = sd_event_add_io(k->event, &k->listener, k->listen_fd, EPOLLIN, on_connection,
                                    k);
        if (r >= 0)
                r = sd_event_add_signal(k->event, NULL, SIGTERM | SD_EVENT_SIGNAL_PROCMASK,
                                        on_signal, k);
        if (r >= 0)
                r = wait_idle(k, FIRST_WAIT_US);
        if (r >= 0 && stat("/proc/self/ns/net", &k->namespace) < 0)
                r = -errno;
        return r < 0 ? failure_set(failure, r, "Cannot begin to listen: %s.", error_text(r)) : 0;
}

static void keeper_done(struct keeper *k)
{
        while (k->members)
                member_remove(k->members);
        keeper_leave_scope(k);
        keeper_close_ports(k);
        firewall_close(k->firewall);
        k->listener = sd_event_source_disable_unref(k->listener);
        k->idle = sd_event_source_disable_unref(k->idle);
        k->sweep = sd_event_source_disable_unref(k->sweep);
        k->zones = strv_free(k->zones);
        (void) sd_event_unref(k->event);
        net_pools_done(&k->pools);
        (void) fd_close(k->listen_fd);
        (void) fd_close(k->run_fd);
        (void) fd_close(k->machines_fd);
        (void) fd_close(k->hosts_fd);
}

int keeper_run(int listen_fd, struct failure *failure)
{
        struct keeper k CLEANUP(keeper_done) = { .listen_fd = listen_fd,
                                                 .run_fd = -1,
                                                 .machines_fd = -1,
                                                 .hosts_fd = -1,
                                                 .scope_pidfd = -1 };
        struct failure why = { .error = 0 };
        int r;

        /* The socket is ours, so nobody else's network is swept away. */
        if (keeper_clear(&why) < 0)
                syslog(LOG_WARNING, "%s", why.text);
        /* What would follow from the host's id is not asked for. */
        r = net_pools_read(&(struct id128){ { 0 } }, true, &k.pools, failure);
        if (r >= 0)
                r = open_folders(&k, failure);
        if (r >= 0)
                r = open_loop(&k, failure);
        if (r < 0)
                return r;
        r = sd_event_loop(k.event);
        return r < 0 ? failure_set(failure, r, "The event loop failed: %s.", error_text(r)) : 0;
}
