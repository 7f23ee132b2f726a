/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include "basic/cgroup.h"
#include "basic/fd.h"
#include "basic/io.h"
#include "basic/process.h"
#include "shared/host.h"

/* Real groups, below a slice of our own; needs root and cgroup2. Leaves nothing. */

/* With our number in it: somebody else may run the same test. */
static char slice[64], slice_directory[64];
#define SKIPPED 77

static const struct device_rule rules[] = {
        { 'c', 1, 3, DEVICE_ALL },
        { 'c', 1, 5, DEVICE_READ },
        { 'c', 136, -1, DEVICE_READ | DEVICE_WRITE },
};

static struct scope_spec plain_spec(const char *machine)
{
        return (struct scope_spec){ .machine = machine, .slice = slice };
}

static void assert_created(const struct scope_spec *spec, struct scope *ret)
{
        struct failure failure = { .error = 0 };

        if (scope_create(HOST_NATIVE, spec, ret, &failure) < 0)
                fail_msg("%s", failure.text);
        assert_true(ret->payload_fd >= 0);
        assert_int_equal(access(ret->path, F_OK), 0);
        assert_int_equal(scope_adopt(ret, 1, -1, &failure), 0);
}

static void assert_no_slice(void)
{
        char *mount CLEANUP_FREE = NULL;
        int fd CLEANUP_FD = -1;

        assert_int_equal(cgroup_find_mount(&mount), 0);
        fd = open(mount, O_PATH | O_DIRECTORY | O_CLOEXEC);
        assert_int_equal(faccessat(fd, slice_directory, F_OK, 0), -1);
}

/* As process_clone(); a test that fails leaves nothing running. */
static pid_t start_process(int group_fd, int *ret_pidfd)
{
        pid_t pid = process_clone(0, group_fd, ret_pidfd);

        if (pid == 0 && prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
                _exit(1);
        return pid;
}

/* A process in the payload that lives until it is killed. */
static int start_sleeper(const struct scope *scope)
{
        int pidfd = -1;
        pid_t pid = start_process(scope->payload_fd, &pidfd);

        if (pid == 0) {
                (void) fd_close(scope->payload_fd);
                for (;;)
                        (void) pause();
        }
        assert_true(pid > 0);
        return pidfd;
}

static void reap(int pidfd)
{
        struct process_end end;

        assert_int_equal(process_wait(pidfd, &end), 0);
        (void) fd_close(pidfd);
}

static void test_create_and_remove(void **state)
{
        struct scope_spec spec = plain_spec("t-plain");
        struct scope scope = SCOPE_NULL;
        char path[256];
        int pidfd;

        (void) state;
        assert_created(&spec, &scope);
        assert_string_equal(scope.name, "machine-t\\x2dplain.scope");
        (void) snprintf(path, sizeof(path), "/%s/%s/machine-t\\x2dplain.scope/payload",
                        slice_directory, slice);
        assert_non_null(strstr(scope.path, path));
        pidfd = start_sleeper(&scope);
        assert_int_equal(cgroup_is_populated(AT_FDCWD, scope.unit), 1);
        scope_remove(&scope);
        reap(pidfd);
        assert_null(scope.path);
        scope_remove(&scope);
        assert_no_slice();
}

static void test_kill(void **state)
{
        struct scope_spec spec = plain_spec("t-kill");
        struct scope scope CLEANUP_SCOPE = SCOPE_NULL;
        int pidfd;

        (void) state;
        assert_created(&spec, &scope);
        pidfd = start_sleeper(&scope);
        assert_int_equal(scope_kill(&scope), 0);
        reap(pidfd);
        assert_int_equal(cgroup_is_populated(AT_FDCWD, scope.unit), 0);
}

static void test_leftover_is_reused(void **state)
{
        struct scope_spec spec = plain_spec("t-stale");
        struct scope first = SCOPE_NULL, second CLEANUP_SCOPE = SCOPE_NULL;
        char *path CLEANUP_FREE = NULL;

        (void) state;
        assert_created(&spec, &first);
        assert_true(asprintf(&path, "%s/deeper", first.path) > 0);
        assert_int_equal(mkdir(path, 0755), 0);
        scope_forget(&first);
        assert_created(&spec, &second);
        assert_int_equal(access(path, F_OK), -1);
}

static void test_running_is_refused(void **state)
{
        struct scope_spec spec = plain_spec("t-runs");
        struct scope first CLEANUP_SCOPE = SCOPE_NULL, second = SCOPE_NULL;
        struct failure locked = { .error = 0 }, populated = { .error = 0 };
        int pidfd;

        (void) state;
        assert_created(&spec, &first);
        /* Not populated yet, but its maker lives. */
        assert_int_equal(scope_create(HOST_NATIVE, &spec, &second, &locked), -EBUSY);
        assert_non_null(strstr(locked.text, "already running"));
        assert_int_equal(access(first.path, F_OK), 0);
        /* The maker is dead, the machine is not. */
        pidfd = start_sleeper(&first);
        first.lock_fd = fd_close(first.lock_fd);
        assert_int_equal(scope_create(HOST_NATIVE, &spec, &second, &populated), -EBUSY);
        assert_non_null(strstr(populated.text, "already running"));
        assert_int_equal(process_signal(pidfd, SIGKILL), 0);
        reap(pidfd);
        assert_created(&spec, &second);
        scope_remove(&second);
}

/* Another supervisor: makes the scope and lives until it is killed. */
static int start_creator(const struct scope_spec *spec)
{
        int ready[2], pidfd = -1;
        char answer = 0;
        pid_t pid;

        assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
        pid = start_process(-1, &pidfd);
        if (pid == 0) {
                struct failure failure = { .error = 0 };
                struct scope scope = SCOPE_NULL;

                if (scope_create(HOST_NATIVE, spec, &scope, &failure) < 0 ||
                    write(ready[1], "x", 1) != 1)
                        _exit(1);
                for (;;)
                        (void) pause();
        }
        assert_true(pid > 0);
        (void) close(ready[1]);
        assert_int_equal(read(ready[0], &answer, 1), 1);
        (void) close(ready[0]);
        return pidfd;
}

static void kill_and_reap(int pidfd)
{
        assert_int_equal(process_signal(pidfd, SIGKILL), 0);
        reap(pidfd);
}

/* "CGROUP2/the slice/NAME" exists. */
static bool scope_exists(const char *name)
{
        char *mount CLEANUP_FREE = NULL, path[PATH_MAX];

        assert_int_equal(cgroup_find_mount(&mount), 0);
        (void) snprintf(path, sizeof(path), "%s/%s/%s/%s", mount, slice_directory, slice, name);
        return access(path, F_OK) == 0;
}

static void test_being_started_is_refused(void **state)
{
        struct scope_spec spec = plain_spec("starting");
        struct scope scope = SCOPE_NULL;
        struct failure failure = { .error = 0 };
        int pidfd;

        (void) state;
        pidfd = start_creator(&spec);
        assert_int_equal(scope_create(HOST_NATIVE, &spec, &scope, &failure), -EBUSY);
        assert_non_null(strstr(failure.text, "already running"));
        assert_true(scope_exists("machine-starting.scope/payload"));
        kill_and_reap(pidfd);
        assert_created(&spec, &scope);
        scope_remove(&scope);
        assert_no_slice();
}

/* In a child: waits for the end of @start_fd, creates, says how it went, removes at the next end. */
static _Noreturn void run_rival(const struct scope_spec *spec, int start_fd, int answer_fd,
                                int end_fd)
{
        struct scope scope = SCOPE_NULL;
        struct failure failure = { .error = 0 };
        char byte;
        int r;

        if (read(start_fd, &byte, 1) != 0)
                _exit(1);
        r = scope_create(HOST_NATIVE, spec, &scope, &failure);
        if (write(answer_fd, &r, sizeof(r)) != sizeof(r) || read(end_fd, &byte, 1) != 0 ||
            (r >= 0 && access(scope.path, F_OK) < 0))
                _exit(1);
        scope_remove(&scope);
        _exit(0);
}

enum { N_RIVALS = 4, N_RACES = 50 };

static void race(const struct scope_spec *spec)
{
        int start[2], answer[2], end[2], pidfds[N_RIVALS], winners = 0;

        assert_int_equal(pipe2(start, O_CLOEXEC) | pipe2(answer, O_CLOEXEC) | pipe2(end, O_CLOEXEC),
                         0);
        for (size_t i = 0; i < N_RIVALS; i++)
                if (start_process(-1, &pidfds[i]) == 0) {
                        (void) close(start[1]);
                        (void) close(end[1]);
                        run_rival(spec, start[0], answer[1], end[0]);
                }
        (void) close(start[1]);
        for (size_t i = 0; i < N_RIVALS; i++) {
                int r = 1;

                assert_int_equal(read(answer[0], &r, sizeof(r)), sizeof(r));
                winners += r == 0;
                assert_true(r == 0 || r == -EBUSY);
        }
        assert_int_equal(winners, 1);
        (void) close(end[1]);
        for (size_t i = 0; i < N_RIVALS; i++) {
                struct process_end how = { .exited = false };

                assert_int_equal(process_wait(pidfds[i], &how), 0);
                assert_true(how.exited);
                assert_int_equal(how.status, 0);
                (void) fd_close(pidfds[i]);
        }
        (void) close(start[0]);
        (void) close(answer[0]);
        (void) close(answer[1]);
        (void) close(end[0]);
}

/* Whoever comes first: of many starts at once one succeeds, and the others leave it alone. */
static void test_one_of_many_wins(void **state)
{
        struct scope_spec spec = plain_spec("race");

        (void) state;
        for (int i = 0; i < N_RACES; i++) {
                /* Every second time there is a leftover to fight for. */
                if (i % 2)
                        kill_and_reap(start_creator(&spec));
                race(&spec);
                assert_no_slice();
        }
}

static void test_end_sweeps_leftovers(void **state)
{
        struct scope_spec dead = plain_spec("dead"), idle = plain_spec("idle");
        struct scope_spec busy = plain_spec("busy"), ends = plain_spec("ends");
        struct scope orphan = SCOPE_NULL, scope = SCOPE_NULL;
        int supervisor, machine;

        (void) state;
        kill_and_reap(start_creator(&dead));
        supervisor = start_creator(&idle);
        assert_created(&busy, &orphan);
        machine = start_sleeper(&orphan);
        scope_forget(&orphan);
        assert_created(&ends, &scope);
        /* Made by another program, or not locked yet: not ours to judge. */
        assert_int_equal(mkdirat(scope.lock_fd, "../machine-bare.scope", 0755), 0);
        scope_remove(&scope);
        assert_false(scope_exists("machine-dead.scope"));
        assert_false(scope_exists("machine-ends.scope"));
        assert_true(scope_exists("machine-idle.scope/payload")); /* nobody in it yet */
        assert_true(scope_exists("machine-busy.scope/payload")); /* its supervisor is dead */
        assert_true(scope_exists("machine-bare.scope"));

        kill_and_reap(supervisor);
        kill_and_reap(machine);
        assert_created(&ends, &scope);
        assert_int_equal(unlinkat(scope.lock_fd, "../machine-bare.scope", AT_REMOVEDIR), 0);
        scope_remove(&scope);
        assert_no_slice();
}

struct device_try {
        const char *path;
        int flags; /* of open(), or -1 for mknod() */
        unsigned major, minor;
        int error;
};

/* In the child: 0, or the number of the row that went another way. */
static int try_devices(const struct device_try *rows, size_t n)
{
        for (size_t i = 0; i < n; i++) {
                int r = rows[i].flags >= 0
                                ? open(rows[i].path, rows[i].flags | O_CLOEXEC | O_NONBLOCK)
                                : mknod(rows[i].path, S_IFCHR | 0600,
                                        makedev(rows[i].major, rows[i].minor));

                if ((r < 0 ? errno : 0) != rows[i].error)
                        return (int) i + 1;
        }
        return 0;
}

static void test_device_policy(void **state)
{
        static const struct device_try rows[] = {
                { "null", O_RDWR, 1, 3, 0 },         { "zero", O_RDONLY, 1, 5, 0 },
                { "zero", O_RDWR, 1, 5, EPERM },     { "kmsg", O_RDONLY, 1, 11, EPERM },
                { "loopc", O_RDWR, 10, 237, EPERM }, { "new-kmsg", -1, 1, 11, EPERM },
                { "new-null", -1, 1, 3, 0 },         { "new-zero", -1, 1, 5, EPERM },
        };
        struct scope_spec spec = plain_spec("t-devices");
        struct scope scope CLEANUP_SCOPE = SCOPE_NULL;
        char directory[] = "/dev/stead-test-XXXXXX", start[PATH_MAX];
        struct process_end end = { .exited = false };
        int pidfd = -1;
        pid_t pid;

        (void) state;
        /* /tmp may be nodev; the device file system is not. */
        assert_non_null(getcwd(start, sizeof(start)));
        assert_non_null(mkdtemp(directory));
        assert_int_equal(chdir(directory), 0);
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
                if (rows[i].flags >= 0)
                        (void) mknod(rows[i].path, S_IFCHR | 0600,
                                     makedev(rows[i].major, rows[i].minor));
        spec.device_policy = true;
        spec.devices = rules;
        spec.n_devices = ARRAY_SIZE(rules);
        assert_created(&spec, &scope);
        pid = process_clone(0, scope.payload_fd, &pidfd);
        if (pid == 0)
                _exit(try_devices(rows, ARRAY_SIZE(rows)));
        assert_true(pid > 0);
        assert_int_equal(process_wait(pidfd, &end), 0);
        (void) fd_close(pidfd);
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
                (void) unlink(rows[i].path);
        assert_int_equal(chdir(start), 0);
        assert_int_equal(rmdir(directory), 0);
        assert_true(end.exited);
        if (end.status != 0)
                fail_msg("row %d", end.status - 1);
}

/* Where the controller is there, the file says so; else the sentence does, and nothing is left. */
static void test_property(void **state)
{
        struct property_set set CLEANUP_PROPERTY_SET = { .items = NULL };
        struct scope_spec spec = plain_spec("t-property");
        struct scope scope CLEANUP_SCOPE = SCOPE_NULL;
        struct failure failure = { .error = 0 };
        char *mount CLEANUP_FREE = NULL, *file CLEANUP_FREE = NULL;
        unsigned offered = 0;
        char line[64];
        int r;

        (void) state;
        assert_int_equal(cgroup_find_mount(&mount), 0);
        assert_int_equal(cgroup_read_controllers(AT_FDCWD, mount, &offered), 0);
        assert_int_equal(property_set_add(&set, "MemoryMax=64M", &failure), 0);
        assert_int_equal(property_set_add(&set, "Description=x", &failure), 0);
        spec.properties = &set;
        r = scope_create(HOST_NATIVE, &spec, &scope, &failure);
        if (!(offered & CGROUP_MEMORY)) {
                assert_int_equal(r, -EOPNOTSUPP);
                assert_non_null(strstr(failure.text, "MemoryMax= needs"));
                assert_non_null(strstr(failure.text, "'memory'"));
                assert_no_slice();
                return;
        }
        assert_int_equal(r, 0);
        assert_true(asprintf(&file, "%s/memory.max", scope.unit) > 0);
        assert_int_equal(read_line_at(AT_FDCWD, file, line, sizeof(line)), 0);
        assert_string_equal(line, "67108864");
}

static void make_nested(int dir_fd, int depth)
{
        int fd = fd_copy(dir_fd);

        for (int i = 0; i < depth; i++) {
                int next;

                assert_int_equal(mkdirat(fd, "deeper", 0755), 0);
                next = openat(fd, "deeper", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
                assert_true(next >= 0);
                (void) fd_close(fd);
                fd = next;
        }
        (void) fd_close(fd);
}

static void test_trees_of_guests(void **state)
{
        static const char *const names[] = { "-rf", "a b", "\xff\xfe", "...", "%s", "cgroup2" };
        struct scope_spec spec = plain_spec("t-trees");
        struct scope scope = SCOPE_NULL;

        (void) state;
        assert_created(&spec, &scope);
        make_nested(scope.payload_fd, 100);
        for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
                int fd CLEANUP_FD = -1;

                assert_int_equal(mkdirat(scope.payload_fd, names[i], 0755), 0);
                fd = openat(scope.payload_fd, names[i], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
                make_nested(fd, 3);
        }
        for (int i = 0; i < 300; i++) {
                char name[32];

                (void) snprintf(name, sizeof(name), "wide-%d", i);
                assert_int_equal(mkdirat(scope.payload_fd, name, 0755), 0);
        }
        scope_remove(&scope);
        assert_no_slice();
}

static void test_owner(void **state)
{
        struct scope_spec spec = plain_spec("t-owner");
        struct scope scope CLEANUP_SCOPE = SCOPE_NULL;
        struct stat st;

        (void) state;
        spec.owner = 655360;
        assert_created(&spec, &scope);
        assert_int_equal(fstat(scope.payload_fd, &st), 0);
        assert_int_equal(st.st_uid, 655360);
        assert_int_equal(fstatat(scope.payload_fd, "cgroup.procs", &st, 0), 0);
        assert_int_equal(st.st_gid, 655360);
        assert_int_equal(fstatat(scope.payload_fd, "cgroup.max.depth", &st, 0), 0);
        assert_int_equal(st.st_uid, 0);
        assert_int_equal(stat(scope.unit, &st), 0);
        assert_int_equal(st.st_uid, 0);
}

static void test_kept_unit_is_shared(void **state)
{
        struct scope_spec a = { .machine = "t-keep-a", .keep_unit = true };
        struct scope_spec b = { .machine = "t-keep-b", .keep_unit = true };
        struct scope first = SCOPE_NULL, second = SCOPE_NULL, third = SCOPE_NULL;
        char *path CLEANUP_FREE = NULL, *other CLEANUP_FREE = NULL;
        struct failure failure = { .error = 0 };
        int pidfd;

        (void) state;
        assert_created(&a, &first);
        pidfd = start_sleeper(&first);
        assert_created(&b, &second);
        assert_string_not_equal(first.path, second.path);
        assert_non_null(strstr(second.path, "/payload-t-keep-b"));
        assert_int_equal(scope_create(HOST_NATIVE, &b, &third, &failure), -EBUSY);
        path = strdup(first.path);
        other = strdup(second.path);
        scope_remove(&second);
        assert_int_equal(access(other, F_OK), -1);
        assert_int_equal(cgroup_is_populated(AT_FDCWD, path), 1);
        scope_remove(&first);
        reap(pidfd);
        assert_int_equal(access(path, F_OK), -1);
}

/* A launcher that was killed leaves its directory: the next one has it. */
static void test_kept_unit_leftover(void **state)
{
        struct scope_spec spec = { .machine = "t-keep", .keep_unit = true };
        struct scope first = SCOPE_NULL, second CLEANUP_SCOPE = SCOPE_NULL;
        char *path CLEANUP_FREE = NULL;

        (void) state;
        assert_created(&spec, &first);
        path = strdup(first.path);
        make_nested(first.payload_fd, 5);
        scope_forget(&first);
        assert_created(&spec, &second);
        assert_string_equal(second.path, path);
        assert_int_equal(faccessat(second.payload_fd, "deeper", F_OK, 0), -1);
}

int main(void)
{
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_create_and_remove),
                cmocka_unit_test(test_kill),
                cmocka_unit_test(test_leftover_is_reused),
                cmocka_unit_test(test_running_is_refused),
                cmocka_unit_test(test_being_started_is_refused),
                cmocka_unit_test(test_one_of_many_wins),
                cmocka_unit_test(test_end_sweeps_leftovers),
                cmocka_unit_test(test_device_policy),
                cmocka_unit_test(test_property),
                cmocka_unit_test(test_trees_of_guests),
                cmocka_unit_test(test_owner),
                cmocka_unit_test(test_kept_unit_is_shared),
                cmocka_unit_test(test_kept_unit_leftover),
        };
        char *mount CLEANUP_FREE = NULL;

        (void) snprintf(slice, sizeof(slice), "steadtest%d-a.slice", (int) getpid());
        (void) snprintf(slice_directory, sizeof(slice_directory), "steadtest%d.slice",
                        (int) getpid());
        if (getuid() != 0 || cgroup_find_mount(&mount) < 0 || access(mount, W_OK) < 0)
                return SKIPPED;
        return cmocka_run_group_tests(tests, NULL, NULL);
}
