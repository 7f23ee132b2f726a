/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "basic/fd.h"
#include "basic/io.h"
#include "basic/process.h"
#include "shared/host-named.h"

/* A real hierarchy of version 1 with a name of its own, which nobody else mounts. Leaves nothing. */

#define SKIPPED 77
#define OWNER 1234567U

static char hierarchy[64];

static struct named_group make(const char *machine, uid_t owner)
{
        struct named_group group = NAMED_GROUP_NULL;
        struct failure failure = { .error = 0 };

        if (named_group_create(hierarchy, machine, owner, &group, &failure) < 0)
                fail_msg("%s", failure.text);
        return group;
}

static bool is_listed(void)
{
        char *text CLEANUP_FREE = NULL;

        assert_int_equal(read_file_at(AT_FDCWD, "/proc/self/cgroup", 1U << 16, &text, NULL), 0);
        return strstr(text, hierarchy);
}

/* The kernel ends it a moment after its last mount. */
static void assert_gone(void)
{
        for (int i = 0; i < 500 && is_listed(); i++)
                (void) poll(NULL, 0, 10);
        assert_false(is_listed());
}

static void forget(struct named_group *group)
{
        (void) fd_close(group->lock_fd);
        (void) fd_close(group->mount_fd);
        free(group->path);
        *group = (struct named_group) NAMED_GROUP_NULL;
}

static pid_t start_sleeper(int *ret_pidfd)
{
        pid_t pid = process_clone(0, -1, ret_pidfd);

        if (pid == 0) {
                if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
                        _exit(1);
                for (;;)
                        (void) pause();
        }
        assert_true(pid > 0);
        return pid;
}

static void end_sleeper(int pidfd)
{
        struct process_end end;

        assert_int_equal(process_signal(pidfd, SIGKILL), 0);
        assert_int_equal(process_wait(pidfd, &end), 0);
        (void) fd_close(pidfd);
}

static void test_group(void **state)
{
        struct named_group group = make("a", OWNER), other = make("b", 0);
        struct failure failure = { .error = 0 };
        char path[64], text[4096], wanted[128];
        int pidfd = -1;
        struct stat st;
        pid_t pid;

        (void) state;
        assert_true(is_listed());
        assert_int_equal(fstatat(group.mount_fd, "stead", &st, 0), 0);
        assert_int_equal(st.st_mode & 07777, 0711);
        assert_int_equal(fstatat(group.lock_fd, "payload/cgroup.procs", &st, 0), 0);
        assert_int_equal(st.st_uid, OWNER);
        assert_int_equal(fstatat(other.lock_fd, "payload", &st, 0), 0);
        assert_int_equal(st.st_uid, 0);
        pid = start_sleeper(&pidfd);
        assert_int_equal(named_group_adopt(&group, pid, &failure), 0);
        (void) snprintf(path, sizeof(path), "/proc/%d/cgroup", (int) pid);
        (void) snprintf(wanted, sizeof(wanted), ":name=%s:/stead/a/payload\n", hierarchy);
        assert_int_equal(MIN_OF(read_text_at(AT_FDCWD, path, text, sizeof(text)), 0), 0);
        assert_non_null(strstr(text, wanted));
        end_sleeper(pidfd);
        /* What the guest made goes along. */
        assert_int_equal(mkdirat(group.lock_fd, "payload/x.slice", 0755), 0);
        assert_int_equal(mkdirat(group.lock_fd, "payload/x.slice/y", 0755), 0);
        named_group_remove(&group);
        assert_true(is_listed());
        assert_int_equal(faccessat(other.mount_fd, "stead/a", F_OK, 0), -1);
        assert_int_equal(faccessat(other.mount_fd, "stead/b", F_OK, 0), 0);
        named_group_remove(&other);
        named_group_remove(&other); /* an empty one */
        assert_gone();
}

static void test_same_name(void **state)
{
        struct named_group group = make("a", 0), second = NAMED_GROUP_NULL;
        struct failure failure = { .error = 0 };

        (void) state;
        assert_int_equal(named_group_create(hierarchy, "a", 0, &second, &failure), -EBUSY);
        assert_non_null(strstr(failure.text, "machine 'a'"));
        assert_int_equal(faccessat(group.mount_fd, "stead/a/payload", F_OK, 0), 0);
        named_group_remove(&group);
        assert_gone();
}

/* Of two that were killed one is taken over, and the other one goes with it. */
static void test_leftovers(void **state)
{
        struct named_group first = make("a", 0), second = make("b", 0);

        (void) state;
        assert_int_equal(mkdirat(first.lock_fd, "payload/x", 0755), 0);
        forget(&first);
        forget(&second);
        first = make("a", 0);
        assert_int_equal(faccessat(first.lock_fd, "payload/x", F_OK, 0), -1);
        assert_int_equal(faccessat(first.mount_fd, "stead/b", F_OK, 0), 0);
        named_group_remove(&first);
        assert_gone();
}

int main(void)
{
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_group),
                cmocka_unit_test(test_same_name),
                cmocka_unit_test(test_leftovers),
        };
        struct named_group group = NAMED_GROUP_NULL;
        struct failure failure = { .error = 0 };

        (void) snprintf(hierarchy, sizeof(hierarchy), "steadtest%d", (int) getpid());
        if (getuid() != 0 || named_group_create(hierarchy, "first", 0, &group, &failure) < 0) {
                (void) printf("no hierarchy of version 1 can be made here: %s\n", failure.text);
                return SKIPPED;
        }
        named_group_remove(&group);
        return cmocka_run_group_tests(tests, NULL, NULL);
}
