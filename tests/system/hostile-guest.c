/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A payload that means no good, and a few tools for the tests of it. Static, so that it runs in any
 * tree. `hostile-guest WHAT`; what it prints is for the test to read.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/reboot.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static int is(const char *a, const char *b)
{
        return strcmp(a, b) == 0;
}

static void write_text(const char *path, const char *text)
{
        int fd = open(path, O_WRONLY | O_CLOEXEC);

        if (fd < 0)
                return;
        if (write(fd, text, strlen(text)) < 0)
                perror(path);
        close(fd);
}

/* "NUMBER TARGET" for each descriptor, but that of the listing itself. */
static void list_descriptors(FILE *out)
{
        DIR *d = opendir("/proc/self/fd");
        const struct dirent *e;

        while (d && (e = readdir(d))) {
                char target[PATH_MAX] = "";
                int fd = atoi(e->d_name);

                if (e->d_name[0] == '.' || fd == dirfd(d) || (out != stdout && fd == fileno(out)))
                        continue;
                if (readlinkat(dirfd(d), e->d_name, target, sizeof(target) - 1) < 0)
                        continue;
                fprintf(out, "%d %s\n", fd, target);
        }
        if (d)
                closedir(d);
        fflush(out);
}

/* ---- notifications ----------------------------------------------------------------------- */

static int notify_socket(struct sockaddr_un *address)
{
        const char *path = getenv("NOTIFY_SOCKET");

        *address = (struct sockaddr_un){ .sun_family = AF_UNIX };
        snprintf(address->sun_path, sizeof(address->sun_path), "%s",
                 path ? path : "/run/host/notify");
        return socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
}

static int say(int s, const struct sockaddr_un *address, const void *text, size_t size, int n_fds)
{
        char control[CMSG_SPACE(253 * sizeof(int))] __attribute__((aligned(8))) = { 0 };
        struct iovec iov = { .iov_base = (void *) text, .iov_len = size };
        struct msghdr header = { .msg_name = (void *) address,
                                 .msg_namelen = sizeof(*address),
                                 .msg_iov = &iov,
                                 .msg_iovlen = 1 };

        if (n_fds > 0) {
                struct cmsghdr *c = (struct cmsghdr *) control;

                c->cmsg_level = SOL_SOCKET;
                c->cmsg_type = SCM_RIGHTS;
                c->cmsg_len = CMSG_LEN((size_t) n_fds * sizeof(int));
                for (int i = 0; i < n_fds; i++)
                        memcpy(CMSG_DATA(c) + (size_t) i * sizeof(int), &s, sizeof(int));
                header.msg_control = control;
                header.msg_controllen = CMSG_SPACE((size_t) n_fds * sizeof(int));
        }
        return sendmsg(s, &header, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

static int flood_notify(void)
{
        static char big[100000];
        struct sockaddr_un address;
        int s = notify_socket(&address), sent = 0;
        static const char forged[] =
                "MAINPID=1\nFDSTORE=1\nFDNAME=x\nSTATUS=forged\x1b[2J\nERRNO=1\n"
                "WATCHDOG=trigger\nX_NSPAWN_LEADER_PID=1\nSTOPPING=1\nBUSERROR=x";
        static const char nul[] = "STATUS=a\0READY=1\nSTATUS=zero";

        memset(big, '\n', sizeof(big));
        memcpy(big, "STATUS=big", 10);
        for (int i = 0; i < 2000; i++) {
                sent += say(s, &address, forged, sizeof(forged) - 1, i % 254) == 0;
                sent += say(s, &address, nul, sizeof(nul) - 1, 0) == 0;
                sent += say(s, &address, "", 0, 253) == 0;
                if (i % 100 == 0)
                        sent += say(s, &address, big, sizeof(big), 0) == 0;
        }
        say(s, &address, "STATUS=the last word", 20, 1);
        printf("sent %d\n", sent);
        return 0;
}

/* ---- control groups ---------------------------------------------------------------------- */

static int in_group(int group_fd, const char *path, const char *file, const char *text)
{
        char name[PATH_MAX];
        int fd;

        snprintf(name, sizeof(name), "%s/%s", path, file);
        fd = openat(group_fd, name, O_WRONLY | O_CLOEXEC);
        if (fd < 0)
                return -errno;
        if (write(fd, text, strlen(text)) < 0) {
                int r = -errno;

                close(fd);
                return r;
        }
        close(fd);
        return 0;
}

static void inhabit(int group_fd, const char *path)
{
        char pid[16];
        pid_t child = fork();

        if (child == 0) {
                setsid();
                signal(SIGTERM, SIG_IGN);
                for (;;)
                        pause();
        }
        snprintf(pid, sizeof(pid), "%d", child);
        in_group(group_fd, path, "cgroup.procs", pid);
}

/* Wide, deep, with strange names, with processes in some, frozen. */
static int make_groups(int wide, int deep)
{
        static const char *const names[] = { "a\nb",
                                             "\xff\xfe\x80",
                                             " blank ",
                                             "-rf",
                                             "...",
                                             "payload",
                                             "supervisor",
                                             "*",
                                             "machine-x.scope",
                                             "\\x2d",
                                             "\x1b[31mred",
                                             "$(reboot)" };
        int top = open("/sys/fs/cgroup", O_RDONLY | O_DIRECTORY | O_CLOEXEC), made = 0, fd;
        char name[256];

        for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
                made += mkdirat(top, names[i], 0700) == 0;
                inhabit(top, names[i]);
        }
        memset(name, 'n', 255);
        name[255] = '\0';
        made += mkdirat(top, name, 0) == 0;
        for (int i = 0; i < wide; i++) {
                snprintf(name, sizeof(name), "w%d", i);
                made += mkdirat(top, name, 0755) == 0;
        }
        fd = dup(top);
        for (int i = 0; i < deep; i++) {
                int next;

                if (mkdirat(fd, "a-group-with-a-long-name-so-that-its-path-gets-long", 0755) < 0)
                        break;
                next = openat(fd, "a-group-with-a-long-name-so-that-its-path-gets-long",
                              O_RDONLY | O_DIRECTORY | O_CLOEXEC);
                made++;
                close(fd);
                fd = next;
                if (i == deep / 2 || i == deep - 1)
                        inhabit(fd, ".");
        }
        printf("made %d\n", made);
        fflush(stdout);
        in_group(fd, ".", "cgroup.freeze", "1");
        for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
                in_group(top, names[i], "cgroup.freeze", "1");
        usleep(50000);
        return made > wide ? 0 : 1;
}

/* ---- other ways to be a nuisance --------------------------------------------------------- */

static void kill_everything(void)
{
        kill(-1, SIGKILL);
        kill(-1, SIGSTOP);
        for (int pid = 2; pid < 40000; pid++)
                kill(pid, SIGKILL);
        kill(getppid(), SIGKILL);
        kill(0, SIGCONT);
}

static void turn_mounts_over(void)
{
        static const char *const places[] = { "/proc/sys", "/proc",    "/run/host/incoming",
                                              "/run/host", "/run",     "/sys/fs/cgroup",
                                              "/sys",      "/dev/pts", "/dev/shm",
                                              "/dev",      "/" };

        mount("none", "/mnt", "tmpfs", 0, NULL);
        mount("/", "/mnt", NULL, MS_BIND | MS_REC, NULL);
        mount("none", "/run/host/incoming", "tmpfs", 0, NULL);
        mount("none", "/run/host", "tmpfs", 0, NULL);
        mount(NULL, "/", NULL, MS_REC | MS_SHARED, NULL);
        for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++)
                umount2(places[i], MNT_DETACH);
        mkdir("/mnt/old", 0700);
        mount("none", "/mnt", "tmpfs", 0, NULL);
        mkdir("/mnt/old", 0700);
        mkdir("/mnt/proc", 0700);
        if (syscall(SYS_pivot_root, "/mnt", "/mnt/old") == 0)
                umount2("/old", MNT_DETACH);
        if (chroot("/") < 0 || chdir("/") < 0)
                perror("chroot");
}

static void change_names(void)
{
        prctl(PR_SET_NAME, "a) R 1 (\n\x1b[2J");
        write_text("/proc/self/comm", ") Z 0 0 0 0");
        sethostname("../../../etc", 12);
        write_text("/proc/self/oom_score_adj", "1000");
        prctl(PR_SET_DUMPABLE, 0);
        prctl(PR_SET_CHILD_SUBREAPER, 1);
}

static void seize_console(void)
{
        char line[4096];
        int fd = open("/dev/console", O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);

        unlink("/dev/console");
        if (symlink("/proc/self/fd/0", "/dev/console") < 0)
                perror("symlink");
        umount2("/dev/pts", MNT_DETACH);
        memset(line, 'x', sizeof(line));
        for (int i = 0; i < 500; i++)
                if (write(fd, line, sizeof(line)) < 0 && errno != EAGAIN)
                        break;
        for (int i = 0; i < 256; i++)
                close(i);
}

static void linger(void)
{
        for (int i = 0; i < 20; i++)
                if (fork() == 0) {
                        setsid();
                        for (int s = 1; s < NSIG; s++)
                                signal(s, SIG_IGN);
                        if (fork() == 0)
                                prctl(PR_SET_NAME, "lingers");
                        for (;;)
                                pause();
                }
        usleep(20000);
}

/* ---- tools of the tests ------------------------------------------------------------------ */

/* Two names change places as fast as can be, until somebody ends us; the count is in a file. */
static int swap_for_ever(const char *a, const char *b, const char *count_path)
{
        int fd = open(count_path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        volatile unsigned long *count;

        if (fd < 0 || ftruncate(fd, sizeof(*count)) < 0)
                return 1;
        count = mmap(NULL, sizeof(*count), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        if (count == MAP_FAILED)
                return 1;
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        for (;;) {
                if (syscall(SYS_renameat2, AT_FDCWD, a, AT_FDCWD, b, RENAME_EXCHANGE) == 0)
                        (*count)++;
                /* The other one needs a moment, too, where there are few processors. */
                if (*count % 64 == 0)
                        sched_yield();
        }
}

/* In the place of a helper program: writes down what it was given, then is that program. */
static int stand_in(char **argv)
{
        char self[PATH_MAX] = "", path[PATH_MAX + 8];
        FILE *out;

        if (readlink("/proc/self/exe", self, sizeof(self) - 1) < 0)
                return 1;
        snprintf(path, sizeof(path), "%s.fds", self);
        out = fopen(path, "we");
        if (!out)
                return 1;
        list_descriptors(out);
        fclose(out);
        snprintf(path, sizeof(path), "%s.real", self);
        execv(path, argv);
        return 1;
}

int main(int argc, char **argv)
{
        const char *what = argc > 1 ? argv[1] : "";
        const char *name = strrchr(argv[0], '/') ? strrchr(argv[0], '/') + 1 : argv[0];

        if (is(name, "seccomp-compile") || is(name, "host-scope"))
                return stand_in(argv);
        if (is(what, "fds")) {
                FILE *out = argc > 2 ? fopen(argv[2], "we") : stdout;

                list_descriptors(out);
                return 0;
        }
        if (is(what, "swap") && argc == 5)
                return swap_for_ever(argv[2], argv[3], argv[4]);
        /* The rest would do harm on a host. */
        if (!getenv("container") || access("/run/host/container-uuid", F_OK) < 0)
                return 3;
        if (is(what, "notify"))
                return flood_notify();
        if (is(what, "groups") && argc == 4)
                return make_groups(atoi(argv[2]), atoi(argv[3]));
        if (is(what, "kill"))
                kill_everything();
        else if (is(what, "mounts"))
                turn_mounts_over();
        else if (is(what, "names"))
                change_names();
        else if (is(what, "console"))
                seize_console();
        else if (is(what, "linger"))
                linger();
        else
                return 2;
        if (argc > 2 && is(argv[2], "poweroff"))
                reboot(RB_POWER_OFF);
        if (argc > 2 && is(argv[2], "wait"))
                for (;;)
                        pause();
        return 0;
}
