/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Makes one chosen system call of a program and its children fail, or kills at that moment.
 *
 *      inject [OPTION…] -- PROGRAM [ARGUMENT…]
 *
 *      --report=FD             where the lines below are written
 *      --limit=SECONDS         how long all of it may take (10)
 *      --whole                 count to the end; without, until the payload's program runs
 *      --role=ROLE --index=N   the call that is meant: the N-th (from 1) of this role
 *      --errno=N               it is not carried out and returns this error
 *      --kill=ROLE             it is not carried out: this process gets SIGKILL at that moment
 *      --every=NAME            each call of this name returns the error, in all roles
 *      --from                  all calls of this name from the chosen one on return the error;
 *                              with one that gets memory, all that do
 *
 * Without a chosen call it records. Lines, with tabs between the fields:
 *
 *      call  ROLE INDEX NAME ARGUMENTS   a call, when recording
 *      hit   ROLE INDEX NAME ARGUMENTS   the chosen call
 *      killed PID                        the kill was sent
 *      started                           the payload's program runs
 *      hang  PID CALL                    where a process was when the time was over
 *      end   exit|signal N               how PROGRAM ended
 *
 * Roles: "supervisor" is PROGRAM itself, "first" the process with the number 1 in a pid namespace of
 * its own, "payload" any other one in there, "helper" any other one.
 *
 * Why seccomp's notifications (seccomp_unotify(2)) and not ptrace(2): they need no code for each
 * architecture, the tested processes stay untraced, so that waiting, death signals and pidfds behave
 * as always, one round trip is made for a call and not two, and a filter that the launcher loads adds
 * to ours. The filter is inherited and the listener is told when nobody has it any more, which proves
 * that no process was left. What it cannot see is a call's result; nothing here needs that.
 */
#define _GNU_SOURCE
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <linux/filter.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MAX_PROCESSES 256
#define TEXT_MAX 256

enum role { ROLE_SUPERVISOR, ROLE_FIRST, ROLE_PAYLOAD, ROLE_HELPER, N_ROLES };
static const char *const role_names[N_ROLES] = { "supervisor", "first", "payload", "helper" };

struct process {
        pid_t pid;
        enum role role;
        bool has_execed; /* asked for an exec, and has not been seen since */
};

struct injector {
        /* what is asked for */
        int role, kill_role; /* -1: none */
        unsigned long index;
        int error;
        const char *every;
        bool from, whole;
        double limit;
        FILE *report;
        char **command;
        /* what is so */
        int listener;
        pid_t program;
        dev_t launcher_device;
        ino_t launcher_inode;
        struct process processes[MAX_PROCESSES];
        size_t n_processes;
        unsigned long counts[N_ROLES];
        bool started, was_hit, has_ended;
        char hit_name[64];
};

static _Noreturn void die(const char *what)
{
        fprintf(stderr, "inject: %s: %s\n", what, strerror(errno));
        exit(125);
}

static double now(void)
{
        struct timespec t;

        clock_gettime(CLOCK_MONOTONIC, &t);
        return (double) t.tv_sec + (double) t.tv_nsec / 1e9;
}

/* ---- what a call is ---------------------------------------------------------------------- */

/* How the arguments are shown: s text, d number, f descriptor, x bits, b bytes of the length that
 * follows, - not at all. */
static const struct {
        const char *name, *arguments;
} shown[] = {
        { "access", "s" },
        { "bind", "f" },
        { "bpf", "d" },
        { "chdir", "s" },
        { "chroot", "s" },
        { "close", "f" },
        { "close_range", "dd" },
        { "connect", "f" },
        { "dup2", "fd" },
        { "dup3", "fd" },
        { "execve", "s" },
        { "execveat", "fs" },
        { "faccessat", "fs" },
        { "faccessat2", "fs" },
        { "fchdir", "f" },
        { "fchmod", "fx" },
        { "fchmodat", "fs" },
        { "fchown", "fdd" },
        { "fchownat", "fsdd" },
        { "fcntl", "fd" },
        { "fgetxattr", "fs" },
        { "flock", "fd" },
        { "fremovexattr", "fs" },
        { "fsconfig", "fdss" },
        { "fsetxattr", "fs" },
        { "fsmount", "f" },
        { "fsopen", "s" },
        { "fstat", "f" },
        { "fstatfs", "f" },
        { "ftruncate", "fd" },
        { "getdents64", "f" },
        { "getrandom", "-dx" },
        { "getxattr", "ss" },
        { "ioctl", "fx" },
        { "keyctl", "d" },
        { "linkat", "fsfs" },
        { "lseek", "fd" },
        { "mkdir", "s" },
        { "mkdirat", "fs" },
        { "mknodat", "fsx" },
        { "mount", "sssxs" },
        { "mount_setattr", "fs" },
        { "move_mount", "fsfs" },
        { "newfstatat", "fs" },
        { "open", "s" },
        { "open_tree", "fs" },
        { "openat", "fsx" },
        { "openat2", "fs" },
        { "pivot_root", "ss" },
        { "poll", "-dd" },
        { "prctl", "dd" },
        { "prlimit64", "dd" },
        { "read", "f" },
        { "readlink", "s" },
        { "readlinkat", "fs" },
        { "recvmsg", "f" },
        { "rename", "ss" },
        { "renameat", "fsfs" },
        { "renameat2", "fsfs" },
        { "rmdir", "s" },
        { "sendmsg", "f" },
        { "sendto", "f" },
        { "sethostname", "s" },
        { "setns", "fx" },
        { "setresgid", "ddd" },
        { "setresuid", "ddd" },
        { "setsockopt", "fdd" },
        { "setxattr", "ss" },
        { "socket", "ddd" },
        { "stat", "s" },
        { "statfs", "s" },
        { "statx", "fs" },
        { "symlink", "ss" },
        { "symlinkat", "sfs" },
        { "umount2", "sd" },
        { "unlink", "s" },
        { "unlinkat", "fs" },
        { "unshare", "x" },
        { "waitid", "dd" },
        { "write", "fbd" },
};

static const char *name_of(const struct seccomp_notif *call, char *buffer, size_t size)
{
        char *name = seccomp_syscall_resolve_num_arch(call->data.arch, call->data.nr);

        snprintf(buffer, size, "%s", name ? name : "unknown");
        free(name);
        return buffer;
}

static ssize_t read_memory(pid_t pid, uint64_t address, void *buffer, size_t n)
{
        struct iovec here = { buffer, n }, there = { (void *) (uintptr_t) address, n };
        ssize_t r;

        if (address == 0)
                return -1;
        r = process_vm_readv(pid, &here, 1, &there, 1, 0);
        if (r >= 0)
                return r;
        /* The text may lie at the end of the last page that there is. */
        here.iov_len = there.iov_len = 4096 - address % 4096;
        return here.iov_len < n ? process_vm_readv(pid, &here, 1, &there, 1, 0) : -1;
}

static void add_text(FILE *out, pid_t pid, uint64_t address, size_t n)
{
        char text[TEXT_MAX] = "";
        ssize_t r = read_memory(pid, address, text, n < sizeof(text) ? n : sizeof(text) - 1);

        if (r < 0) {
                fputs("NULL", out);
                return;
        }
        fputc('"', out);
        for (ssize_t i = 0; i < r && (text[i] || n < TEXT_MAX); i++)
                fputc(isprint((unsigned char) text[i]) ? text[i] : '.', out);
        fputc('"', out);
}

static void add_descriptor(FILE *out, pid_t pid, int fd)
{
        char link[64], target[TEXT_MAX];
        ssize_t n;

        if (fd == AT_FDCWD) {
                fputs("cwd", out);
                return;
        }
        snprintf(link, sizeof(link), "/proc/%d/fd/%d", (int) pid, fd);
        n = readlink(link, target, sizeof(target) - 1);
        target[n < 0 ? 0 : n] = '\0';
        fprintf(out, "%d<%s>", fd, target);
}

static void add_arguments(FILE *out, const struct seccomp_notif *call, const char *name)
{
        const char *arguments = "";

        for (size_t i = 0; i < sizeof(shown) / sizeof(shown[0]); i++)
                if (strcmp(shown[i].name, name) == 0)
                        arguments = shown[i].arguments;
        for (size_t i = 0; arguments[i]; i++) {
                uint64_t value = call->data.args[i];

                if (i > 0 && arguments[i] != '-')
                        fputc(' ', out);
                switch (arguments[i]) {
                case 's':
                        add_text(out, (pid_t) call->pid, value, TEXT_MAX);
                        break;
                case 'b':
                        add_text(out, (pid_t) call->pid, value, call->data.args[i + 1]);
                        break;
                case 'f':
                        add_descriptor(out, (pid_t) call->pid, (int) value);
                        break;
                case 'd':
                        fprintf(out, "%d", (int) value);
                        break;
                case 'x':
                        fprintf(out, "0x%llx", (unsigned long long) value);
                        break;
                }
        }
}

static void report_call(struct injector *in, const char *word, enum role role,
                        const struct seccomp_notif *call, const char *name)
{
        fprintf(in->report, "%s\t%s\t%lu\t%s\t", word, role_names[role], in->counts[role], name);
        add_arguments(in->report, call, name);
        fputc('\n', in->report);
}

/* ---- who makes it ------------------------------------------------------------------------ */

/* Its number in the innermost namespace; 0 when it has the same as we have. */
static int inner_pid(pid_t pid)
{
        char path[64], line[256];
        int outer = 0, inner = 0, n = 0;
        FILE *status;

        snprintf(path, sizeof(path), "/proc/%d/status", (int) pid);
        status = fopen(path, "re");
        while (status && fgets(line, sizeof(line), status))
                if (strncmp(line, "NSpid:", 6) == 0)
                        n = sscanf(line + 6, "%d %d", &outer, &inner);
        if (status)
                fclose(status);
        return n == 2 ? inner : 0;
}

static struct process *find_process(struct injector *in, pid_t pid)
{
        struct process *p;
        int inner;

        for (size_t i = 0; i < in->n_processes; i++)
                if (in->processes[i].pid == pid)
                        return &in->processes[i];
        /* Numbers are used again, and what matters comes first. */
        p = &in->processes[in->n_processes < MAX_PROCESSES ? in->n_processes++ : MAX_PROCESSES - 1];
        inner = inner_pid(pid);
        *p = (struct process){ .pid = pid,
                               .role = pid == in->program ? ROLE_SUPERVISOR
                                       : inner == 1       ? ROLE_FIRST
                                       : inner > 1        ? ROLE_PAYLOAD
                                                          : ROLE_HELPER };
        return p;
}

/* A process that was born and has not made a call yet is known by its parent only. */
static pid_t find_role(struct injector *in, enum role role)
{
        char path[64];
        FILE *children;
        int pid;

        if (role == ROLE_SUPERVISOR)
                return in->program;
        snprintf(path, sizeof(path), "/proc/%d/task/%d/children", (int) in->program,
                 (int) in->program);
        children = fopen(path, "re");
        while (children && fscanf(children, "%d", &pid) == 1)
                (void) find_process(in, pid);
        if (children)
                fclose(children);
        for (size_t i = 0; i < in->n_processes; i++)
                if (in->processes[i].role == role)
                        return in->processes[i].pid;
        return 0;
}

static bool runs_launcher(const struct injector *in, pid_t pid)
{
        char path[64];
        struct stat st;

        snprintf(path, sizeof(path), "/proc/%d/exe", (int) pid);
        return stat(path, &st) < 0 ||
               (st.st_dev == in->launcher_device && st.st_ino == in->launcher_inode);
}

/* ---- what happens to it ------------------------------------------------------------------ */

/* Whether the payload's program runs: an exec inside came back as another program. */
static void notice_start(struct injector *in, struct process *p, bool is_exec)
{
        bool inside = p->role == ROLE_FIRST || p->role == ROLE_PAYLOAD;

        if (inside && p->has_execed && !in->started && !runs_launcher(in, p->pid)) {
                in->started = true;
                fprintf(in->report, "started\n");
        }
        p->has_execed = is_exec;
}

/* Where one way to get memory ends, libc tries the other. */
static bool is_memory(const char *name)
{
        return strcmp(name, "brk") == 0 || strcmp(name, "mmap") == 0 || strcmp(name, "mremap") == 0;
}

/* The answer to a call: 0 when it is carried out, else a negative errno. */
static int decide(struct injector *in, const struct seccomp_notif *call)
{
        struct process *p = find_process(in, (pid_t) call->pid);
        bool is_exec = call->data.nr == __NR_execve || call->data.nr == __NR_execveat;
        char name[64];
        pid_t victim;

        notice_start(in, p, is_exec);
        if (in->started && !(in->whole && p->role == ROLE_SUPERVISOR))
                return 0;
        in->counts[p->role]++;
        name_of(call, name, sizeof(name));
        if (in->every) {
                if (strcmp(in->every, name) != 0)
                        return 0;
                report_call(in, "hit", p->role, call, name);
                return -in->error;
        }
        if (in->role < 0) {
                report_call(in, "call", p->role, call, name);
                return 0;
        }
        if (in->was_hit)
                return in->from && is_memory(name) == is_memory(in->hit_name) &&
                                       (is_memory(name) || strcmp(in->hit_name, name) == 0)
                               ? -in->error
                               : 0;
        if ((int) p->role != in->role || in->counts[p->role] != in->index)
                return 0;
        in->was_hit = true;
        snprintf(in->hit_name, sizeof(in->hit_name), "%s", name);
        report_call(in, "hit", p->role, call, name);
        if (in->kill_role < 0)
                return -in->error;
        victim = find_role(in, (enum role) in->kill_role);
        if (victim > 0 && kill(victim, SIGKILL) == 0)
                fprintf(in->report, "killed\t%d\n", (int) victim);
        return 0;
}

/* -1: nobody has the filter any more. */
static int answer_one(struct injector *in)
{
        struct seccomp_notif call = { 0 };
        struct seccomp_notif_resp answer = { 0 };

        if (ioctl(in->listener, SECCOMP_IOCTL_NOTIF_RECV, &call) < 0)
                return errno == ENOENT || errno == EINTR ? 0 : -1; /* killed meanwhile */
        answer.id = call.id;
        answer.error = decide(in, &call);
        if (answer.error != 0 && call.data.nr == __NR_brk)
                answer.error = 0; /* it has no errors: it returns where the memory ends */
        else if (answer.error == 0)
                answer.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
        (void) ioctl(in->listener, SECCOMP_IOCTL_NOTIF_SEND, &answer);
        return 0;
}

/* Orphans become ours (PR_SET_CHILD_SUBREAPER), as they would init's. */
static void reap(struct injector *in)
{
        siginfo_t info = { .si_pid = 0 };

        while (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | __WALL) == 0 && info.si_pid != 0) {
                if (info.si_pid == in->program && !in->has_ended) {
                        in->has_ended = true;
                        fprintf(in->report, "end\t%s\t%d\n",
                                info.si_code == CLD_EXITED ? "exit" : "signal", info.si_status);
                }
                info.si_pid = 0;
        }
}

/* Without the filter a process may still be closing its files. */
static void wait_for_all(struct injector *in)
{
        double end = now() + 5;
        siginfo_t info;

        reap(in);
        while (now() < end && waitid(P_ALL, 0, &info, WEXITED | WNOWAIT | WNOHANG | __WALL) == 0) {
                (void) usleep(200);
                reap(in);
        }
}

static void report_hang(struct injector *in)
{
        for (size_t i = 0; i < in->n_processes; i++) {
                char path[64], line[256] = "";
                FILE *f;

                snprintf(path, sizeof(path), "/proc/%d/syscall", (int) in->processes[i].pid);
                f = fopen(path, "re");
                if (!f)
                        continue;
                if (!fgets(line, sizeof(line), f))
                        line[0] = '\0';
                fclose(f);
                line[strcspn(line, "\n")] = '\0';
                fprintf(in->report, "hang\t%d\t%s %s\n", (int) in->processes[i].pid,
                        role_names[in->processes[i].role], line);
        }
}

static void kill_all(const struct injector *in)
{
        for (size_t i = 0; i < in->n_processes; i++)
                if (inner_pid(in->processes[i].pid) > 0 || in->processes[i].pid == in->program)
                        (void) kill(in->processes[i].pid, SIGKILL);
}

/* Answers until nobody is left, or the time is over. */
static void serve(struct injector *in)
{
        double end = now() + in->limit;
        bool is_late = false;

        for (;;) {
                struct pollfd p = { .fd = in->listener, .events = POLLIN };
                double left = end - now();
                int r;

                if (left <= 0) {
                        if (is_late)
                                break;
                        is_late = true;
                        report_hang(in);
                        kill_all(in);
                        end = now() + 5;
                        continue;
                }
                /* A zombie that nobody waits for keeps the filter on some kernels. */
                r = poll(&p, 1, left < 0.05 ? (int) (left * 1000) + 1 : 50);
                if (r <= 0 || !(p.revents & POLLIN))
                        reap(in);
                if (r > 0 && p.revents & POLLIN && answer_one(in) < 0)
                        break;
                if (r > 0 && !(p.revents & POLLIN))
                        break; /* POLLHUP */
        }
}

/* ---- the beginning ----------------------------------------------------------------------- */

static int load_filter(void)
{
        struct sock_filter program[] = {
                BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
                BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_exit, 3, 0),
                BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_exit_group, 2, 0),
                BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_rt_sigreturn, 1, 0),
                BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF),
                BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        };
        struct sock_fprog filter = { sizeof(program) / sizeof(program[0]), program };

        return (int) syscall(__NR_seccomp, SECCOMP_SET_MODE_FILTER,
                             SECCOMP_FILTER_FLAG_NEW_LISTENER, &filter);
}

/* With the filter every call waits for an answer, so the listener's number goes through memory. */
static void begin(struct injector *in)
{
        volatile int *number = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
                                    -1, 0);
        int pidfd;

        if (number == MAP_FAILED)
                die("mmap");
        *number = 0;
        in->program = fork();
        if (in->program < 0)
                die("fork");
        if (in->program == 0) {
                int fd = load_filter();

                *number = fd < 0 ? -errno : fd;
                if (fd < 0)
                        _exit(125);
                (void) execv(in->command[0], in->command);
                _exit(124);
        }
        while (*number == 0)
                (void) sched_yield();
        if (*number < 0) {
                errno = -*number;
                die("load the filter");
        }
        pidfd = (int) syscall(__NR_pidfd_open, in->program, 0);
        in->listener = pidfd < 0 ? -1 : (int) syscall(__NR_pidfd_getfd, pidfd, *number, 0);
        if (in->listener < 0)
                die("get the listener");
        (void) close(pidfd);
#ifdef SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP
        (void) ioctl(in->listener, SECCOMP_IOCTL_NOTIF_SET_FLAGS,
                     SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP);
#endif
}

static int parse_role(const char *text)
{
        for (int i = 0; i < N_ROLES; i++)
                if (strcmp(role_names[i], text) == 0)
                        return i;
        errno = EINVAL;
        die(text);
}

static void parse(struct injector *in, int argc, char **argv)
{
        static const struct option options[] = {
                { "report", required_argument, NULL, 'o' }, { "limit", required_argument, NULL, 'l' },
                { "whole", no_argument, NULL, 'w' },        { "role", required_argument, NULL, 'r' },
                { "index", required_argument, NULL, 'i' },  { "errno", required_argument, NULL, 'e' },
                { "kill", required_argument, NULL, 'k' },   { "every", required_argument, NULL, 'a' },
                { "from", no_argument, NULL, 'f' },         { NULL, 0, NULL, 0 },
        };
        int c;

        while ((c = getopt_long(argc, argv, "+", options, NULL)) >= 0)
                switch (c) {
                case 'o':
                        in->report = fdopen(atoi(optarg), "w");
                        if (!in->report || fcntl(fileno(in->report), F_SETFD, FD_CLOEXEC) < 0)
                                die("--report");
                        break;
                case 'l':
                        in->limit = atof(optarg);
                        break;
                case 'w':
                        in->whole = true;
                        break;
                case 'r':
                        in->role = parse_role(optarg);
                        break;
                case 'i':
                        in->index = strtoul(optarg, NULL, 10);
                        break;
                case 'e':
                        in->error = atoi(optarg);
                        break;
                case 'k':
                        in->kill_role = parse_role(optarg);
                        break;
                case 'a':
                        in->every = optarg;
                        break;
                case 'f':
                        in->from = true;
                        break;
                default:
                        exit(125);
                }
        in->command = argv + optind;
        if (!*in->command || !in->report) {
                fputs("usage: inject --report=FD [OPTION...] -- PROGRAM [ARGUMENT...]\n", stderr);
                exit(125);
        }
}

int main(int argc, char **argv)
{
        struct injector in = { .role = -1, .kill_role = -1, .limit = 10, .listener = -1 };
        struct stat st;

        parse(&in, argc, argv);
        if (stat(in.command[0], &st) < 0)
                die(in.command[0]);
        in.launcher_device = st.st_dev;
        in.launcher_inode = st.st_ino;
        if (prctl(PR_SET_CHILD_SUBREAPER, 1) < 0)
                die("become the subreaper");
        begin(&in);
        serve(&in);
        wait_for_all(&in);
        fflush(in.report);
        return 0;
}
