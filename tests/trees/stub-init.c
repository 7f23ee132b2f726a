/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The smallest init: says that it runs, then stops or restarts the machine when asked to. It starts
 * in a millisecond, so tests of the launcher's own life cycle do not wait for a real guest. It also
 * answers on its console, one letter per line: "p" powers off, "r" restarts, "x" exits with 7.
 */
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/reboot.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

static void leave(int how)
{
        puts(how == RB_AUTOBOOT ? "stub-init restarts" : "stub-init powers off");
        fflush(stdout);
        reboot(how);
        _exit(1);
}

static void on_signal(int fd)
{
        struct signalfd_siginfo info;

        if (read(fd, &info, sizeof(info)) != sizeof(info))
                _exit(2);
        if ((int) info.ssi_signo == SIGRTMIN + 3 || (int) info.ssi_signo == SIGRTMIN + 4)
                leave(RB_POWER_OFF);
        if ((int) info.ssi_signo == SIGINT || (int) info.ssi_signo == SIGRTMIN + 5)
                leave(RB_AUTOBOOT);
        while (waitpid(-1, NULL, WNOHANG) > 0)
                ;
}

static int on_input(void)
{
        char line[64];

        if (!fgets(line, sizeof(line), stdin))
                return 0; /* nobody is there; signals still come */
        if (line[0] == 'p')
                leave(RB_POWER_OFF);
        if (line[0] == 'r')
                leave(RB_AUTOBOOT);
        if (line[0] == 'x')
                _exit(7);
        return 1;
}

int main(int argc, char **argv)
{
        struct pollfd fds[2] = { { .events = POLLIN }, { .fd = 0, .events = POLLIN } };
        sigset_t mask;

        sigfillset(&mask);
        sigprocmask(SIG_BLOCK, &mask, NULL);
        fds[0].fd = signalfd(-1, &mask, SFD_CLOEXEC);
        setvbuf(stdin, NULL, _IONBF, 0);

        printf("stub-init is up:");
        for (int i = 0; i < argc; i++)
                printf(" %s", argv[i]);
        putchar('\n');
        fflush(stdout);

        for (;;) {
                if (poll(fds, 2, -1) < 0)
                        continue;
                if (fds[0].revents & POLLIN)
                        on_signal(fds[0].fd);
                if (fds[1].revents && !on_input())
                        fds[1].fd = -1;
        }
}
