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

        (void) prctl(PR_SET_NAME, "(sd-stubinit)");
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

void stub_init_hide_environment(char **environment, const char *service, const char *plain_uuid)
{
        char text[256];
        size_t room = 0, n;
        int length;

        /* The strings lie one behind the other where the kernel put them (environ(7)); that range
         * is what it shows. PR_SET_MM would need a capability that may not be there. */
        for (size_t i = 0; environment[i]; i++) {
                if (environment[i] != environment[0] + room)
                        break;
                room += strlen(environment[i]) + 1;
        }
        if (room == 0)
                return;
        length = snprintf(text, sizeof(text), "container=%s%ccontainer_uuid=%s", service, '\0',
                          plain_uuid);
        n = length < 0 ? 0 : MIN_OF((size_t) length + 1, sizeof(text));
        memset(environment[0], 0, room);
        memcpy(environment[0], text, MIN_OF(n, room - 1));
}
