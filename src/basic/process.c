/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "basic/process.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "basic/fd.h"
#include "basic/io.h"
#include "basic/parse.h"

static pid_t clone_with(struct clone_args args, int *ret_pidfd)
{
        int pidfd = -1;
        long pid;

        args.flags |= CLONE_PIDFD | CLONE_CLEAR_SIGHAND;
        args.pidfd = (uint64_t) (uintptr_t) &pidfd;
        args.exit_signal = SIGCHLD;
        pid = syscall(SYS_clone3, &args, sizeof(args));
        if (pid < 0)
                return -errno;
        if (pid > 0)
                *ret_pidfd = pidfd;
        return (pid_t) pid;
}

pid_t process_clone(uint64_t namespaces, int cgroup_fd, int *ret_pidfd)
{
        struct clone_args args = { .flags = namespaces };

        if (cgroup_fd >= 0) {
                args.flags |= CLONE_INTO_CGROUP;
                args.cgroup = (uint64_t) cgroup_fd;
        }
        return clone_with(args, ret_pidfd);
}

pid_t process_clone_as(pid_t number, int *ret_pidfd)
{
        struct clone_args args = { .set_tid = (uint64_t) (uintptr_t) &number, .set_tid_size = 1 };

        return clone_with(args, ret_pidfd);
}

int process_wait(int pidfd, struct process_end *ret)
{
        siginfo_t info = { .si_pid = 0 };

        while (waitid(P_PIDFD, (id_t) pidfd, &info, WEXITED | __WALL) < 0)
                if (errno != EINTR)
                        return -errno;
        *ret = (struct process_end){ .exited = info.si_code == CLD_EXITED,
                                     .status = info.si_status };
        return 0;
}

int process_signal(int pidfd, int signo)
{
        return syscall(SYS_pidfd_send_signal, pidfd, signo, NULL, 0) < 0 ? -errno : 0;
}

void process_kill_child(pid_t pid, int pidfd)
{
        /* A sandbox may know kill(2) only. The number is the child's until we reap it. */
        if (process_signal(pidfd, SIGKILL) < 0)
                (void) kill(pid, SIGKILL);
}

/* One line of a process's status, "SigIgn" and the like, as a mask (proc(5)). Signal 1 is bit 0. */
static int read_signal_mask(const char *status, const char *name, uint64_t *ret)
{
        const char *line = strstr(status, name);
        uint64_t mask = 0;

        if (!line)
                return -ENODATA;
        for (line += strlen(name); *line && *line != '\n'; line++)
                mask = mask << 4 |
                       (uint64_t) (*line <= '9' ? *line - '0' : (*line | 0x20) - 'a' + 10);
        *ret = mask;
        return 0;
}

/*
 * Signals that the caller of our program had ignored stay so across clone and exec. The kernel
 * tells them all in one place, which is cheaper than asking for each.
 */
static uint64_t ignored_signals(void)
{
        char text[4096];
        uint64_t mask;

        if (read_text_at(AT_FDCWD, "/proc/self/status", text, sizeof(text)) < 0 ||
            read_signal_mask(text, "\nSigIgn:\t", &mask) < 0)
                return UINT64_MAX;
        return mask;
}

/*
 * In sigtimedwait(2) the signals that are waited for show neither as blocked nor as caught. Which
 * ones they are cannot be seen, but who waits so is somebody who serves signals. The numbers: ours,
 * and the two that 32-bit programs use on machines that run both.
 */
static bool waits_for_signals(pid_t pid)
{
        static const long numbers[] = { SYS_rt_sigtimedwait, 177, 421 };
        char path[32], text[256];
        unsigned long number;

        (void) snprintf(path, sizeof(path), "/proc/%d/syscall", (int) pid);
        if (read_text_at(AT_FDCWD, path, text, sizeof(text)) < 0)
                return false;
        text[strcspn(text, " \n")] = '\0';
        if (parse_ulong(text, 0, 1000, &number) < 0)
                return false;
        for (size_t i = 0; i < ARRAY_SIZE(numbers); i++)
                if (number == (unsigned long) numbers[i])
                        return true;
        return false;
}

int process_signals_heard(pid_t pid, uint64_t *ret)
{
        /* Long, because the groups of the process come first. */
        char path[32], text[16384];
        uint64_t blocked, caught;
        int r;

        (void) snprintf(path, sizeof(path), "/proc/%d/status", (int) pid);
        r = read_text_at(AT_FDCWD, path, text, sizeof(text));
        if (r >= 0)
                r = read_signal_mask(text, "\nSigBlk:\t", &blocked);
        if (r >= 0)
                r = read_signal_mask(text, "\nSigCgt:\t", &caught);
        if (r < 0)
                return r == -ENOENT ? -ESRCH : r;
        *ret = waits_for_signals(pid) ? UINT64_MAX : blocked | caught;
        return 0;
}

int process_reset_signals(void)
{
        uint64_t ignored = ignored_signals();
        sigset_t none;

        for (int i = 1; i <= SIGRTMAX; i++) {
                const struct sigaction normal = { .sa_handler = SIG_DFL };

                if (!(ignored & UINT64_C(1) << (i - 1)) || i == SIGKILL || i == SIGSTOP)
                        continue;
                /* Numbers between 31 and SIGRTMIN belong to libc, which refuses them. */
                if (sigaction(i, &normal, NULL) < 0 && errno != EINVAL)
                        return -errno;
        }
        (void) sigemptyset(&none);
        return sigprocmask(SIG_SETMASK, &none, NULL) < 0 ? -errno : 0;
}

static _Noreturn void exec_child(char *const *argv, char *const *environment, int in, int out)
{
        int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);

        if (process_reset_signals() < 0 || null_fd < 0 || dup2(in >= 0 ? in : null_fd, 0) < 0 ||
            dup2(out >= 0 ? out : null_fd, 1) < 0 || fd_cloexec_from(3) < 0)
                _exit(126);
        execve(argv[0], argv, environment);
        _exit(127);
}

int process_spawn(char *const *argv, char *const *environment, int stdin_fd, int stdout_fd,
                  int *ret_pidfd)
{
        pid_t pid = process_clone(0, -1, ret_pidfd);

        if (pid == 0)
                exec_child(argv, environment, stdin_fd, stdout_fd);
        return pid < 0 ? (int) pid : 0;
}

int process_capture(char *const *argv, size_t max, char **ret_output, size_t *ret_size)
{
        static char *const no_environment[] = { NULL };
        int out[2] = { -1, -1 }, pidfd CLEANUP_FD = -1;
        char *output CLEANUP_FREE = NULL;
        struct process_end end = { .exited = false };
        size_t size = 0;
        int r;

        if (pipe2(out, O_CLOEXEC) < 0)
                return -errno;
        int read_fd CLEANUP_FD = out[0], write_fd CLEANUP_FD = out[1];

        r = process_spawn(argv, no_environment, -1, write_fd, &pidfd);
        if (r < 0)
                return r;
        /* Else we would wait for our own end of the pipe. */
        write_fd = fd_close(write_fd); /* NOLINT(clang-analyzer-deadcode.DeadStores): cleanup */
        r = read_all(read_fd, max, &output, &size);
        if (r < 0)
                (void) process_signal(pidfd, SIGKILL);
        if (process_wait(pidfd, &end) < 0 || r < 0)
                return r < 0 ? r : -ECHILD;
        if (!end.exited)
                return -ECHILD;
        *ret_output = TAKE_PTR(output);
        if (ret_size)
                *ret_size = size;
        return end.status;
}

bool process_is_asked_to_end(void)
{
        sigset_t pending;

        return sigpending(&pending) == 0 &&
               (sigismember(&pending, SIGTERM) > 0 || sigismember(&pending, SIGINT) > 0 ||
                sigismember(&pending, SIGHUP) > 0);
}
