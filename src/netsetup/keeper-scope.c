/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <systemd/sd-bus.h>
#include <unistd.h>

#include "basic/fd.h"
#include "basic/io.h"
#include "basic/parse.h"
#include "basic/process.h"
#include "basic/strv.h"
#include "netsetup/keeper-server.h"

/*
 * On a host with systemd the keeper begins in the unit of the machine that started it, and would be killed
 * with that one. So it has PID 1 make a scope of its own around it and its children. A child does the talking,
 * since that may take its time; if it fails, the next machine starts another keeper.
 */

#define UNIT "stead-network.scope"
#define CHILDREN_MAX 4096
/* The scope of a keeper that was killed may be there a moment longer. */
#define TRIES 20
#define STEP_MS 100

static int append_pids(sd_bus_message *m, pid_t keeper)
{
        char path[64], text[CHILDREN_MAX];
        char **pids CLEANUP_STRV = NULL;
        unsigned long pid;
        int r = sd_bus_message_open_container(m, 'r', "sv");

        if (r >= 0)
                r = sd_bus_message_append(m, "s", "PIDs");
        if (r >= 0)
                r = sd_bus_message_open_container(m, 'v', "au");
        if (r >= 0)
                r = sd_bus_message_open_container(m, 'a', "u");
        if (r >= 0)
                r = sd_bus_message_append(m, "u", (uint32_t) keeper);
        (void) snprintf(path, sizeof(path), "/proc/%d/task/%d/children", (int) keeper,
                        (int) keeper);
        if (r >= 0 && read_text_at(AT_FDCWD, path, text, sizeof(text)) >= 0)
                r = strv_split(text, " \n", &pids);
        for (char **p = pids; p && *p && r >= 0; p++)
                if (parse_ulong(*p, 1, INT32_MAX, &pid) >= 0 && (pid_t) pid != getpid())
                        r = sd_bus_message_append(m, "u", (uint32_t) pid);
        for (int i = 0; i < 3 && r >= 0; i++)
                r = sd_bus_message_close_container(m);
        return r;
}

static int start_scope(sd_bus *bus, pid_t keeper, sd_bus_error *error)
{
        sd_bus_message *m = NULL;
        int r = sd_bus_message_new_method_call(
                bus, &m, "org.freedesktop.systemd1", "/org/freedesktop/systemd1",
                "org.freedesktop.systemd1.Manager", "StartTransientUnit");

        if (r >= 0)
                r = sd_bus_message_append(m, "ss", UNIT, "fail");
        if (r >= 0)
                r = sd_bus_message_open_container(m, 'a', "(sv)");
        if (r >= 0)
                r = sd_bus_message_append(m, "(sv)(sv)(sv)", "Description", "s",
                                          "Keeper of the machines' networks", "Slice", "s",
                                          "system.slice", "CollectMode", "s", "inactive-or-failed");
        if (r >= 0)
                r = append_pids(m, keeper);
        if (r >= 0)
                r = sd_bus_message_close_container(m);
        if (r >= 0)
                r = sd_bus_message_append(m, "a(sa(sv))", 0);
        if (r >= 0)
                r = sd_bus_call(bus, m, 0, error, NULL);
        (void) sd_bus_message_unref(m);
        return r;
}

static int move_to_scope(pid_t keeper)
{
        sd_bus *bus = NULL;
        int r = sd_bus_open_system(&bus);

        for (int i = 0; i < TRIES && r >= 0; i++) {
                sd_bus_error error = SD_BUS_ERROR_NULL;
                bool exists;

                r = start_scope(bus, keeper, &error);
                exists = sd_bus_error_has_name(&error, "org.freedesktop.systemd1.UnitExists");
                sd_bus_error_free(&error);
                if (!exists)
                        break;
                (void) poll(NULL, 0, STEP_MS);
                r = 0;
        }
        (void) sd_bus_flush_close_unref(bus);
        return r;
}

static int on_end(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
        struct keeper *k = userdata;
        struct process_end end;

        (void) source;
        (void) events;
        (void) process_wait(fd, &end);
        k->scope_source = sd_event_source_disable_unref(k->scope_source);
        k->scope_pidfd = fd_close(k->scope_pidfd);
        return 0;
}

void keeper_enter_scope(struct keeper *k)
{
        pid_t keeper = getpid(), pid;

        if (k->asked_for_scope)
                return;
        k->asked_for_scope = true;
        /* As sd_booted(3) does. */
        if (access("/run/systemd/system", F_OK) < 0)
                return;
        pid = process_clone(0, -1, &k->scope_pidfd);
        if (pid == 0) {
                /* Copies of the connections would hide our death from the machines. */
                if (fd_close_others(3, -1) < 0 || prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 ||
                    getppid() != keeper)
                        _exit(EXIT_FAILURE);
                _exit(move_to_scope(keeper) < 0 ? EXIT_FAILURE : EXIT_SUCCESS);
        }
        if (pid > 0)
                (void) sd_event_add_io(k->event, &k->scope_source, k->scope_pidfd, EPOLLIN, on_end,
                                       k);
}

void keeper_leave_scope(struct keeper *k)
{
        struct process_end end;

        k->scope_source = sd_event_source_disable_unref(k->scope_source);
        if (k->scope_pidfd >= 0 && process_signal(k->scope_pidfd, SIGKILL) >= 0)
                (void) process_wait(k->scope_pidfd, &end);
        k->scope_pidfd = fd_close(k->scope_pidfd);
}
