/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "nspawn/stub-init.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/reboot.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* How long the child has after it was asked to end. */
#define STOP_LIMIT_S 90
#define STATUS_OF_SIGNALLED 255

enum stub_state { STUB_RUNNING, STUB_POWEROFF, STUB_REBOOT };

/* What a signal asks for: the numbers of systemd's init, of which those from SIGRTMIN+13 on mean
 * "at once". */
static enum stub_state state_for_signal(int signo)
{
        if (signo == SIGINT)
                return STUB_REBOOT;
        switch (signo - SIGRTMIN) {
        case 3:
        case 4:
        case 13:
        case 14:
                return STUB_POWEROFF;
        case 5:
        case 6:
        case 15:
        case 16:
                return STUB_REBOOT;
        default:
                return STUB_RUNNING;
        }
}

static _Noreturn void finish(enum stub_state state, int status)
{
        if (state == STUB_POWEROFF)
                (void) reboot(RB_POWER_OFF);
        else if (state == STUB_REBOOT)
                (void) reboot(RB_AUTOBOOT);
        _exit(status);
}

/* Reaps all; returns true when the payload is among them, with what it leaves behind. */
static bool reap(pid_t child, int *ret_status)
{
        bool found = false;

        for (;;) {
                int status;
                pid_t pid = waitpid(-1, &status, WNOHANG);

                if (pid <= 0)
                        return found;
                if (pid != child)
                        continue;
                found = true;
                *ret_status = WIFEXITED(status) ? WEXITSTATUS(status) : STATUS_OF_SIGNALLED;
        }
}

static void ask_to_end(pid_t child)
{
        (void) kill(child, SIGTERM);
        (void) kill(child, SIGCONT); /* a stopped process would not see it */
        (void) kill(child, SIGHUP);  /* shells ignore SIGTERM */
}

_Noreturn void stub_init_run(pid_t child)
{
        enum stub_state state = STUB_RUNNING;
        struct timespec deadline = { .tv_sec = 0 };
        sigset_t all;

        (void) sigfillset(&all);
        (void) sigprocmask(SIG_SETMASK, &all, NULL);
        for (;;) {
                struct timespec now, left = { .tv_sec = STOP_LIMIT_S };
                int status = 0, signo;

                if (reap(child, &status))
                        finish(state, status);
                if (state != STUB_RUNNING) {
                        (void) clock_gettime(CLOCK_MONOTONIC, &now);
                        left.tv_sec = deadline.tv_sec - now.tv_sec;
                        if (left.tv_sec <= 0)
                                finish(state, STATUS_OF_SIGNALLED);
                }
                signo = sigtimedwait(&all, NULL, &left);
                if (signo < 0 || state != STUB_RUNNING)
                        continue;
                state = state_for_signal(signo);
                if (state == STUB_RUNNING)
                        continue;
                (void) clock_gettime(CLOCK_MONOTONIC, &deadline);
                deadline.tv_sec += STOP_LIMIT_S;
                ask_to_end(child);
        }
}

/* How many bytes the strings of @list take, which lie one behind the other (environ(7)). */
static size_t room_of(char **list)
{
        size_t room = 0;

        for (size_t i = 0; list[i] && list[i] == list[0] + room; i++)
                room += strlen(list[i]) + 1;
        return room;
}

void stub_init_hide_caller(char **argv, char **environment, const char *service,
                           const char *plain_uuid)
{
        static const char name[] = STUB_INIT_NAME;
        size_t room = room_of(argv), used = 0;
        char line[2][128];

        if (room > 0) {
                memset(argv[0], 0, room);
                memcpy(argv[0], name, MIN_OF(sizeof(name), room) - 1);
        }
        room = room_of(environment);
        if (room == 0)
                return;
        (void) snprintf(line[0], sizeof(line[0]), "container=%s", service);
        (void) snprintf(line[1], sizeof(line[1]), "container_uuid=%s", plain_uuid);
        memset(environment[0], 0, room);
        for (size_t i = 0; i < 2; i++) {
                size_t n = strlen(line[i]) + 1;

                if (used + n > room)
                        break; /* a caller without an environment of its own left no room */
                memcpy(environment[0] + used, line[i], n);
                used += n;
        }
        /* Needs CAP_SYS_RESOURCE; without, a row of NUL bytes follows. */
        (void) prctl(PR_SET_MM, PR_SET_MM_ENV_END,
                     (unsigned long) (uintptr_t) environment[0] + used, 0, 0);
}
