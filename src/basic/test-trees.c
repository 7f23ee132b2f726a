/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Copies and removals of trees, in a folder of the test's own; as an ordinary user, too. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "basic/btrfs.h"
#include "basic/copy-tree.h"
#include "basic/fd.h"
#include "basic/io.h"
#include "basic/remove-tree.h"
#include "basic/root.h"

struct place {
        char path[64];
        int fd;
};

static int set_up(void **state)
{
        struct place *p = calloc(1, sizeof(*p));

        assert_non_null(p);
        (void) snprintf(p->path, sizeof(p->path), "/tmp/stead-trees.XXXXXX");
        assert_non_null(mkdtemp(p->path));
        p->fd = open(p->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        assert_true(p->fd >= 0);
        *state = p;
        return 0;
}

static int tear_down(void **state)
{
        struct place *p = *state;
        int parent CLEANUP_FD = open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

        assert_int_equal(remove_tree(parent, p->path + strlen("/tmp/")), 0);
        assert_int_equal(access(p->path, F_OK), -1);
        (void) fd_close(p->fd);
        free(p);
        return 0;
}

static void write_file(int fd, const char *path, const char *text)
{
        assert_int_equal(create_file_at(fd, path, 0640, text), 0);
}

static struct stat look(int fd, const char *path)
{
        struct stat st;

        assert_int_equal(fstatat(fd, path, &st, AT_SYMLINK_NOFOLLOW), 0);
        return st;
}

static bool is_there(int fd, const char *path)
{
        struct stat st;

        return fstatat(fd, path, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

static int copy(const struct place *p, const char *from, const char *to, enum copy_content content)
{
        const struct copy_options options = { .path = from, .content = content };
        struct failure failure = { .error = 0 };
        int source CLEANUP_FD = openat(p->fd, from, O_PATH | O_DIRECTORY | O_CLOEXEC);
        int r;

        assert_true(source >= 0);
        r = copy_tree(source, p->fd, to, &options, &failure);
        assert_int_equal(r, failure.error);
        assert_int_equal(failure.text[0] != '\0', r < 0);
        return r;
}

/* ---- copies ------------------------------------------------------------------------------ */

static void test_copy_has_all(void **state)
{
        const struct place *p = *state;
        const struct timespec times[2] = { { .tv_sec = 1000, .tv_nsec = 5 },
                                           { .tv_sec = 2000, .tv_nsec = 7 } };
        char text[16];
        struct stat a, b;
        int fd CLEANUP_FD = -1;

        assert_int_equal(mkdirat(p->fd, "a", 0751), 0);
        assert_int_equal(mkdirat(p->fd, "a/empty", 01777), 0);
        assert_int_equal(fchmodat(p->fd, "a/empty", 01777, 0), 0);
        write_file(p->fd, "a/file", "content");
        assert_int_equal(fchmodat(p->fd, "a/file", 04751, 0), 0);
        assert_int_equal(linkat(p->fd, "a/file", p->fd, "a/empty/hard", 0), 0);
        assert_int_equal(symlinkat("/nowhere", p->fd, "a/soft"), 0);
        assert_int_equal(mkfifoat(p->fd, "a/fifo", 0604), 0);
        fd = openat(p->fd, "a/sparse", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
        assert_true(fd >= 0);
        assert_int_equal(pwrite(fd, "x", 1, 50 << 20), 1);
        assert_int_equal(ftruncate(fd, 100 << 20), 0);
        assert_int_equal(utimensat(p->fd, "a/file", times, 0), 0);
        assert_int_equal(utimensat(p->fd, "a/soft", times, AT_SYMLINK_NOFOLLOW), 0);
        assert_int_equal(utimensat(p->fd, "a", times, 0), 0);

        assert_int_equal(copy(p, "a", "b", COPY_SHARED_OR_BYTES), 0);
        assert_int_equal(read_text_at(p->fd, "b/file", text, sizeof(text)), 0);
        assert_string_equal(text, "content");
        a = look(p->fd, "a/file");
        b = look(p->fd, "b/file");
        assert_int_equal(b.st_mode, a.st_mode);
        assert_int_equal(b.st_mtim.tv_sec, 2000);
        assert_int_equal(b.st_mtim.tv_nsec, 7);
        assert_int_equal(b.st_nlink, 2);
        assert_int_equal(look(p->fd, "b/empty/hard").st_ino, b.st_ino);
        assert_int_not_equal(a.st_ino, b.st_ino);
        assert_int_equal(look(p->fd, "b").st_mtim.tv_sec, 2000);
        assert_int_equal(look(p->fd, "b").st_mode & 07777, look(p->fd, "a").st_mode & 07777);
        assert_int_equal(look(p->fd, "b/empty").st_mode & 07777, 01777);
        assert_int_equal(look(p->fd, "b/soft").st_mtim.tv_sec, 2000);
        assert_true(S_ISFIFO(look(p->fd, "b/fifo").st_mode));
        b = look(p->fd, "b/sparse");
        assert_int_equal(b.st_size, 100 << 20);
        assert_true(b.st_blocks * 512 < 1 << 20);
}

static void test_copy_does_not_copy_itself(void **state)
{
        const struct place *p = *state;
        int source CLEANUP_FD = -1, inside CLEANUP_FD = -1;
        const struct copy_options options = { .path = "a", .content = COPY_SHARED_OR_BYTES };
        struct failure failure = { .error = 0 };

        assert_int_equal(mkdirat(p->fd, "a", 0755), 0);
        write_file(p->fd, "a/file", "x");
        source = openat(p->fd, "a", O_PATH | O_DIRECTORY | O_CLOEXEC);
        inside = openat(p->fd, "a", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        assert_int_equal(copy_tree(source, inside, "copy", &options, &failure), 0);
        assert_true(is_there(p->fd, "a/copy/file"));
        assert_false(is_there(p->fd, "a/copy/copy"));
}

static void test_copy_refuses(void **state)
{
        const struct place *p = *state;

        assert_int_equal(mkdirat(p->fd, "a", 0755), 0);
        assert_int_equal(mkdirat(p->fd, "b", 0755), 0);
        assert_int_equal(copy(p, "a", "b", COPY_SHARED_OR_BYTES), -EEXIST);
        assert_int_equal(copy(p, "a", "no/b", COPY_SHARED_OR_BYTES), -ENOENT);
}

/* Where blocks cannot be shared, a copy that has to share them says so. */
static void test_copy_shares_or_fails(void **state)
{
        const struct place *p = *state;
        int r;

        assert_int_equal(mkdirat(p->fd, "a", 0755), 0);
        write_file(p->fd, "a/file", "x");
        r = copy(p, "a", "b", COPY_SHARED);
        assert_true(r == 0 || r == -EOPNOTSUPP);
}

static void stop_at_once(const struct copy_progress *progress, void *userdata)
{
        *(uint64_t *) userdata = progress->n_files;
}

static void test_copy_tells(void **state)
{
        const struct place *p = *state;
        uint64_t n = 0;
        const struct copy_options options = {
                .path = "a", .content = COPY_SHARED_OR_BYTES, .tell = stop_at_once, .userdata = &n
        };
        struct failure failure = { .error = 0 };
        int source CLEANUP_FD = -1;

        assert_int_equal(mkdirat(p->fd, "a", 0755), 0);
        for (int i = 0; i < 200; i++) {
                char name[16];

                (void) snprintf(name, sizeof(name), "a/%d", i);
                write_file(p->fd, name, "");
        }
        source = openat(p->fd, "a", O_PATH | O_DIRECTORY | O_CLOEXEC);
        assert_int_equal(copy_tree(source, p->fd, "b", &options, &failure), 0);
        assert_true(n > 0 && n <= 200);
}

/* ---- removals ---------------------------------------------------------------------------- */

static void test_remove_nothing(void **state)
{
        const struct place *p = *state;

        assert_int_equal(remove_tree(p->fd, "nothing"), 0);
        write_file(p->fd, "file", "x");
        assert_int_equal(remove_tree(p->fd, "file"), 0);
        assert_int_equal(symlinkat("/tmp", p->fd, "link"), 0);
        assert_int_equal(remove_tree(p->fd, "link"), 0);
        assert_false(is_there(p->fd, "link"));
        assert_int_equal(remove_tree(p->fd, "no/such/way"), 0);
}

/* What links lead to stays. */
static void test_remove_follows_no_link(void **state)
{
        const struct place *p = *state;

        assert_int_equal(mkdirat(p->fd, "outside", 0755), 0);
        write_file(p->fd, "outside/file", "x");
        assert_int_equal(mkdirat(p->fd, "a", 0755), 0);
        assert_int_equal(symlinkat("../outside", p->fd, "a/link"), 0);
        assert_int_equal(symlinkat("../outside/file", p->fd, "a/file"), 0);
        assert_int_equal(mkdirat(p->fd, "a/b", geteuid() == 0 ? 0 : 0700), 0);
        assert_int_equal(mkfifoat(p->fd, "a/fifo", 0), 0);
        write_file(p->fd, "a/.stead-moved-0", "x");
        assert_int_equal(remove_tree(p->fd, "a"), 0);
        assert_false(is_there(p->fd, "a"));
        assert_true(is_there(p->fd, "outside/file"));
}

/* Deeper than there may be open files, and than a path can name. */
static void test_remove_deep(void **state)
{
        const struct place *p = *state;
        int fd = fcntl(p->fd, F_DUPFD_CLOEXEC, 3);

        for (int i = 0; i < 3000; i++) {
                int next;

                assert_int_equal(mkdirat(fd, "a", 0755), 0);
                if (i % 40 == 0) {
                        write_file(fd, "file", "x");
                        assert_int_equal(mkdirat(fd, ".stead-moved-1", 0755), 0);
                }
                next = openat(fd, "a", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
                assert_true(next >= 0);
                (void) fd_close(fd);
                fd = next;
        }
        (void) fd_close(fd);
        assert_int_equal(remove_tree(p->fd, "a"), 0);
        assert_false(is_there(p->fd, "a"));
}

static void test_remove_wide(void **state)
{
        const struct place *p = *state;

        assert_int_equal(mkdirat(p->fd, "a", 0755), 0);
        for (int i = 0; i < 3000; i++) {
                char name[32];

                (void) snprintf(name, sizeof(name), "a/%d", i);
                if (i % 3 == 0)
                        assert_int_equal(mkdirat(p->fd, name, 0755), 0);
                else
                        write_file(p->fd, name, "");
        }
        assert_int_equal(remove_tree(p->fd, "a"), 0);
        assert_false(is_there(p->fd, "a"));
}

/* ---- opening ----------------------------------------------------------------------------- */

static void test_open_below(void **state)
{
        static const struct {
                const char *path;
                int r;
        } rows[] = {
                { ".", 0 },
                { "a", 0 },
                { "a/b", 0 },
                { "..", -EXDEV },
                { "a/../..", -EXDEV },
                { "/", -EXDEV },
                { "link", -ENOTDIR },
                { "link/b", -ELOOP },
                { "no", -ENOENT },
                { "a/b/c", -ENOENT },
        };
        const struct place *p = *state;

        assert_int_equal(mkdirat(p->fd, "a", 0755), 0);
        assert_int_equal(mkdirat(p->fd, "a/b", 0755), 0);
        assert_int_equal(symlinkat("a", p->fd, "link"), 0);
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                int fd CLEANUP_FD = root_open_below(p->fd, rows[i].path, O_RDONLY | O_DIRECTORY);

                if (rows[i].r < 0 ? fd != rows[i].r : fd < 0)
                        fail_msg("'%s': %d", rows[i].path, fd);
        }
}

static void test_no_subvolume(void **state)
{
        const struct place *p = *state;

        assert_int_equal(mkdirat(p->fd, "a", 0755), 0);
        write_file(p->fd, "file", "x");
        assert_true(btrfs_is_subvolume(p->fd) >= 0);
        assert_int_equal(btrfs_is_subvolume(-1), -EBADF);
        assert_true(btrfs_snapshot(p->fd, p->fd, "b", BTRFS_WRITABLE) < 0);
        assert_true(btrfs_remove(p->fd, "file") < 0);
}

int main(void)
{
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_copy_has_all, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_copy_does_not_copy_itself, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_copy_refuses, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_copy_shares_or_fails, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_copy_tells, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_remove_nothing, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_remove_follows_no_link, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_remove_deep, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_remove_wide, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_open_below, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_no_subvolume, set_up, tear_down),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
