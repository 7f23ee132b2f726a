/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "basic/fd.h"
#include "basic/process.h"
#include "shared/init-kind.h"

static void test_programs(void **state)
{
        static const struct {
                const char *exe, *comm;
                enum init_kind kind;
        } rows[] = {
                { "/usr/lib/systemd/systemd", "systemd", INIT_SYSTEMD },
                { "/lib/systemd/systemd", "anything", INIT_SYSTEMD },
                { "/usr/lib/systemd/systemd (deleted)", "systemd", INIT_SYSTEMD },
                { "/usr/bin/busybox", "init", INIT_BUSYBOX },
                { "/bin/busybox", "linuxrc", INIT_BUSYBOX },
                { "/usr/bin/busybox", "sh", INIT_OTHER },
                { "/usr/sbin/init", "init", INIT_SYSVINIT },
                { "/sbin/init (deleted)", "init", INIT_SYSVINIT },
                { "/usr/sbin/openrc-init", "openrc-init", INIT_OPENRC },
                { "/usr/sbin/openrc-init", "init", INIT_OPENRC },
                { "/usr/bin/runit", "runit", INIT_RUNIT },
                { "/usr/sbin/runit-init", "init", INIT_RUNIT },
                { "/sbin/finit", "finit", INIT_FINIT },
                { "/usr/bin/s6-svscan", "s6-svscan", INIT_S6 },
                { "/usr/sbin/dinit", "dinit", INIT_DINIT },
                { "/usr/bin/nspawn", "(sd-stubinit)", INIT_SYSTEMD },
                { "/usr/bin/nspawn", "nspawn", INIT_OTHER },
                { "/bin/dash", "init", INIT_OTHER },
                { "/systemd/sh", "systemd", INIT_OTHER },
                { "systemd", "", INIT_SYSTEMD },
                { "/usr/bin/mysystemd", "systemd", INIT_OTHER },
                { "/usr/bin/systemdd", "systemd", INIT_OTHER },
                { "/", "", INIT_OTHER },
                { "", "", INIT_OTHER },
                { " (deleted)", "init", INIT_OTHER },
        };

        (void) state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
                if (init_kind_from_program(rows[i].exe, rows[i].comm) != rows[i].kind)
                        fail_msg("'%s', '%s'", rows[i].exe, rows[i].comm);
        for (int i = 0; i < N_INIT_KINDS; i++)
                assert_non_null(init_kind_name((enum init_kind) i));
}

#define BIT(signo) (UINT64_C(1) << ((signo) -1))

static void test_realtime_numbers(void **state)
{
        (void) state;
        assert_int_equal(init_realtime_signal(0, 3), 37);
        assert_int_equal(init_realtime_signal(BIT(34) | BIT(35), 3), 37);
        assert_int_equal(init_realtime_signal(BIT(34), 4), 38);
        assert_int_equal(init_realtime_signal(BIT(35) | BIT(38), 3), 38); /* musl */
        assert_int_equal(init_realtime_signal(BIT(15), 5), 39);
}

/* ---- files ------------------------------------------------------------------------------- */

struct root {
        char path[64];
        int fd;
};

static int make_root(void **state)
{
        struct root *root = calloc(1, sizeof(*root));
        const char *folder = getenv("TMPDIR");

        if (!root)
                return -1;
        (void) snprintf(root->path, sizeof(root->path), "%s/init-kind-XXXXXX",
                        folder && strlen(folder) < 40 ? folder : "/tmp");
        if (!mkdtemp(root->path))
                return -1;
        root->fd = open(root->path, O_PATH | O_DIRECTORY | O_CLOEXEC);
        *state = root;
        return root->fd < 0 ? -1 : 0;
}

static const char *const made[] = { "run/initctl",
                                    "dev/initctl",
                                    "run/openrc/init.ctl",
                                    "run/runit.stopit",
                                    "run/runit.reboot",
                                    "etc/runit/stopit",
                                    "etc/runit/reboot",
                                    "scan/.s6-svscan/SIGUSR1",
                                    "scan/.s6-svscan",
                                    "scan",
                                    "etc/runit",
                                    "run/openrc",
                                    "etc",
                                    "run",
                                    "dev",
                                    "elsewhere" };

static int remove_root(void **state)
{
        struct root *root = *state;

        for (size_t i = 0; i < ARRAY_SIZE(made); i++)
                if (unlinkat(root->fd, made[i], 0) < 0)
                        (void) unlinkat(root->fd, made[i], AT_REMOVEDIR);
        (void) rmdir(root->path);
        (void) fd_close(root->fd);
        free(root);
        return 0;
}

static int ask(const struct root *root, enum init_kind kind, enum init_request request)
{
        return init_ask_by_files(kind, request, root->fd);
}

static void make_directory(const struct root *root, const char *name)
{
        assert_int_equal(mkdirat(root->fd, name, 0755), 0);
}

static int make_fifo(const struct root *root, enum init_kind kind, const char *name)
{
        int fd;

        assert_int_equal(mkfifoat(root->fd, name, 0600), 0);
        assert_int_equal(ask(root, kind, INIT_REQUEST_STOP), -EAGAIN); /* no reader */
        fd = openat(root->fd, name, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
        assert_true(fd >= 0);
        return fd;
}

static void test_runlevels(void **state)
{
        const struct root *root = *state;
        unsigned char got[512] = { 0 };
        int32_t numbers[4];
        int fd CLEANUP_FD = -1;

        assert_int_equal(ask(root, INIT_SYSVINIT, INIT_REQUEST_STOP), -EAGAIN); /* not there */
        make_directory(root, "run");
        fd = make_fifo(root, INIT_SYSVINIT, "run/initctl");
        assert_int_equal(ask(root, INIT_SYSVINIT, INIT_REQUEST_STOP), 0);
        assert_int_equal(read(fd, got, sizeof(got)), 384);
        memcpy(numbers, got, sizeof(numbers));
        assert_int_equal(numbers[0], 0x03091969);
        assert_int_equal(numbers[1], 1);
        assert_int_equal(numbers[2], '0');
        assert_int_equal(ask(root, INIT_SYSVINIT, INIT_REQUEST_REBOOT), 0);
        assert_int_equal(read(fd, got, sizeof(got)), 384);
        memcpy(numbers, got, sizeof(numbers));
        assert_int_equal(numbers[2], '6');
}

static void test_old_place(void **state)
{
        const struct root *root = *state;
        char got[512];
        int fd CLEANUP_FD = -1;

        make_directory(root, "dev");
        fd = make_fifo(root, INIT_SYSVINIT, "dev/initctl");
        assert_int_equal(ask(root, INIT_SYSVINIT, INIT_REQUEST_POWEROFF), 0);
        assert_int_equal(read(fd, got, sizeof(got)), 384);
}

static void test_words(void **state)
{
        const struct root *root = *state;
        char got[64] = { 0 };
        int fd CLEANUP_FD = -1;

        make_directory(root, "run");
        make_directory(root, "run/openrc");
        fd = make_fifo(root, INIT_OPENRC, "run/openrc/init.ctl");
        assert_int_equal(ask(root, INIT_OPENRC, INIT_REQUEST_STOP), 0);
        assert_int_equal(read(fd, got, sizeof(got)), strlen("poweroff"));
        assert_string_equal(got, "poweroff");
        assert_int_equal(ask(root, INIT_OPENRC, INIT_REQUEST_REBOOT), 0);
        assert_int_equal(read(fd, got, sizeof(got)), strlen("reboot"));
}

/* What is no FIFO is not written to, and a link does not lead out of the tree. */
static void test_wrong_files(void **state)
{
        const struct root *root = *state;
        char outside[96];
        int fd CLEANUP_FD = -1;
        struct stat st;

        make_directory(root, "run");
        fd = openat(root->fd, "run/initctl", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        assert_true(fd >= 0);
        assert_int_equal(ask(root, INIT_SYSVINIT, INIT_REQUEST_STOP), -EAGAIN); /* the other path */
        assert_int_equal(fstat(fd, &st), 0);
        assert_int_equal(st.st_size, 0);
        assert_int_equal(unlinkat(root->fd, "run/initctl", 0), 0);
        /* Seen from the host the link leads to a FIFO, seen from the guest to nothing. */
        (void) snprintf(outside, sizeof(outside), "%s/elsewhere", root->path);
        assert_int_equal(mkfifo(outside, 0600), 0);
        (void) fd_close(fd);
        fd = open(outside, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
        assert_true(fd >= 0);
        assert_int_equal(symlinkat(outside, root->fd, "run/initctl"), 0);
        assert_int_equal(ask(root, INIT_SYSVINIT, INIT_REQUEST_STOP), -EAGAIN);
}

static mode_t mode_of(const struct root *root, const char *name)
{
        struct stat st;

        assert_int_equal(fstatat(root->fd, name, &st, 0), 0);
        return st.st_mode & 07777;
}

static void make_file(const struct root *root, const char *name)
{
        assert_int_equal(mknodat(root->fd, name, S_IFREG, 0), 0);
}

static void test_marks(void **state)
{
        const struct root *root = *state;

        make_directory(root, "etc");
        make_directory(root, "etc/runit");
        assert_int_equal(ask(root, INIT_RUNIT, INIT_REQUEST_STOP), -EAGAIN); /* stage 1 runs */
        make_file(root, "etc/runit/stopit");
        assert_int_equal(ask(root, INIT_RUNIT, INIT_REQUEST_STOP), 0);
        assert_int_equal(mode_of(root, "etc/runit/stopit"), 0100);
        assert_int_equal(ask(root, INIT_RUNIT, INIT_REQUEST_REBOOT), -EAGAIN);
        make_file(root, "etc/runit/reboot");
        assert_int_equal(ask(root, INIT_RUNIT, INIT_REQUEST_REBOOT), 0);
        assert_int_equal(mode_of(root, "etc/runit/reboot"), 0100);
        assert_int_equal(ask(root, INIT_RUNIT, INIT_REQUEST_POWEROFF), 0);
        assert_int_equal(mode_of(root, "etc/runit/reboot"), 0);
        /* Debian's place comes first. */
        make_directory(root, "run");
        make_file(root, "run/runit.stopit");
        make_file(root, "run/runit.reboot");
        assert_int_equal(ask(root, INIT_RUNIT, INIT_REQUEST_REBOOT), 0);
        assert_int_equal(mode_of(root, "run/runit.stopit"), 0100);
        assert_int_equal(mode_of(root, "run/runit.reboot"), 0100);
        assert_int_equal(mode_of(root, "etc/runit/reboot"), 0);
}

static void test_scan_directory(void **state)
{
        const struct root *root = *state;
        int scan CLEANUP_FD = -1;

        make_directory(root, "scan");
        make_directory(root, "scan/.s6-svscan");
        scan = openat(root->fd, "scan", O_PATH | O_DIRECTORY | O_CLOEXEC);
        assert_int_equal(init_ask_by_files(INIT_S6, INIT_REQUEST_STOP, scan), -EOPNOTSUPP);
        assert_int_equal(mknodat(scan, ".s6-svscan/SIGUSR1", S_IFREG | 0700, 0), 0);
        assert_int_equal(init_ask_by_files(INIT_S6, INIT_REQUEST_STOP, scan), 0);
}

/* ---- a live process ---------------------------------------------------------------------- */

static volatile sig_atomic_t got_signal;

static void note_signal(int signo)
{
        got_signal = signo;
}

/* A child that hears @signo only, and exits with the number of the signal that it got. */
static pid_t start_listener(int signo, int *ret_pidfd)
{
        int ready[2];
        char byte;
        pid_t pid;

        assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
        pid = process_clone(0, -1, ret_pidfd);
        assert_true(pid >= 0);
        if (pid == 0) {
                const struct sigaction act = { .sa_handler = note_signal };

                (void) prctl(PR_SET_PDEATHSIG, SIGKILL);
                if (signo > 0)
                        (void) sigaction(signo, &act, NULL);
                (void) close(ready[0]);
                (void) close(ready[1]);
                while (!got_signal)
                        (void) usleep(1000);
                _exit(got_signal);
        }
        (void) close(ready[1]);
        assert_int_equal(read(ready[0], &byte, 1), 0); /* its end closes when it is ready */
        (void) close(ready[0]);
        return pid;
}

static int ask_listener(enum init_kind kind, enum init_request request, int other, int heard,
                        struct init_answer *answer, int *ret_got)
{
        int pidfd CLEANUP_FD = -1;
        pid_t pid = start_listener(heard, &pidfd);
        int r = init_ask(kind, request, other, pid, pidfd, answer);
        struct process_end end;

        if (r < 0)
                assert_int_equal(process_signal(pidfd, SIGKILL), 0);
        assert_int_equal(process_wait(pidfd, &end), 0);
        *ret_got = end.exited ? end.status : 0;
        return r;
}

static void test_signals(void **state)
{
        static const struct {
                enum init_kind kind;
                enum init_request request;
                int other, heard, result;
                const char *by;
        } rows[] = {
                { INIT_BUSYBOX, INIT_REQUEST_STOP, 0, SIGUSR2, 0, "SIGUSR2" },
                { INIT_BUSYBOX, INIT_REQUEST_REBOOT, 0, SIGTERM, 0, "SIGTERM" },
                { INIT_BUSYBOX, INIT_REQUEST_STOP, 0, SIGTERM, -EAGAIN, NULL },
                { INIT_FINIT, INIT_REQUEST_POWEROFF, 0, SIGUSR2, 0, "SIGUSR2" },
                { INIT_DINIT, INIT_REQUEST_STOP, 0, SIGTERM, 0, "SIGTERM" },
                { INIT_SYSTEMD, INIT_REQUEST_STOP, 0, 37, 0, "SIGRTMIN+3" },
                { INIT_SYSTEMD, INIT_REQUEST_POWEROFF, 0, 38, 0, "SIGRTMIN+4" },
                { INIT_SYSTEMD, INIT_REQUEST_REBOOT, 0, 39, 0, "SIGRTMIN+5" },
                { INIT_SYSTEMD, INIT_REQUEST_STOP, 0, 0, -EAGAIN, NULL },
                { INIT_OTHER, INIT_REQUEST_STOP, SIGTERM, SIGTERM, 0, "SIGTERM" },
                { INIT_SYSVINIT, INIT_REQUEST_STOP, SIGTERM, SIGTERM, 0, "SIGTERM" },
                { INIT_OTHER, INIT_REQUEST_STOP, SIGTERM, SIGINT, -EAGAIN, NULL },
                { INIT_OTHER, INIT_REQUEST_REBOOT, 0, SIGTERM, -EOPNOTSUPP, NULL },
        };

        (void) state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                struct init_answer answer = { .by = "" };
                int got, r = ask_listener(rows[i].kind, rows[i].request, rows[i].other,
                                          rows[i].heard, &answer, &got);

                if (r != rows[i].result || (r == 0 && got != rows[i].heard))
                        fail_msg("row %zu: %d, signal %d", i, r, got);
                if (r == 0)
                        assert_string_equal(answer.by, rows[i].by);
        }
}

static void test_gone(void **state)
{
        int pidfd CLEANUP_FD = -1;
        pid_t pid = start_listener(0, &pidfd);
        struct init_answer answer;
        struct process_end end;
        enum init_kind kind;

        (void) state;
        assert_int_equal(init_kind_detect(pid, &kind), 0);
        assert_int_equal(kind, INIT_OTHER);
        assert_int_equal(process_signal(pidfd, SIGKILL), 0);
        assert_int_equal(process_wait(pidfd, &end), 0);
        assert_int_equal(init_kind_detect(pid, &kind), -ESRCH);
        assert_int_equal(init_ask(INIT_BUSYBOX, INIT_REQUEST_STOP, 0, pid, pidfd, &answer), -ESRCH);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_programs),
                cmocka_unit_test(test_realtime_numbers),
                cmocka_unit_test_setup_teardown(test_runlevels, make_root, remove_root),
                cmocka_unit_test_setup_teardown(test_old_place, make_root, remove_root),
                cmocka_unit_test_setup_teardown(test_words, make_root, remove_root),
                cmocka_unit_test_setup_teardown(test_wrong_files, make_root, remove_root),
                cmocka_unit_test_setup_teardown(test_marks, make_root, remove_root),
                cmocka_unit_test_setup_teardown(test_scan_directory, make_root, remove_root),
                cmocka_unit_test(test_signals),
                cmocka_unit_test(test_gone),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
