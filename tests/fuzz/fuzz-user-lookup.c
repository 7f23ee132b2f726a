/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

#include "basic/parse.h"
#include "fuzz.h"
#include "nspawn/user-lookup.h"

/*
 * The first line is whom to look up; the rest is a guest's passwd, then a line "---", then its
 * group. They are real files, since a guest's are read below its root.
 */

static char root[PATH_MAX];
static int root_fd = -1, passwd_fd = -1, group_fd = -1;

static void remove_tree(void)
{
        (void) unlinkat(root_fd, "etc/passwd", 0);
        (void) unlinkat(root_fd, "etc/group", 0);
        (void) unlinkat(root_fd, "etc", AT_REMOVEDIR);
        (void) rmdir(root);
}

static void make_tree(void)
{
        const char *base = getenv("TMPDIR");
        const int flags = O_WRONLY | O_CREAT | O_CLOEXEC;

        (void) snprintf(root, sizeof(root), "%s/fuzz-user-XXXXXX", base ? base : "/tmp");
        FUZZ_CHECK(mkdtemp(root) && atexit(remove_tree) == 0);
        root_fd = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
        FUZZ_CHECK(mkdirat(root_fd, "etc", 0755) == 0);
        passwd_fd = openat(root_fd, "etc/passwd", flags, 0644);
        group_fd = openat(root_fd, "etc/group", flags, 0644);
        FUZZ_CHECK(passwd_fd >= 0 && group_fd >= 0);
}

static void put(int fd, const char *text, size_t n)
{
        FUZZ_CHECK(ftruncate(fd, 0) == 0 && pwrite(fd, text, n, 0) == (ssize_t) n);
}

static void check_entry(const struct user_entry *u, const char *user)
{
        uint32_t number = 0;

        FUZZ_CHECK(u->uid != UINT32_MAX && u->gid != UINT32_MAX);
        FUZZ_CHECK(!u->name == !u->home);
        FUZZ_CHECK(u->n_groups >= 1 && u->n_groups <= USER_MAX_GROUPS && u->groups[0] == u->gid);
        for (size_t i = 0; i < u->n_groups; i++)
                FUZZ_CHECK(u->groups[i] != UINT32_MAX);
        if (parse_uid(user, &number) >= 0)
                FUZZ_CHECK(u->uid == number);
        else
                FUZZ_CHECK(u->name && streq(u->name, user));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        char *user CLEANUP_FREE = fuzz_text(data, size);
        char *passwd = fuzz_cut_line(user), *end = user + size, *group;
        struct user_entry u CLEANUP(user_entry_done) = { .name = NULL };
        int r;

        if (!passwd)
                return 0;
        if (root_fd < 0)
                make_tree();
        group = memmem(passwd, (size_t) (end - passwd), "---\n", 4);
        put(passwd_fd, passwd, (size_t) ((group ? group : end) - passwd));
        put(group_fd, group ? group + 4 : "", group ? (size_t) (end - group) - 4 : 0);
        r = user_lookup(root_fd, user, &u);
        FUZZ_CHECK(r == 0 || ((r == -ESRCH || r == -EINVAL) && !u.name));
        if (r == 0)
                check_entry(&u, user);
        return 0;
}
