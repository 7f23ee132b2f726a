/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The payload of the fault tests: prints what the container looks like from inside, so that a start
 * in which something went wrong without a word is noticed. As an init it then powers off.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

extern char **environ;

static void show_file(const char *path)
{
        char buffer[16384];
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        ssize_t n = 0;

        printf("== %s%s\n", path, fd < 0 ? " is missing" : "");
        /* The kernel gives a page at a time. */
        while (fd >= 0 && (n = read(fd, buffer, sizeof(buffer))) > 0)
                printf("%.*s", (int) n, buffer);
        printf("\n");
        if (fd >= 0)
                close(fd);
}

static void show_folder(const char *path)
{
        struct dirent **entries = NULL;
        int n = scandir(path, &entries, NULL, alphasort);

        printf("== %s%s\n", path, n < 0 ? " is missing" : "");
        for (int i = 0; i < n; i++) {
                char full[512], target[256] = "";
                struct stat st = { 0 };

                snprintf(full, sizeof(full), "%s/%s", path, entries[i]->d_name);
                if (lstat(full, &st) == 0 && S_ISLNK(st.st_mode)) {
                        ssize_t k = readlink(full, target, sizeof(target) - 1);

                        target[k < 0 ? 0 : k] = '\0';
                }
                printf("%s %o %u:%u %u:%u %s\n", entries[i]->d_name, st.st_mode, st.st_uid,
                       st.st_gid, major(st.st_rdev), minor(st.st_rdev), target);
                free(entries[i]);
        }
        free(entries);
}

int main(int argc, char **argv)
{
        static const char *const files[] = {
                "/proc/self/mountinfo", "/proc/self/status",  "/proc/self/limits",
                "/proc/self/uid_map",   "/proc/self/gid_map", "/proc/self/cgroup",
                "/proc/self/loginuid",  "/proc/net/dev",      "/proc/sys/kernel/hostname",
                "/etc/resolv.conf",     "/run/host/container-manager",
        };
        static const char *const folders[] = {
                "/", "/dev", "/dev/char", "/dev/pts", "/etc", "/run", "/run/host",
                "/run/host/inaccessible", "/proc/self/fd",
        };
        static const char *const network_files[] = { "/proc/net/route", "/proc/net/if_inet6",
                                                     "/sys/class/net/host0/address" };
        char folder[256] = "";

        if (argc == 2 && strcmp(argv[1], "wait") == 0)
                pause();
        printf("== program\n");
        for (int i = 0; i < argc; i++)
                printf("%s\n", argv[i]);
        printf("== process\npid %d parent %d session %d group %d terminal %s\n", getpid(),
               getppid(), getsid(0), getpgrp(), ttyname(0) ? ttyname(0) : "none");
        printf("folder %s\n", getcwd(folder, sizeof(folder)));
        printf("== environment\n");
        for (char **e = environ; *e; e++)
                printf("%s\n", *e);
        for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
                show_file(files[i]);
        for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]); i++)
                show_folder(folders[i]);
        /* What was set by us: the host's own, or that of an empty network, is not ours. */
        if (access("/sys/class/net/host0", F_OK) == 0)
                for (size_t i = 0; i < sizeof(network_files) / sizeof(network_files[0]); i++)
                        show_file(network_files[i]);
        printf("== end\n");
        fflush(stdout);
        if (strstr(argv[0], "init"))
                reboot(RB_POWER_OFF);
        return 0;
}
