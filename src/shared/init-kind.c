/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "shared/init-kind.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "basic/fd.h"
#include "basic/io.h"
#include "basic/parse.h"
#include "basic/path.h"
#include "basic/process.h"
#include "basic/root.h"

/* ---- which one --------------------------------------------------------------------------- */

/*
 * The file's name, and for programs with several jobs the name that they were called by. "init" is
 * the last resort: systemd, finit and runit are linked to that name or execute another program, and
 * so are seen under their own.
 */
static const struct {
        const char *file, *comm;
        enum init_kind kind;
} programs[] = {
        { "systemd", NULL, INIT_SYSTEMD },
        { "busybox", "init", INIT_BUSYBOX },
        { "busybox", "linuxrc", INIT_BUSYBOX },
        { "dinit", NULL, INIT_DINIT },
        { "dinit-init", NULL, INIT_DINIT },
        { "finit", NULL, INIT_FINIT },
        { "openrc-init", NULL, INIT_OPENRC },
        { "runit", NULL, INIT_RUNIT },
        { "runit-init", NULL, INIT_RUNIT },
        { "s6-svscan", NULL, INIT_S6 },
        { "init", NULL, INIT_SYSVINIT },
        /* The small init of --as-pid2 follows systemd's numbers; ours and systemd's own. */
        { "nspawn", "(sd-stubinit)", INIT_SYSTEMD },
        { "systemd-nspawn", "(sd-stubinit)", INIT_SYSTEMD },
};

const char *init_kind_name(enum init_kind kind)
{
        static const char *const names[N_INIT_KINDS] = {
                [INIT_OTHER] = "unknown init",
                [INIT_BUSYBOX] = "busybox init",
                [INIT_DINIT] = "dinit",
                [INIT_FINIT] = "finit",
                [INIT_OPENRC] = "OpenRC",
                [INIT_RUNIT] = "runit",
                [INIT_S6] = "s6",
                [INIT_SYSTEMD] = "systemd",
                [INIT_SYSVINIT] = "sysvinit",
        };

        return names[kind];
}

enum init_kind init_kind_from_program(const char *exe, const char *comm)
{
        const char *file = path_basename(exe), *deleted = endswith(file, " (deleted)");
        size_t length = deleted ? (size_t) (deleted - file) : strlen(file);

        for (size_t i = 0; i < ARRAY_SIZE(programs); i++)
                if (strlen(programs[i].file) == length &&
                    memcmp(programs[i].file, file, length) == 0 &&
                    (!programs[i].comm || streq(programs[i].comm, comm)))
                        return programs[i].kind;
        return INIT_OTHER;
}

/*
 * Only the text of the link and a file that the kernel writes: the program's file itself, or the
 * memory with its command line, can be on a file system that the guest serves and never answers.
 */
int init_kind_detect(pid_t leader, enum init_kind *ret)
{
        char path[32], exe[PATH_MAX], comm[32];
        ssize_t n;
        int r;

        (void) snprintf(path, sizeof(path), "/proc/%d/comm", (int) leader);
        r = read_line_at(AT_FDCWD, path, comm, sizeof(comm));
        if (r < 0)
                return r == -ENOENT ? -ESRCH : r;
        (void) snprintf(path, sizeof(path), "/proc/%d/exe", (int) leader);
        n = readlink(path, exe, sizeof(exe) - 1);
        if (n < 0)
                return errno == ENOENT ? -ESRCH : -errno;
        exe[n] = '\0';
        *ret = init_kind_from_program(exe, comm);
        return 0;
}

/* ---- signals ----------------------------------------------------------------------------- */

#define FIRST_REALTIME_GLIBC 34
#define FIRST_REALTIME_MUSL 35

static bool hears(uint64_t heard, int signo)
{
        /* These two reach everybody from outside (pid_namespaces(7)). */
        if (signo == SIGKILL || signo == SIGSTOP)
                return true;
        return heard >> (signo - 1) & 1;
}

int init_realtime_signal(uint64_t heard, int offset)
{
        /* musl blocks none of the signals that it keeps for itself. */
        return offset + (!hears(heard, FIRST_REALTIME_GLIBC) && hears(heard, FIRST_REALTIME_MUSL)
                                 ? FIRST_REALTIME_MUSL
                                 : FIRST_REALTIME_GLIBC);
}

/* ---- how each one is asked --------------------------------------------------------------- */

enum means {
        MEANS_SIGNAL,
        MEANS_REALTIME,    /* SIGRTMIN + .signo in the numbers of the guest's C library */
        MEANS_SCAN_SIGNAL, /* a signal, if there is a program for it in the working directory */
        MEANS_RUNLEVEL,    /* a request of sysvinit's in a FIFO */
        MEANS_WORD,        /* a word in a FIFO */
        MEANS_MARKS,       /* runit: the modes of two files behind a prefix, and then a signal */
};

/* A row for each way, in the order in which they are tried. Sources: systemd(1) "Signals";
 * busybox init.c; dinit(8); finit(8); openrc-init; runit(8); runit's two places are Debian's and upstream's;
 * s6-svscan, s6-linux-init-maker;
 * sysvinit initreq.h. */
static const struct way {
        enum init_kind kind;
        enum init_request request;
        enum means means;
        int signo;
        const char *path, *word;
} ways[] = {
        { INIT_BUSYBOX, INIT_REQUEST_POWEROFF, MEANS_SIGNAL, .signo = SIGUSR2 },
        { INIT_BUSYBOX, INIT_REQUEST_REBOOT, MEANS_SIGNAL, .signo = SIGTERM },
        { INIT_DINIT, INIT_REQUEST_POWEROFF, MEANS_SIGNAL, .signo = SIGTERM },
        { INIT_DINIT, INIT_REQUEST_REBOOT, MEANS_SIGNAL, .signo = SIGINT },
        { INIT_FINIT, INIT_REQUEST_POWEROFF, MEANS_SIGNAL, .signo = SIGUSR2 },
        { INIT_FINIT, INIT_REQUEST_REBOOT, MEANS_SIGNAL, .signo = SIGTERM },
        { INIT_OPENRC, INIT_REQUEST_POWEROFF, MEANS_WORD, .path = "/run/openrc/init.ctl",
          .word = "poweroff" },
        { INIT_OPENRC, INIT_REQUEST_REBOOT, MEANS_WORD, .path = "/run/openrc/init.ctl",
          .word = "reboot" },
        { INIT_RUNIT, INIT_REQUEST_POWEROFF, MEANS_MARKS, .signo = SIGCONT, .path = "/run/runit." },
        { INIT_RUNIT, INIT_REQUEST_POWEROFF, MEANS_MARKS, .signo = SIGCONT, .path = "/etc/runit/" },
        { INIT_RUNIT, INIT_REQUEST_REBOOT, MEANS_MARKS, .signo = SIGCONT, .path = "/run/runit.",
          .word = "reboot" },
        { INIT_RUNIT, INIT_REQUEST_REBOOT, MEANS_MARKS, .signo = SIGCONT, .path = "/etc/runit/",
          .word = "reboot" },
        { INIT_S6, INIT_REQUEST_POWEROFF, MEANS_SCAN_SIGNAL, .signo = SIGUSR1,
          .path = ".s6-svscan/SIGUSR1" },
        { INIT_S6, INIT_REQUEST_POWEROFF, MEANS_SIGNAL, .signo = SIGTERM },
        { INIT_S6, INIT_REQUEST_REBOOT, MEANS_SCAN_SIGNAL, .signo = SIGINT,
          .path = ".s6-svscan/SIGINT" },
        { INIT_SYSTEMD, INIT_REQUEST_STOP, MEANS_REALTIME, .signo = 3 },
        { INIT_SYSTEMD, INIT_REQUEST_POWEROFF, MEANS_REALTIME, .signo = 4 },
        { INIT_SYSTEMD, INIT_REQUEST_REBOOT, MEANS_REALTIME, .signo = 5 },
        { INIT_SYSVINIT, INIT_REQUEST_POWEROFF, MEANS_RUNLEVEL, .path = "/run/initctl",
          .word = "0" },
        { INIT_SYSVINIT, INIT_REQUEST_POWEROFF, MEANS_RUNLEVEL, .path = "/dev/initctl",
          .word = "0" },
        { INIT_SYSVINIT, INIT_REQUEST_REBOOT, MEANS_RUNLEVEL, .path = "/run/initctl", .word = "6" },
        { INIT_SYSVINIT, INIT_REQUEST_REBOOT, MEANS_RUNLEVEL, .path = "/dev/initctl", .word = "6" },
};

/* sysvinit's struct init_request: 384 bytes, in the byte order of the machine (initreq.h). */
struct runlevel_request {
        int32_t magic, command, runlevel, sleep_time_s;
        char data[368];
};
#define RUNLEVEL_MAGIC 0x03091969
#define RUNLEVEL_COMMAND_SET 1
#define RUNLEVEL_KILL_AFTER_S 3

_Static_assert(sizeof(struct runlevel_request) == 384, "the size is part of the protocol");

/* ---- files of the guest: in a process of its own ----------------------------------------- */

/* A FIFO that nobody reads, or that is not there, is one of an init that is not ready. */
static int write_fifo(int root_fd, const char *path, const void *data, size_t n)
{
        int place CLEANUP_FD = root_open_path(root_fd, path, ROOT_FOLLOW);
        int fd CLEANUP_FD = -1;
        char link[64];
        struct stat st;

        if (place < 0)
                return place == -ENOENT || place == -ENOTDIR ? -EAGAIN : place;
        if (fstat(place, &st) < 0)
                return -errno;
        if (!S_ISFIFO(st.st_mode))
                return -EBADF;
        (void) snprintf(link, sizeof(link), "/proc/self/fd/%d", place);
        fd = open(link, O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
        if (fd < 0)
                return errno == ENXIO ? -EAGAIN : -errno;
        /* At most PIPE_BUF bytes: all or nothing. */
        if (write(fd, data, n) < 0)
                return errno == EPIPE ? -EAGAIN : -errno;
        return 0;
}

static int write_runlevel(int root_fd, const char *path, char level)
{
        const struct runlevel_request request = {
                .magic = RUNLEVEL_MAGIC,
                .command = RUNLEVEL_COMMAND_SET,
                .runlevel = level,
                .sleep_time_s = RUNLEVEL_KILL_AFTER_S,
        };

        return write_fifo(root_fd, path, &request, sizeof(request));
}

/* Sets the mode of a regular file, which is not opened for that. */
static int set_mode(int root_fd, const char *path, mode_t mode)
{
        int place CLEANUP_FD = root_open_path(root_fd, path, ROOT_FOLLOW);
        char link[64];
        struct stat st;

        if (place < 0)
                return place;
        if (fstat(place, &st) < 0)
                return -errno;
        if (!S_ISREG(st.st_mode))
                return -EBADF;
        (void) snprintf(link, sizeof(link), "/proc/self/fd/%d", place);
        return chmod(link, mode) < 0 ? -errno : 0;
}

/*
 * Executable files say what runit is to do when it gets SIGCONT (runit(8)). The first stage of the
 * boot makes them without rights; where they are not there yet, SIGCONT would be lost.
 */
static int set_marks(int root_fd, const char *prefix, bool restart)
{
        char path[32];
        int r;

        (void) snprintf(path, sizeof(path), "%sreboot", prefix);
        r = set_mode(root_fd, path, restart ? S_IXUSR : 0);
        if (r < 0 && (r != -ENOENT || restart))
                return r == -ENOENT ? -EAGAIN : r;
        (void) snprintf(path, sizeof(path), "%sstopit", prefix);
        r = set_mode(root_fd, path, S_IXUSR);
        return r == -ENOENT ? -EAGAIN : r;
}

static bool means_needs_files(enum means means)
{
        return means == MEANS_RUNLEVEL || means == MEANS_WORD || means == MEANS_MARKS ||
               means == MEANS_SCAN_SIGNAL;
}

/* @root_fd is the directory that base_of() tells. */
static int use_files(const struct way *way, int root_fd)
{
        int fd CLEANUP_FD = -1;

        switch (way->means) {
        case MEANS_RUNLEVEL:
                return write_runlevel(root_fd, way->path, way->word[0]);
        case MEANS_WORD:
                return write_fifo(root_fd, way->path, way->word, strlen(way->word));
        case MEANS_MARKS:
                return set_marks(root_fd, way->path, way->word != NULL);
        case MEANS_SCAN_SIGNAL:
                fd = root_open_path(root_fd, way->path, ROOT_FOLLOW);
                return fd == -ENOENT ? -EOPNOTSUPP : MIN_OF(fd, 0);
        case MEANS_SIGNAL:
        case MEANS_REALTIME:
                break;
        }
        return -EOPNOTSUPP;
}

/* A directory of the guest's behind one of the links in /proc/PID. */
static int open_proc_link(pid_t pid, const char *name)
{
        char path[40];
        int fd;

        (void) snprintf(path, sizeof(path), "/proc/%d/%s", (int) pid, name);
        fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
        return fd < 0 ? -errno : fd;
}

/* With an id map the guest's files belong to other ids, and we have no rights to lose. The owner of
 * a process's files in /proc is its effective user, or the root of its user namespace (proc(5)). */
static int become_user_of(pid_t pid)
{
        char path[32];
        struct stat st;

        (void) snprintf(path, sizeof(path), "/proc/%d/comm", (int) pid);
        if (stat(path, &st) < 0)
                return errno == ENOENT ? -ESRCH : -errno;
        if (st.st_uid == geteuid())
                return 0;
        if (setgroups(0, NULL) < 0 || setresgid(st.st_gid, st.st_gid, st.st_gid) < 0 ||
            setresuid(st.st_uid, st.st_uid, st.st_uid) < 0)
                return -errno;
        return 0;
}

/*
 * A child that waits for a file system of the guest's may be unkillable until that is gone. It must
 * not keep our locks and our caller's pipes open as long.
 */
static int keep_only(int fd)
{
        int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);

        if (null_fd < 0)
                return -errno;
        for (int i = 0; i < 3; i++)
                if (dup2(null_fd, i) < 0)
                        return -errno;
        return fd_close_others(3, fd);
}

/* Where the path of a way begins: the init's working directory, or its root. */
static const char *base_of(const struct way *way)
{
        return way->means == MEANS_SCAN_SIGNAL ? "cwd" : "root";
}

static int use_files_as_user_of(pid_t leader, const struct way *way)
{
        int fd CLEANUP_FD = open_proc_link(leader, base_of(way));
        int r;

        if (fd < 0)
                return fd == -ENOENT ? -ESRCH : fd;
        r = become_user_of(leader);
        if (r >= 0)
                r = keep_only(fd);
        return r < 0 ? r : use_files(way, fd);
}

#define FILES_TIMEOUT_MS 2000

/*
 * A guest can serve a file system of its own and leave a look-up in it without an answer for ever.
 * So this is a child's work, which is given up when it takes too long. A child that cannot even be
 * killed then ends with the guest's file system.
 */
static int use_files_in_child(const struct way *way, pid_t leader)
{
        int pidfd CLEANUP_FD = -1;
        pid_t child = process_clone(0, -1, &pidfd);
        struct pollfd ended;
        struct process_end end;
        int r;

        if (child < 0)
                return child;
        if (child == 0)
                _exit(-use_files_as_user_of(leader, way));
        ended = (struct pollfd){ .fd = pidfd, .events = POLLIN };
        do
                r = poll(&ended, 1, FILES_TIMEOUT_MS);
        while (r < 0 && errno == EINTR);
        if (r <= 0) {
                (void) process_signal(pidfd, SIGKILL);
                return -ETIMEDOUT;
        }
        r = process_wait(pidfd, &end);
        if (r < 0)
                return r;
        return end.exited ? -end.status : -EIO;
}

/* ---- asking ------------------------------------------------------------------------------ */

static bool way_is_for(const struct way *way, enum init_kind kind, enum init_request request)
{
        /* Only systemd knows a difference between to halt and to power off in a container. */
        if (request == INIT_REQUEST_STOP && kind != INIT_SYSTEMD)
                request = INIT_REQUEST_POWEROFF;
        return way->kind == kind && way->request == request;
}

static int send_if_heard(int signo, uint64_t heard, int leader_pidfd)
{
        return hears(heard, signo) ? process_signal(leader_pidfd, signo) : -EAGAIN;
}

static int take_way(const struct way *way, pid_t leader, int leader_pidfd)
{
        uint64_t heard;
        int r = process_signals_heard(leader, &heard);

        if (r < 0)
                return r;
        switch (way->means) {
        case MEANS_SIGNAL:
                return send_if_heard(way->signo, heard, leader_pidfd);
        case MEANS_REALTIME:
                return send_if_heard(init_realtime_signal(heard, way->signo), heard, leader_pidfd);
        case MEANS_RUNLEVEL:
        case MEANS_WORD:
                return use_files_in_child(way, leader);
        case MEANS_MARKS:
        case MEANS_SCAN_SIGNAL:
                break;
        }
        if (!hears(heard, way->signo))
                return -EAGAIN; /* no file is changed for nothing */
        r = use_files_in_child(way, leader);
        return r < 0 ? r : process_signal(leader_pidfd, way->signo);
}

static void describe_way(const struct way *way, struct init_answer *ret)
{
        char *name CLEANUP_FREE = NULL;

        if (way->means == MEANS_RUNLEVEL || way->means == MEANS_WORD) {
                (void) snprintf(ret->by, sizeof(ret->by), "%s", way->path);
                return;
        }
        /* As it is written everywhere, whatever the number is in the guest. */
        name = signal_to_text(way->means == MEANS_REALTIME ? SIGRTMIN + way->signo : way->signo);
        (void) snprintf(ret->by, sizeof(ret->by), "%s", name ? name : "a signal");
}

/* A program of which nothing is known. */
static int ask_other(int signo, pid_t leader, int leader_pidfd, struct init_answer *ret)
{
        const struct way way = { .means = MEANS_SIGNAL, .signo = signo };
        int r = signo > 0 ? take_way(&way, leader, leader_pidfd) : -EOPNOTSUPP;

        if (r >= 0)
                describe_way(&way, ret);
        return r;
}

/*
 * Many programs are called "init". One that has a handler for the signal of unknown programs is not
 * sysvinit, which ignores it. That it waits for some signals, and so maybe for this one, is not
 * enough.
 */
static int ask_namesake(int signo, pid_t leader, int leader_pidfd, struct init_answer *ret)
{
        uint64_t heard;
        int r = process_signals_heard(leader, &heard);

        if (r < 0)
                return r;
        return heard == UINT64_MAX ? -EAGAIN : ask_other(signo, leader, leader_pidfd, ret);
}

int init_ask(enum init_kind kind, enum init_request request, int other_signal, pid_t leader,
             int leader_pidfd, struct init_answer *ret)
{
        int result = -EOPNOTSUPP;

        if (kind == INIT_OTHER)
                return ask_other(other_signal, leader, leader_pidfd, ret);
        for (size_t i = 0; i < ARRAY_SIZE(ways); i++) {
                int r;

                if (!way_is_for(&ways[i], kind, request))
                        continue;
                /* A file system that kept us waiting once would do so again. */
                if (result == -ETIMEDOUT && ways[i].means != MEANS_SIGNAL)
                        continue;
                r = take_way(&ways[i], leader, leader_pidfd);
                if (r >= 0) {
                        describe_way(&ways[i], ret);
                        return 0;
                }
                /* One that may work in a moment is the best of what does not work now. */
                if (result != -EAGAIN || r == -ETIMEDOUT)
                        result = r;
        }
        if (kind == INIT_SYSVINIT && result == -EAGAIN &&
            ask_namesake(other_signal, leader, leader_pidfd, ret) >= 0)
                return 0;
        return result;
}

int init_ask_by_files(enum init_kind kind, enum init_request request, int root_fd)
{
        int result = -EOPNOTSUPP;

        for (size_t i = 0; result < 0 && i < ARRAY_SIZE(ways); i++)
                if (way_is_for(&ways[i], kind, request) && means_needs_files(ways[i].means))
                        result = use_files(&ways[i], root_fd);
        return result;
}
