/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * An init that wants what systemd before version 230 wants: version 1 of control groups, with the
 * hierarchy "name=systemd" at /sys/fs/cgroup/systemd, in which it can make a group. It says on its
 * console what it found, and goes on until it is told to stop by systemd's signals.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <unistd.h>

#define PLACE "/sys/fs/cgroup/systemd"

/* What is mounted there: "- cgroup SOURCE OPTIONS" is the end of its line. */
static const char *look(void)
{
        const char *found = "no " PLACE;
        char line[1024], point[512];
        FILE *file = fopen("/proc/self/mountinfo", "re");

        while (file && fgets(line, sizeof(line), file)) {
                const char *end = strstr(line, " - ");

                if (!end || sscanf(line, "%*s %*s %*s %*s %511s", point) != 1 ||
                    strcmp(point, PLACE) != 0)
                        continue;
                found = strncmp(end, " - cgroup ", 10) == 0 && strstr(end, "name=systemd")
                                ? NULL
                                : "something else at " PLACE;
        }
        if (file)
                fclose(file);
        if (found)
                return found;
        if (mkdir(PLACE "/system.slice", 0755) < 0 && errno != EEXIST)
                return "name=systemd, but cannot make a group in it";
        return "has name=systemd";
}

int main(void)
{
        sigset_t mask;
        int signo;

        sigfillset(&mask);
        sigprocmask(SIG_BLOCK, &mask, NULL);
        printf("oldcgroup: %s\n", look());
        fflush(stdout);
        do
                if (sigwait(&mask, &signo) != 0)
                        return 1;
        while (signo != SIGRTMIN + 3 && signo != SIGRTMIN + 4);
        reboot(RB_POWER_OFF);
        return 1;
}
