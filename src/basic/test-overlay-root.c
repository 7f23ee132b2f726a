/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "basic/fd.h"
#include "basic/io.h"
#include "basic/mount-api.h"
#include "basic/process.h"

/* Real overlays, in every way in which kernels take their layers; needs root. On a tmpfs that
 * nobody else can see, and which goes away with us. */

#define SKIPPED 77

static int base_fd = -1;

static void make_layer(const char *name, const char *file)
{
        char path[64];

        assert_int_equal(mkdirat(base_fd, name, 0755), 0);
        (void) snprintf(path, sizeof(path), "%s/%s", name, file);
        assert_int_equal(create_file_at(base_fd, path, 0644, name), 0);
}

static int open_layer(const char *name)
{
        int fd = openat(base_fd, name, O_PATH | O_DIRECTORY | O_CLOEXEC);

        assert_true(fd >= 0);
        return fd;
}

static int set_up(void **state)
{
        const struct mount_description d = { .type = "tmpfs", .source = "tmpfs" };
        int context CLEANUP_FD = -1;

        (void) state;
        base_fd = mount_new(&d, &context, NULL, 0);
        if (base_fd < 0)
                return -1;
        make_layer("low", "a");
        make_layer("high", "b");
        /* The same name in both: the upper one counts. */
        return create_file_at(base_fd, "low/b", 0644, "hidden") < 0 ? -1 : 0;
}

static int tear_down(void **state)
{
        (void) state;
        base_fd = fd_close(base_fd);
        return 0;
}

static void assert_content(int fd, const char *path, const char *want)
{
        char text[64];

        assert_true(read_text_at(fd, path, text, sizeof(text)) >= 0);
        assert_string_equal(text, want);
}

/* @d: how; the layers are filled in. */
static void try_writable(struct mount_overlay d)
{
        int lower[] = { open_layer("high"), open_layer("low") };
        int context CLEANUP_FD = -1, fd CLEANUP_FD = -1;
        int upper CLEANUP_FD = -1, work CLEANUP_FD = -1;
        char why[256];

        assert_int_equal(mkdirat(base_fd, "upper", 0755), 0);
        assert_int_equal(mkdirat(base_fd, "work", 0755), 0);
        upper = open_layer("upper");
        work = open_layer("work");
        d.source = "overlay";
        d.lower_fds = lower;
        d.n_lower = 2;
        d.upper_fd = upper;
        d.work_fd = work;
        d.detached_fds = &base_fd;
        d.n_detached = d.attach_layers ? 1 : 0;
        d.attributes = MOUNT_NODEV;
        fd = mount_new_overlay(&d, &context, why, sizeof(why));
        if (fd < 0)
                fail_msg("%d: %s", fd, why);
        assert_content(fd, "a", "low");
        assert_content(fd, "b", "high");
        assert_int_equal(create_file_at(fd, "new", 0644, "new"), 0);
        assert_content(upper, "new", "new");
        fd_close_many(lower, 2);
}

/* The layers are not mounted anywhere, which older ways and older kernels do not take: so these are
 * tried where they are attached. */
static void test_by_descriptor(void **state)
{
        (void) state;
        try_writable((struct mount_overlay){ .attach_layers = true });
}

static void test_by_path(void **state)
{
        (void) state;
        try_writable((struct mount_overlay){ .attach_layers = true, .n_ways_less = 1 });
}

static void test_by_list(void **state)
{
        (void) state;
        try_writable((struct mount_overlay){ .attach_layers = true, .n_ways_less = 2 });
}

/* In a namespace of its own; the exit status tells what went wrong. */
static int try_shared_layers(void)
{
        const struct mount_description d = { .type = "tmpfs", .source = "tmpfs" };
        int context = -1, fd = mount_new(&d, &context, NULL, 0);

        if (mount_make_all_private() < 0 || fd < 0 ||
            mount_set_all(fd, 0, 0, PROPAGATION_SHARED, MOUNT_ONE) < 0 ||
            mount_attach_path(fd, "/tmp") < 0 || mkdirat(fd, "low", 0755) < 0 ||
            mkdirat(fd, "layer", 0755) < 0 || mkdirat(fd, "layer/upper", 0755) < 0 ||
            mkdirat(fd, "layer/work", 0755) < 0 || create_file_at(fd, "low/mark", 0644, "mark") < 0)
                return 2;
        const int detached[] = { mount_copy(fd, "low", MOUNT_ONE),
                                 mount_copy(fd, "layer", MOUNT_ONE) };
        const struct mount_overlay o = {
                .source = "overlay",
                .lower_fds = &detached[0],
                .n_lower = 1,
                .upper_fd = openat(detached[1], "upper", O_PATH | O_CLOEXEC),
                .work_fd = openat(detached[1], "work", O_PATH | O_CLOEXEC),
                .detached_fds = detached,
                .n_detached = 2,
                .attach_layers = true,
        };

        if (mount_new_overlay(&o, &context, NULL, 0) < 0)
                return 3;
        return access("/tmp/low/mark", F_OK) < 0 ? 4 : 0;
}

/* The places of the layers are of no concern to others, also where the host shares its mounts. */
static void test_nothing_is_passed_on(void **state)
{
        int pidfd CLEANUP_FD = -1;
        struct process_end end;
        pid_t pid = process_clone(CLONE_NEWNS, -1, &pidfd);

        (void) state;
        if (pid == 0)
                _exit(try_shared_layers());
        assert_true(pid > 0);
        assert_int_equal(process_wait(pidfd, &end), 0);
        assert_true(end.exited);
        assert_int_equal(end.status, 0);
}

static void test_read_only(void **state)
{
        int lower[] = { open_layer("high"), open_layer("low") };
        int context CLEANUP_FD = -1;
        struct mount_overlay d = { .lower_fds = lower,
                                   .n_lower = 2,
                                   .upper_fd = -1,
                                   .work_fd = -1,
                                   .detached_fds = &base_fd,
                                   .n_detached = 1 };
        char why[256];
        int fd CLEANUP_FD = mount_new_overlay(&d, &context, why, sizeof(why));

        (void) state;
        if (fd < 0)
                fail_msg("%d: %s", fd, why);
        assert_content(fd, "a", "low");
        assert_int_equal(create_file_at(fd, "new", 0644, "new"), -EROFS);
        fd_close_many(lower, 2);
}

/* Directories of the host in the oldest way: the working directory is lent for it. */
static void test_attached(void **state)
{
        int lower[] = { open("/usr", O_PATH | O_CLOEXEC), open("/etc", O_PATH | O_CLOEXEC) };
        struct mount_overlay d = {
                .lower_fds = lower, .n_lower = 2, .upper_fd = -1, .work_fd = -1, .n_ways_less = 2
        };
        char before[4096], after[4096];
        int context CLEANUP_FD = -1, fd CLEANUP_FD = -1;

        (void) state;
        assert_non_null(getcwd(before, sizeof(before)));
        fd = mount_new_overlay(&d, &context, NULL, 0);
        if (fd < 0)
                fail_msg("%d", fd);
        assert_int_equal(faccessat(fd, "bin", F_OK, 0), 0);
        assert_int_equal(faccessat(fd, "passwd", F_OK, 0), 0);
        assert_non_null(getcwd(after, sizeof(after)));
        assert_string_equal(before, after);
        fd_close_many(lower, 2);
}

static void test_refused(void **state)
{
        int file CLEANUP_FD = openat(base_fd, "low/a", O_PATH | O_CLOEXEC);
        int lower[] = { file, file };
        int many[200], context = -1;
        char why[256];
        struct mount_overlay d = {
                .lower_fds = lower, .n_lower = 2, .upper_fd = -1, .work_fd = -1
        };

        (void) state;
        assert_true(mount_new_overlay(&d, &context, why, sizeof(why)) < 0);
        assert_int_equal(context, -1);
        /* More than fit into the option of old kernels. */
        for (size_t i = 0; i < ARRAY_SIZE(many); i++)
                many[i] = base_fd;
        d.lower_fds = many;
        d.n_lower = ARRAY_SIZE(many);
        d.n_ways_less = 2;
        assert_int_equal(mount_new_overlay(&d, &context, NULL, 0), -E2BIG);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_by_descriptor, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_by_path, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_by_list, set_up, tear_down),
                cmocka_unit_test(test_nothing_is_passed_on),
                cmocka_unit_test_setup_teardown(test_read_only, set_up, tear_down),
                cmocka_unit_test(test_attached),
                cmocka_unit_test_setup_teardown(test_refused, set_up, tear_down),
        };
        int fd = geteuid() == 0 ? fsopen("overlay", FSOPEN_CLOEXEC) : -1;

        if (fd < 0) {
                (void) fprintf(stderr, "Overlays need root and a kernel that has them.\n");
                return SKIPPED;
        }
        (void) fd_close(fd);
        return cmocka_run_group_tests(tests, NULL, NULL);
}
