/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <linux/posix_acl.h>
#include <linux/posix_acl_xattr.h>
#include <poll.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "basic/fd.h"
#include "basic/io.h"
#include "basic/strbuf.h"
#include "basic/strv.h"
#include "nspawn/bind-user.h"
#include "nspawn/chown-tree.h"
#include "nspawn/console.h"
#include "nspawn/etc-files.h"
#include "nspawn/forward-journal.h"
#include "nspawn/journal-link.h"
#include "nspawn/notify.h"
#include "nspawn/old-systemd.h"
#include "nspawn/user-lookup.h"

/* ---- help for the tests ------------------------------------------------------------------ */

struct directory {
        char path[PATH_MAX];
        int fd;
};

#define DIRECTORY_NULL                                                                             \
        {                                                                                          \
                .fd = -1                                                                           \
        }

static void directory_make(struct directory *d)
{
        const char *base = getenv("TMPDIR");

        (void) snprintf(d->path, sizeof(d->path), "%s/test-parts-XXXXXX", base ? base : "/tmp");
        assert_non_null(mkdtemp(d->path));
        d->fd = open(d->path, O_PATH | O_DIRECTORY | O_CLOEXEC);
        assert_true(d->fd >= 0);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *where)
{
        (void) st;
        (void) type;
        (void) where;
        (void) remove(path);
        return 0;
}

static void directory_remove(struct directory *d)
{
        d->fd = fd_close(d->fd);
        (void) nftw(d->path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static void put_bytes(const struct directory *d, const char *path, const void *bytes, size_t n)
{
        int fd CLEANUP_FD = openat(d->fd, path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

        assert_true(fd >= 0);
        assert_int_equal(write_all(fd, bytes, n), 0);
}

static void put(const struct directory *d, const char *path, const char *text)
{
        put_bytes(d, path, text, strlen(text));
}

static void assert_content(const struct directory *d, const char *path, const char *text)
{
        char *have CLEANUP_FREE = NULL;

        if (read_file_at(d->fd, path, 1 << 20, &have, NULL) < 0)
                fail_msg("cannot read %s", path);
        assert_string_equal(have, text);
}

static void assert_link(const struct directory *d, const char *path, const char *target)
{
        char have[PATH_MAX];
        ssize_t n = readlinkat(d->fd, path, have, sizeof(have) - 1);

        if (n < 0)
                fail_msg("%s is no link", path);
        have[n] = '\0';
        assert_string_equal(have, target);
}

static bool is_there(const struct directory *d, const char *path)
{
        struct stat st;

        return fstatat(d->fd, path, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

/* ---- notify.h ---------------------------------------------------------------------------- */

#define X64 "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
#define X512 X64 X64 X64 X64 X64 X64 X64 X64
#define RUNNING "STATUS=Container running: "

/* The datagrams that would be sent, with bars between them. */
static void join(char *const *list, struct strbuf *out)
{
        STRV_FOREACH(text, list)
        strbuf_addf(out, "%s%s", out->length ? "|" : "", *text);
}

static void test_notify_filter(void **state)
{
        static const struct {
                const char *text, *forward;
        } rows[] = {
                { "READY=1", "READY=1" },
                { "READY=1\n", "READY=1" },
                { "READY=1\nSTATUS=Up", "READY=1|" RUNNING "Up" },
                { "STATUS=a\nREADY=1\nSTATUS=b", "READY=1|" RUNNING "a" },
                { "STATUS=", RUNNING },
                { "STATUS=" X512, RUNNING X512 },
                { "STATUS=" X512 "x", "" },
                { "STATUS=" X512 "x\nREADY=1", "READY=1" },
                { "X=1\nREADY=1\nY=2", "READY=1" },
                { "", "" },
                { "\n\n", "" },
                { "READY=0", "" },
                { "READY=1x", "" },
                { " READY=1", "" },
                { "ready=1", "" },
                { "READY", "" },
                /* What only the service manager's own children may say. */
                { "MAINPID=1", "" },
                { "FDSTORE=1\nFDNAME=x", "" },
                { "RELOADING=1", "" },
                { "STOPPING=1", "" },
                { "WATCHDOG=trigger", "" },
                { "EXIT_STATUS=3", "" },
                { "X_SYSTEMD_REBOOT_PARAMETER=x", "" },
                { "X_NSPAWN_LEADER_PID=1", "" },
                { "STATUS=a\rMAINPID=1", RUNNING "a?MAINPID=1" },
                { "STATUS=\033[2J\x7f\xc3\xa4", RUNNING "?[2J?\xc3\xa4" },
                { "STATUS=%s%n", RUNNING "%s%n" },
        };

        (void) state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                struct strbuf joined CLEANUP_STRBUF = STRBUF_NULL;
                char **forward CLEANUP_STRV = NULL;
                int r = notify_filter(rows[i].text, &forward);

                join(forward, &joined);

                if (r != (rows[i].forward[0] != '\0'))
                        fail_msg("row %zu: %d", i, r);
                assert_string_equal(strbuf_text(&joined), rows[i].forward);
        }
}

static void send_to(const char *path, const void *bytes, size_t n)
{
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        int fd CLEANUP_FD = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

        (void) snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
        assert_int_equal(
                sendto(fd, bytes, n, 0, (const struct sockaddr *) &address, sizeof(address)),
                (ssize_t) n);
}

static void test_notify_socket(void **state)
{
        static const struct {
                const char *bytes;
                size_t n;
                bool from_leader;
                const char *forward;
        } rows[] = {
                { "READY=1", 7, true, "READY=1" },
                { "READY=1", 7, false, "" },
                { "READY=1\0", 8, true, "" },
                { "READY=1\0STATUS=x", 16, true, "" },
                { "", 0, true, "" },
        };
        struct directory d CLEANUP(directory_remove) = DIRECTORY_NULL;
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        char **forward CLEANUP_STRV = NULL;
        static char big[8192];
        int fd CLEANUP_FD = notify_socket_new();

        (void) state;
        directory_make(&d);
        assert_true(fd >= 0);
        assert_true(strlen(d.path) + 3 < sizeof(address.sun_path));
        (void) strcpy(address.sun_path, d.path);
        (void) strcat(address.sun_path, "/n");
        assert_int_equal(bind(fd, (const struct sockaddr *) &address, sizeof(address)), 0);
        assert_false(notify_receive_pending(fd));
        assert_false(notify_receive_pending(-1));
        assert_int_equal(notify_receive(fd, getpid(), &forward), 0);
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                struct strbuf joined CLEANUP_STRBUF = STRBUF_NULL;
                char **b CLEANUP_STRV = NULL;
                pid_t leader = rows[i].from_leader ? getpid() : getpid() + 1;
                int r;

                send_to(address.sun_path, rows[i].bytes, rows[i].n);
                assert_true(notify_receive_pending(fd));
                r = notify_receive(fd, leader, &b);
                assert_int_equal(r, rows[i].forward[0] != '\0');
                join(b, &joined);
                assert_string_equal(strbuf_text(&joined), rows[i].forward);
        }
        memset(big, '\n', sizeof(big));
        memcpy(big, "READY=1", 7);
        send_to(address.sun_path, big, sizeof(big));
        assert_int_equal(notify_receive(fd, getpid(), &forward), 0);

        /* The other side of it, as we speak to who supervises us. */
        assert_int_equal(setenv("NOTIFY_SOCKET", address.sun_path, 1), 0);
        assert_int_equal(notify_send("READY=1"), 0);
        assert_int_equal(notify_receive(fd, getpid(), &forward), 1);
        assert_int_equal(setenv("NOTIFY_SOCKET", "relative", 1), 0);
        assert_int_equal(notify_send("READY=1"), -EINVAL);
        assert_int_equal(setenv("NOTIFY_SOCKET", "/" X512, 1), 0);
        assert_int_equal(notify_send("READY=1"), -EINVAL);
        assert_int_equal(setenv("NOTIFY_SOCKET", "", 1), 0);
        assert_int_equal(notify_send("READY=1"), -EINVAL);
        assert_int_equal(unsetenv("NOTIFY_SOCKET"), 0);
        assert_int_equal(notify_send("READY=1"), 0);
}

/* ---- chown-tree.h ------------------------------------------------------------------------ */

#define BASE 524288U

struct acl_entry {
        uint16_t tag;
        uint32_t id;
};

static size_t make_acl(const struct acl_entry *entries, size_t n, uint32_t version, char *acl)
{
        const struct posix_acl_xattr_header header = { .a_version = htole32(version) };

        memcpy(acl, &header, sizeof(header));
        for (size_t i = 0; i < n; i++) {
                const struct posix_acl_xattr_entry e = { .e_tag = htole16(entries[i].tag),
                                                         .e_perm = htole16(7),
                                                         .e_id = htole32(entries[i].id) };

                memcpy(acl + sizeof(header) + i * sizeof(e), &e, sizeof(e));
        }
        return sizeof(header) + n * sizeof(struct posix_acl_xattr_entry);
}

static void test_acl_shift(void **state)
{
        static const struct {
                uint16_t tag;
                uint32_t id;
                uid_t base;
                uint32_t shifted;
        } rows[] = {
                { ACL_USER, 0, BASE, BASE },
                { ACL_USER, 1000, BASE, BASE + 1000 },
                { ACL_USER, 65535, BASE, BASE + 65535 },
                { ACL_GROUP, 5, BASE, BASE + 5 },
                { ACL_USER, BASE + 1000, BASE, BASE + 1000 },
                { ACL_USER, 655360 + 1000, BASE, BASE + 1000 },
                { ACL_USER, BASE + 1000, 0, 1000 },
                { ACL_USER_OBJ, UINT32_MAX, BASE, UINT32_MAX },
                { ACL_GROUP_OBJ, UINT32_MAX, BASE, UINT32_MAX },
                { ACL_MASK, UINT32_MAX, BASE, UINT32_MAX },
                { ACL_OTHER, UINT32_MAX, BASE, UINT32_MAX },
                { ACL_MASK, 0, BASE, 0 },
        };

        (void) state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                char acl[256], expected[256];
                size_t n = make_acl(&(struct acl_entry){ rows[i].tag, rows[i].id }, 1,
                                    POSIX_ACL_XATTR_VERSION, acl);

                (void) make_acl(&(struct acl_entry){ rows[i].tag, rows[i].shifted }, 1,
                                POSIX_ACL_XATTR_VERSION, expected);
                if (acl_shift(acl, n, rows[i].base, 65536) != (rows[i].id != rows[i].shifted))
                        fail_msg("row %zu", i);
                assert_memory_equal(acl, expected, n);
                assert_int_equal(acl_shift(acl, n, rows[i].base, 65536), 0); /* a second run */
        }
}

static void test_acl_shift_long(void **state)
{
        static const struct acl_entry before[] = {
                { ACL_USER_OBJ, UINT32_MAX },  { ACL_USER, 1 },  { ACL_USER, BASE + 2 },
                { ACL_GROUP_OBJ, UINT32_MAX }, { ACL_GROUP, 3 }, { ACL_MASK, UINT32_MAX },
                { ACL_OTHER, UINT32_MAX }
        };
        static const struct acl_entry after[] = {
                { ACL_USER_OBJ, UINT32_MAX },  { ACL_USER, BASE + 1 },  { ACL_USER, BASE + 2 },
                { ACL_GROUP_OBJ, UINT32_MAX }, { ACL_GROUP, BASE + 3 }, { ACL_MASK, UINT32_MAX },
                { ACL_OTHER, UINT32_MAX }
        };
        static const size_t bad_sizes[] = { 0, 1, 3, 5, 11, 13 };
        char acl[256], expected[256], copy[256];
        size_t n = make_acl(before, ARRAY_SIZE(before), POSIX_ACL_XATTR_VERSION, acl);

        (void) state;
        memcpy(copy, acl, n);
        for (size_t i = 0; i < ARRAY_SIZE(bad_sizes); i++) {
                char *exact CLEANUP_FREE = malloc(MAX_OF(bad_sizes[i], (size_t) 1));

                assert_non_null(exact);
                memcpy(exact, acl, bad_sizes[i]); /* so that a checker sees a read behind it */
                assert_int_equal(acl_shift(exact, bad_sizes[i], BASE, 65536), -EINVAL);
        }
        assert_int_equal(acl_shift(acl, n - 1, BASE, 65536), -EINVAL);
        assert_memory_equal(acl, copy, n);
        assert_int_equal(acl_shift(acl, n, BASE, 65536), 1);
        (void) make_acl(after, ARRAY_SIZE(after), POSIX_ACL_XATTR_VERSION, expected);
        assert_memory_equal(acl, expected, n);
        n = make_acl(NULL, 0, POSIX_ACL_XATTR_VERSION, acl);
        assert_int_equal(acl_shift(acl, n, BASE, 65536), 0);
        n = make_acl(before, ARRAY_SIZE(before), 3, acl);
        assert_int_equal(acl_shift(acl, n, BASE, 65536), -EINVAL);
}

/* ---- user-lookup.h ----------------------------------------------------------------------- */

static void test_user_lookup(void **state)
{
        static const char passwd[] = "root:x:0:0:root:/root:/bin/sh\n"
                                     "# joe:x:1:1::/comment:/bin/sh\n"
                                     "joe\n"
                                     "joe:x\n"
                                     "joe:x:abc:5::/letters:/bin/sh\n"
                                     "joe:x::5::/nothing:/bin/sh\n"
                                     ":x:7:7::/nobody:/bin/sh\n"
                                     "\n"
                                     "joe:x:1000:100:Joe:/home/joe:/bin/sh\n"
                                     "joe:x:2000:200:Second:/home/second:/bin/sh\n"
                                     "+nis\n"
                                     "99:x:3000:300:Digits:/home/99:/bin/sh\n"
                                     "nohome:x:1001:101:::\n"
                                     "last:x:1002:102:no line end:/home/last:/bin/sh";
        static const char group[] = "root:x:0:\n"
                                    "bad\n"
                                    "bad:x:y:joe\n"
                                    "main:x:100:joe\n"
                                    "wheel:x:10:root,joe\n"
                                    "part:x:11:joey,xjoe\n"
                                    "empty:x:12:,,\n"
                                    "+nis\n"
                                    "video:x:44:ann,joe,last\n";
        static const struct {
                const char *user;
                int r;
                uid_t uid;
                gid_t gid;
                const char *name, *home; /* NULL: must be NULL */
                size_t n_groups;
                gid_t groups[4];
        } rows[] = {
                { "root", 0, 0, 0, "root", "/root", 2, { 0, 10 } },
                { "joe", 0, 1000, 100, "joe", "/home/joe", 3, { 100, 10, 44 } },
                { "1000", 0, 1000, 100, "joe", "/home/joe", 3, { 100, 10, 44 } },
                { "0", 0, 0, 0, "root", "/root", 2, { 0, 10 } },
                { "last", 0, 1002, 102, "last", "/home/last", 2, { 102, 44 } },
                { "nohome", 0, 1001, 101, "nohome", "", 1, { 101 } },
                { "4711", 0, 4711, 4711, NULL, NULL, 1, { 4711 } },
                { "+nis", -ESRCH, 0, 0, NULL, NULL, 0, { 0 } },
                { "nobody", -ESRCH, 0, 0, NULL, NULL, 0, { 0 } },
                { "jo", -ESRCH, 0, 0, NULL, NULL, 0, { 0 } },
                { "# joe", -ESRCH, 0, 0, NULL, NULL, 0, { 0 } },
                { "65535", -ESRCH, 0, 0, NULL, NULL, 0, { 0 } },
                { "4294967295", -ESRCH, 0, 0, NULL, NULL, 0, { 0 } },
        };
        struct directory d CLEANUP(directory_remove) = DIRECTORY_NULL;

        (void) state;
        directory_make(&d);
        assert_int_equal(mkdirat(d.fd, "etc", 0755), 0);
        put(&d, "etc/passwd", passwd);
        put(&d, "etc/group", group);
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                struct user_entry u CLEANUP(user_entry_done) = { .name = NULL };
                int r = user_lookup(d.fd, rows[i].user, &u);

                if (r != rows[i].r)
                        fail_msg("'%s': %d", rows[i].user, r);
                if (r < 0) {
                        assert_null(u.name);
                        continue;
                }
                assert_int_equal(u.uid, rows[i].uid);
                assert_int_equal(u.gid, rows[i].gid);
                if (rows[i].name) {
                        assert_string_equal(u.name, rows[i].name);
                        assert_string_equal(u.home, rows[i].home);
                } else {
                        assert_null(u.name);
                        assert_null(u.home);
                }
                if (u.n_groups != rows[i].n_groups)
                        fail_msg("'%s' has %zu groups", rows[i].user, u.n_groups);
                assert_memory_equal(u.groups, rows[i].groups, u.n_groups * sizeof(gid_t));
        }
}

/* (uid_t) -1 means "leave it" to setresuid(2), which would leave root. */
static void test_user_impossible_ids(void **state)
{
        static const char *const lines[] = {
                "evil:x:4294967295:100::/:/bin/sh\n",
                "evil:x:-1:100::/:/bin/sh\n",
                "evil:x:99999999999999999999:100::/:/bin/sh\n",
                "evil:x:18446744073709551615:100::/:/bin/sh\n",
                "evil:x:100:4294967295::/:/bin/sh\n",
                "evil:x:100:-1::/:/bin/sh\n",
        };
        struct directory d CLEANUP(directory_remove) = DIRECTORY_NULL;

        (void) state;
        directory_make(&d);
        assert_int_equal(mkdirat(d.fd, "etc", 0755), 0);
        for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
                struct user_entry u CLEANUP(user_entry_done) = { .name = NULL };

                put(&d, "etc/passwd", lines[i]);
                if (user_lookup(d.fd, "evil", &u) >= 0 &&
                    (u.uid == (uid_t) -1 || u.gid == (gid_t) -1))
                        fail_msg("%s gives %u:%u", lines[i], u.uid, u.gid);
        }
}

/* A line that is longer than any buffer, lines without end, NUL bytes: others still count. */
static void test_user_hostile_files(void **state)
{
        static const char nul_bytes[] = "joe\0:x:1:1::/a:/b\n\0\njoe:x:1000:100::/home/joe:/b\n";
        struct directory d CLEANUP(directory_remove) = DIRECTORY_NULL;
        struct strbuf b CLEANUP_STRBUF = STRBUF_NULL;
        struct user_entry u = { .name = NULL };

        (void) state;
        directory_make(&d);
        assert_int_equal(user_lookup(d.fd, "joe", &u), -ESRCH); /* no files at all */
        assert_int_equal(user_lookup(d.fd, "7", &u), 0);
        assert_int_equal(u.gid, 7);
        user_entry_done(&u);
        assert_int_equal(mkdirat(d.fd, "etc", 0755), 0);
        put(&d, "etc/passwd", "");
        assert_int_equal(user_lookup(d.fd, "joe", &u), -ESRCH);

        /* Not the same as the last line: it must be whole, and may not bring anybody down. */
        put_bytes(&d, "etc/passwd", nul_bytes, sizeof(nul_bytes) - 1);
        if (user_lookup(d.fd, "joe", &u) >= 0)
                assert_true(u.uid == 1000 || u.uid == 1);
        user_entry_done(&u);

        for (unsigned i = 0; i < 200000; i++)
                strbuf_add(&b, "xxxxxxxxxx");
        strbuf_add(&b, ":x:5:5::/x:/bin/sh\njoe:x:1000:100::/home/joe:/bin/sh\n");
        put(&d, "etc/passwd", strbuf_text(&b));
        assert_int_equal(user_lookup(d.fd, "joe", &u), 0);
        assert_int_equal(u.uid, 1000);
        user_entry_done(&u);

        strbuf_done(&b);
        for (unsigned i = 0; i < 100000; i++)
                strbuf_addf(&b, "user%u:x:%u:%u::/h/%u:/bin/sh\n", i, i, i, i);
        put(&d, "etc/passwd", strbuf_text(&b));
        assert_int_equal(user_lookup(d.fd, "user99999", &u), 0);
        assert_int_equal(u.uid, 99999);
        assert_string_equal(u.home, "/h/99999");
        user_entry_done(&u);

        /* Larger than anybody's: the answer is no, not half of it. */
        for (unsigned i = 0; i < 100000; i++)
                strbuf_add(&b, "user:x:1:1:with much text in its line:/home/user:/bin/sh\n");
        put(&d, "etc/passwd", strbuf_text(&b));
        assert_int_equal(user_lookup(d.fd, "user1", &u), -ESRCH);

        /* Neither a FIFO nor a link out of the tree is read. */
        assert_int_equal(unlinkat(d.fd, "etc/passwd", 0), 0);
        assert_int_equal(mkfifoat(d.fd, "etc/passwd", 0644), 0);
        assert_int_equal(user_lookup(d.fd, "root", &u), -ESRCH);
        assert_int_equal(unlinkat(d.fd, "etc/passwd", 0), 0);
        assert_int_equal(symlinkat("/etc/passwd", d.fd, "etc/passwd"), 0);
        assert_int_equal(user_lookup(d.fd, "root", &u), -ESRCH);
        assert_int_equal(unlinkat(d.fd, "etc/passwd", 0), 0);
        assert_int_equal(symlinkat("../../../../../../etc/passwd", d.fd, "etc/passwd"), 0);
        assert_int_equal(user_lookup(d.fd, "root", &u), -ESRCH);
        assert_null(u.name);
}

static void test_user_many_groups(void **state)
{
        struct directory d CLEANUP(directory_remove) = DIRECTORY_NULL;
        struct strbuf b CLEANUP_STRBUF = STRBUF_NULL;
        struct user_entry u CLEANUP(user_entry_done) = { .name = NULL };

        (void) state;
        directory_make(&d);
        assert_int_equal(mkdirat(d.fd, "etc", 0755), 0);
        put(&d, "etc/passwd", "joe:x:1000:100::/home/joe:/bin/sh\n");
        strbuf_add(&b, "crowd:x:5:");
        for (unsigned i = 0; i < 100000; i++)
                strbuf_addf(&b, "member%u,", i);
        strbuf_add(&b, "joe\n");
        for (unsigned i = 0; i < 1000; i++)
                strbuf_addf(&b, "g%u:x:%u:a,joe,b\n", i, 1000 + i);
        put(&d, "etc/group", strbuf_text(&b));
        assert_int_equal(user_lookup(d.fd, "joe", &u), 0);
        assert_int_equal(u.n_groups, USER_MAX_GROUPS);
        assert_int_equal(u.groups[0], 100);
        assert_int_equal(u.groups[1], 5);
        assert_int_equal(u.groups[2], 1000);
        assert_int_equal(u.groups[USER_MAX_GROUPS - 1], 1000 + USER_MAX_GROUPS - 3);
}

/* ---- bind-user.h ------------------------------------------------------------------------- */

static void test_bound_user_parse(void **state)
{
        static const char text[] = "# comment\nroot:x:0:0::/root:/bin/sh\n+dora:x:1:1:::\n"
                                   "dora:x:4711:4712:Dora D.,Room:/home/dora:/bin/zsh\n"
                                   "short:x:1\nhuge:x:99999999999:1::/:/bin/sh\n"
                                   "bell:x:5:5:a\ab:/home/bell:relative\nlatin:x:6:6:\xfc:/h:\n";
        struct bound_users users CLEANUP(bound_users_done) = { .n = 0 };
        struct bound_user *user;

        (void) state;
        users.list = calloc(3, sizeof(*users.list));
        assert_non_null(users.list);
        user = &users.list[users.n++];
        assert_int_equal(bound_user_parse(text, strlen(text), "dora", user), 0);
        assert_int_equal(user->uid, 4711);
        assert_int_equal(user->gid, 4712);
        assert_string_equal(user->real_name, "Dora D.");
        assert_string_equal(user->home, "/home/dora");
        assert_string_equal(user->shell, "/bin/zsh");
        user = &users.list[users.n++];
        assert_int_equal(bound_user_parse(text, strlen(text), "bell", user), 0);
        assert_null(user->real_name);
        assert_null(user->shell);
        user = &users.list[users.n++];
        assert_int_equal(bound_user_parse(text, strlen(text), "latin", user), 0);
        assert_null(user->real_name);
        assert_int_equal(bound_user_parse(text, strlen(text), "short", user), -ESRCH);
        assert_int_equal(bound_user_parse(text, strlen(text), "+dora", user), -ESRCH);
        assert_int_equal(bound_user_parse("", 0, "dora", user), -ESRCH);
}

static void test_bound_user_records(void **state)
{
        char *groups[] = { (char *) "wheel", (char *) "video", NULL };
        const struct bound_user user = { .name = (char *) "dora",
                                         .real_name = (char *) "D \"x\" \\",
                                         .shell = (char *) "/bin/zsh",
                                         .password = (char *) "$6$a\"b",
                                         .inside = 60514 };
        struct container_config c = { .bind_user_shell_host = true, .bind_user_groups = groups };
        struct strbuf b CLEANUP_STRBUF = STRBUF_NULL;

        (void) state;
        bound_user_record(&user, &c, &b);
        assert_string_equal(strbuf_text(&b),
                            "{\"userName\":\"dora\",\"realName\":\"D \\\"x\\\" \\\\\","
                            "\"uid\":60514,\"gid\":60514,\"memberOf\":[\"wheel\",\"video\"],"
                            "\"homeDirectory\":\"/run/host/home/dora\",\"shell\":\"/bin/zsh\","
                            "\"service\":\"io.systemd.NSpawn\"}\n");
        strbuf_done(&b);
        bound_user_privileged_record(&user, &b);
        assert_string_equal(strbuf_text(&b),
                            "{\"privileged\":{\"hashedPassword\":[\"$6$a\\\"b\"]}}\n");
        strbuf_done(&b);
        bound_user_group_record(&user, &b);
        assert_string_equal(strbuf_text(&b), "{\"groupName\":\"dora\",\"gid\":60514,"
                                             "\"service\":\"io.systemd.NSpawn\"}\n");
}

static void test_receiver_settings(void **state)
{
        struct container_config c = { .forward_journal = (char *) "/x.journal" };
        struct strbuf b CLEANUP_STRBUF = STRBUF_NULL;

        (void) state;
        c.forward_limits[FORWARD_MAX_FILES] = (struct forward_limit){ .set = true, .value = 3 };
        c.forward_limits[FORWARD_MAX_USE] =
                (struct forward_limit){ .set = true, .value = UINT64_C(1) << 40 };
        journal_receiver_settings(&c, &b);
        assert_string_equal(strbuf_text(&b), "[Remote]\nMaxUse=1099511627776\nMaxFiles=3\n");
}

/* ---- etc-files.h ------------------------------------------------------------------------- */

static void test_etc_plan(void **state)
{
        static const char stub[] = "/run/systemd/resolve/stub-resolv.conf";
        static const struct {
                bool read_only, private_network;
                bool has_resolv_conf, has_stub;
                enum localtime_kind localtime;
                const char *zone;
                bool zone_in_tree;
                enum etc_way resolv_conf, localtime_way;
        } rows[] = {
                { false, false, true, false, LOCALTIME_LINK, "UTC", true, ETC_COPY, ETC_LINK },
                { false, false, true, true, LOCALTIME_LINK, "UTC", true, ETC_COPY, ETC_LINK },
                { false, false, false, true, LOCALTIME_LINK, "UTC", true, ETC_COPY, ETC_LINK },
                { false, false, false, false, LOCALTIME_LINK, "UTC", true, ETC_DELETE, ETC_LINK },
                { false, true, true, true, LOCALTIME_LINK, "UTC", true, ETC_OFF, ETC_LINK },
                { false, true, false, false, LOCALTIME_MISSING, NULL, false, ETC_OFF, ETC_DELETE },
                { true, false, true, false, LOCALTIME_LINK, "UTC", true, ETC_BIND, ETC_BIND },
                { true, false, true, true, LOCALTIME_FILE, NULL, false, ETC_BIND, ETC_BIND },
                { true, false, false, false, LOCALTIME_MISSING, NULL, false, ETC_OFF, ETC_OFF },
                { true, true, true, true, LOCALTIME_MISSING, NULL, false, ETC_OFF, ETC_OFF },
                { false, false, true, false, LOCALTIME_FILE, NULL, false, ETC_COPY, ETC_REPLACE },
                { false, false, true, false, LOCALTIME_LINK, "UTC", false, ETC_COPY, ETC_BIND },
                { false, false, true, false, LOCALTIME_LINK, NULL, false, ETC_COPY, ETC_OFF },
                { true, false, true, false, LOCALTIME_LINK, NULL, false, ETC_BIND, ETC_OFF },
        };

        (void) state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                const struct container_config c = { .read_only = rows[i].read_only,
                                                    .network.private_network =
                                                            rows[i].private_network };
                const struct host_facts host = { .has_resolv_conf = rows[i].has_resolv_conf,
                                                 .resolv_conf_stub = rows[i].has_stub ? stub : NULL,
                                                 .localtime = rows[i].localtime,
                                                 .localtime_zone = (char *) rows[i].zone };
                const struct tree_facts tree = { .has_host_zone = rows[i].zone_in_tree };
                const struct etc_plan plan = etc_plan_build(&c, &host, &tree, NULL);

                if (plan.resolv_conf != rows[i].resolv_conf ||
                    plan.localtime != rows[i].localtime_way)
                        fail_msg("row %zu: %s, %s", i, etc_way_name(plan.resolv_conf),
                                 etc_way_name(plan.localtime));
                assert_int_equal(plan.base_directories, !rows[i].read_only);
                if (plan.resolv_conf == ETC_COPY || plan.resolv_conf == ETC_BIND)
                        assert_string_equal(plan.resolv_conf_source,
                                            rows[i].has_stub ? stub : "/etc/resolv.conf");
                if (plan.localtime == ETC_LINK)
                        assert_string_equal(plan.localtime_zone, rows[i].zone);
        }
}

/* What is asked for is not changed by what the host has, but for a zone that the tree lacks. */
static void test_etc_modes(void **state)
{
        static const struct {
                enum resolv_conf_mode mode;
                enum etc_way way;
                const char *source;
        } rows[] = {
                { RESOLV_CONF_OFF, ETC_OFF, NULL },
                { RESOLV_CONF_DELETE, ETC_DELETE, NULL },
                { RESOLV_CONF_COPY_HOST, ETC_COPY, "/etc/resolv.conf" },
                { RESOLV_CONF_COPY_STUB, ETC_COPY, "/run/systemd/resolve/stub-resolv.conf" },
                { RESOLV_CONF_REPLACE_STATIC, ETC_REPLACE, "/usr/lib/systemd/resolv.conf" },
                { RESOLV_CONF_REPLACE_UPLINK, ETC_REPLACE, "/run/systemd/resolve/resolv.conf" },
                { RESOLV_CONF_BIND_HOST, ETC_BIND, "/etc/resolv.conf" },
                { RESOLV_CONF_BIND_STUB, ETC_BIND, "/run/systemd/resolve/stub-resolv.conf" },
        };
        static const struct {
                enum timezone_mode mode;
                bool zone_in_tree;
                enum etc_way way;
        } zones[] = {
                { TIMEZONE_OFF, true, ETC_OFF },       { TIMEZONE_COPY, true, ETC_REPLACE },
                { TIMEZONE_BIND, true, ETC_BIND },     { TIMEZONE_SYMLINK, true, ETC_LINK },
                { TIMEZONE_SYMLINK, false, ETC_BIND }, { TIMEZONE_DELETE, true, ETC_DELETE },
        };
        const struct host_facts host = { .localtime = LOCALTIME_LINK,
                                         .localtime_zone = (char *) "UTC" };

        (void) state;
        for (size_t i = 0; i < 2 * ARRAY_SIZE(rows); i++) {
                const struct container_config c = { .resolv_conf = rows[i / 2].mode,
                                                    .network.private_network = i % 2 };
                const struct tree_facts tree = { .has_host_zone = true };
                const struct etc_plan plan = etc_plan_build(&c, &host, &tree, NULL);

                assert_int_equal(plan.resolv_conf, rows[i / 2].way);
                assert_int_equal(plan.resolv_conf_is_explicit, rows[i / 2].way != ETC_OFF);
                if (rows[i / 2].source)
                        assert_string_equal(plan.resolv_conf_source, rows[i / 2].source);
        }
        for (size_t i = 0; i < ARRAY_SIZE(zones); i++) {
                const struct container_config c = { .timezone = zones[i].mode };
                const struct tree_facts tree = { .has_host_zone = zones[i].zone_in_tree };
                const struct etc_plan plan = etc_plan_build(&c, &host, &tree, NULL);

                assert_int_equal(plan.localtime, zones[i].way);
                assert_true(plan.localtime_is_explicit);
        }
}

static void test_journal_plan(void **state)
{
        enum { FOLDER = 1, OWN_ID = 2, MOUNTED = 4 };
        static const struct {
                enum link_journal_mode mode;
                bool try;
                unsigned host;
                enum journal_entry entry;
                int r;
                enum journal_way way;
                bool says; /* why it is left out, or why there is no start */
        } rows[] = {
                { LINK_JOURNAL_GUEST, false, FOLDER, JOURNAL_NOTHING, 0, JOURNAL_OF_GUEST, false },
                { LINK_JOURNAL_GUEST, false, FOLDER, JOURNAL_LINK, 0, JOURNAL_OF_GUEST, false },
                { LINK_JOURNAL_HOST, false, FOLDER, JOURNAL_NOTHING, 0, JOURNAL_OF_HOST, false },
                { LINK_JOURNAL_HOST, true, FOLDER, JOURNAL_DIRECTORY, 0, JOURNAL_OF_HOST, false },
                { LINK_JOURNAL_AUTO, false, FOLDER, JOURNAL_DIRECTORY, 0, JOURNAL_OF_HOST, false },
                { LINK_JOURNAL_AUTO, false, FOLDER, JOURNAL_NOTHING, 0, JOURNAL_OFF, false },
                { LINK_JOURNAL_AUTO, false, FOLDER, JOURNAL_LINK, 0, JOURNAL_OFF, false },
                { LINK_JOURNAL_AUTO, false, FOLDER, JOURNAL_OTHER, 0, JOURNAL_OFF, false },
                { LINK_JOURNAL_DEFAULT, false, FOLDER, JOURNAL_DIRECTORY, 0, JOURNAL_OF_HOST,
                  false },
                { LINK_JOURNAL_GUEST, false, 0, JOURNAL_NOTHING, -ENOENT, JOURNAL_OFF, true },
                { LINK_JOURNAL_GUEST, true, 0, JOURNAL_NOTHING, 0, JOURNAL_OFF, false },
                { LINK_JOURNAL_HOST, true, 0, JOURNAL_NOTHING, 0, JOURNAL_OFF, false },
                { LINK_JOURNAL_HOST, false, FOLDER, JOURNAL_OTHER, -EEXIST, JOURNAL_OFF, true },
                { LINK_JOURNAL_HOST, true, FOLDER, JOURNAL_OTHER, 0, JOURNAL_OFF, true },
                { LINK_JOURNAL_GUEST, false, FOLDER | OWN_ID, JOURNAL_DIRECTORY, -EEXIST,
                  JOURNAL_OFF, true },
                { LINK_JOURNAL_GUEST, true, FOLDER | OWN_ID, JOURNAL_DIRECTORY, 0, JOURNAL_OFF,
                  true },
                { LINK_JOURNAL_AUTO, false, FOLDER | OWN_ID, JOURNAL_DIRECTORY, 0, JOURNAL_OFF,
                  true },
                { LINK_JOURNAL_HOST, false, FOLDER | MOUNTED, JOURNAL_DIRECTORY, -EEXIST,
                  JOURNAL_OFF, true },
                { LINK_JOURNAL_HOST, true, FOLDER | MOUNTED, JOURNAL_DIRECTORY, 0, JOURNAL_OFF,
                  true },
        };
        const struct id128 id = { { 0xab, 0xcd } };

        (void) state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                const struct container_config c = { .link_journal = rows[i].mode,
                                                    .link_journal_try = rows[i].try };
                const struct journal_facts facts = { .known = true,
                                                     .has_folder = rows[i].host & FOLDER,
                                                     .is_host_id = rows[i].host & OWN_ID,
                                                     .is_mounted = rows[i].host & MOUNTED,
                                                     .entry = rows[i].entry };
                struct journal_plan plan = { .way = JOURNAL_OFF };
                struct failure failure = { .error = 0 };
                int r = journal_plan_build(&c, &facts, &id, &plan, &failure);

                if (r != rows[i].r || plan.way != rows[i].way ||
                    (plan.left_out || failure.error) != rows[i].says)
                        fail_msg("row %zu: %d %s %s", i, r, journal_way_name(plan.way),
                                 failure.text);
                if (r >= 0)
                        assert_string_equal(plan.path, "/var/log/journal/"
                                                       "abcd0000000000000000000000000000");
        }
}

/* A tree in "root" with /etc, and the host's file and a bystander beside it. */
static int make_etc_tree(struct directory *d)
{
        directory_make(d);
        assert_int_equal(mkdirat(d->fd, "root", 0755), 0);
        assert_int_equal(mkdirat(d->fd, "root/etc", 0755), 0);
        put(d, "source", "nameserver 192.0.2.1\n");
        put(d, "bystander", "untouched");
        return openat(d->fd, "root", O_PATH | O_DIRECTORY | O_CLOEXEC);
}

static struct etc_plan copy_plan(const struct directory *d, char *source, size_t size)
{
        (void) snprintf(source, size, "%s/source", d->path);
        return (struct etc_plan){ .resolv_conf = ETC_COPY, .resolv_conf_source = source };
}

static void test_etc_copy(void **state)
{
        struct directory d CLEANUP(directory_remove) = DIRECTORY_NULL;
        int root CLEANUP_FD = make_etc_tree(&d);
        struct failure failure = { .error = 0 };
        char source[PATH_MAX + 16], bystander[PATH_MAX + 16];
        const struct etc_plan plan = copy_plan(&d, source, sizeof(source));
        struct stat before, after;

        (void) state;
        (void) umask(022);
        assert_int_equal(etc_plan_run(&plan, root, geteuid(), &failure), 0);
        assert_content(&d, "root/etc/resolv.conf", "nameserver 192.0.2.1\n");
        assert_int_equal(fstatat(d.fd, "root/etc/resolv.conf", &before, 0), 0);
        assert_int_equal(before.st_mode, S_IFREG | 0644);

        /* The same once more writes nothing; longer and shorter content is replaced. */
        assert_int_equal(etc_plan_run(&plan, root, geteuid(), &failure), 0);
        assert_int_equal(fstatat(d.fd, "root/etc/resolv.conf", &after, 0), 0);
        assert_int_equal(before.st_ino, after.st_ino);
        assert_int_equal(before.st_mtim.tv_nsec, after.st_mtim.tv_nsec);
        put(&d, "root/etc/resolv.conf", "something else, and much longer than the host's is\n");
        assert_int_equal(etc_plan_run(&plan, root, geteuid(), &failure), 0);
        assert_content(&d, "root/etc/resolv.conf", "nameserver 192.0.2.1\n");
        put(&d, "root/etc/resolv.conf", "short");
        assert_int_equal(etc_plan_run(&plan, root, geteuid(), &failure), 0);
        assert_content(&d, "root/etc/resolv.conf", "nameserver 192.0.2.1\n");

        /* Links are the guest's business, wherever they lead. */
        assert_int_equal(unlinkat(d.fd, "root/etc/resolv.conf", 0), 0);
        put(&d, "root/etc/other", "other");
        assert_int_equal(symlinkat("other", d.fd, "root/etc/resolv.conf"), 0);
        assert_int_equal(etc_plan_run(&plan, root, geteuid(), &failure), 0);
        assert_link(&d, "root/etc/resolv.conf", "other");
        assert_content(&d, "root/etc/other", "other");
        assert_int_equal(unlinkat(d.fd, "root/etc/resolv.conf", 0), 0);
        (void) snprintf(bystander, sizeof(bystander), "%s/bystander", d.path);
        assert_int_equal(symlinkat(bystander, d.fd, "root/etc/resolv.conf"), 0);
        assert_int_equal(etc_plan_run(&plan, root, geteuid(), &failure), 0);
        assert_content(&d, "bystander", "untouched");
        assert_int_equal(unlinkat(d.fd, "root/etc/resolv.conf", 0), 0);
        assert_int_equal(symlinkat("../run/dangling", d.fd, "root/etc/resolv.conf"), 0);
        assert_int_equal(etc_plan_run(&plan, root, geteuid(), &failure), 0);
        assert_false(is_there(&d, "root/run"));
        assert_int_equal(failure.error, 0);
}

/* Things that are no file, a directory that leads out: nobody blocks, nothing outside changes. The
 * warnings about them go to standard error. */
static void test_etc_hostile(void **state)
{
        struct directory d CLEANUP(directory_remove) = DIRECTORY_NULL;
        int root CLEANUP_FD = make_etc_tree(&d);
        struct failure failure = { .error = 0 };
        char source[PATH_MAX + 16], outside[PATH_MAX + 16];
        struct etc_plan plan = copy_plan(&d, source, sizeof(source));

        (void) state;
        assert_int_equal(mkfifoat(d.fd, "root/etc/resolv.conf", 0644), 0);
        assert_int_equal(etc_plan_run(&plan, root, geteuid(), &failure), 0);
        assert_int_equal(unlinkat(d.fd, "root/etc/resolv.conf", 0), 0);
        assert_int_equal(mkdirat(d.fd, "root/etc/resolv.conf", 0755), 0);
        assert_int_equal(etc_plan_run(&plan, root, geteuid(), &failure), 0);
        assert_int_equal(unlinkat(d.fd, "root/etc/resolv.conf", AT_REMOVEDIR), 0);

        assert_int_equal(unlinkat(d.fd, "root/etc", AT_REMOVEDIR), 0);
        assert_int_equal(mkdirat(d.fd, "outside", 0755), 0);
        put(&d, "outside/resolv.conf", "outside");
        put(&d, "outside/localtime", "outside");
        (void) snprintf(outside, sizeof(outside), "%s/outside", d.path);
        assert_int_equal(symlinkat(outside, d.fd, "root/etc"), 0);
        plan.localtime = ETC_DELETE;
        assert_int_equal(etc_plan_run(&plan, root, geteuid(), &failure), 0);
        plan.resolv_conf = ETC_DELETE;
        plan.localtime = ETC_LINK;
        plan.localtime_zone = "UTC";
        plan.base_directories = true;
        assert_int_equal(etc_plan_run(&plan, root, geteuid(), &failure), 0);
        assert_int_equal(unlinkat(d.fd, "root/etc", 0), 0);
        assert_int_equal(symlinkat("../outside", d.fd, "root/etc"), 0);
        assert_int_equal(etc_plan_run(&plan, root, geteuid(), &failure), 0);
        assert_content(&d, "outside/resolv.conf", "outside");
        assert_content(&d, "outside/localtime", "outside");
        assert_content(&d, "bystander", "untouched");
}

static void test_etc_localtime(void **state)
{
        struct directory d CLEANUP(directory_remove) = DIRECTORY_NULL;
        int root CLEANUP_FD = make_etc_tree(&d);
        struct failure failure = { .error = 0 };
        struct etc_plan plan = { .localtime = ETC_LINK, .localtime_zone = "Europe/Berlin" };

        (void) state;
        assert_int_equal(etc_plan_run(&plan, root, geteuid(), &failure), 0);
        assert_link(&d, "root/etc/localtime", "../usr/share/zoneinfo/Europe/Berlin");
        plan.localtime_zone = "UTC";
        assert_int_equal(etc_plan_run(&plan, root, geteuid(), &failure), 0);
        assert_link(&d, "root/etc/localtime", "../usr/share/zoneinfo/UTC");

        /* Another way of writing the same zone stays. */
        assert_int_equal(unlinkat(d.fd, "root/etc/localtime", 0), 0);
        assert_int_equal(symlinkat("/usr/share/zoneinfo/UTC", d.fd, "root/etc/localtime"), 0);
        assert_int_equal(etc_plan_run(&plan, root, geteuid(), &failure), 0);
        assert_link(&d, "root/etc/localtime", "/usr/share/zoneinfo/UTC");
        assert_int_equal(unlinkat(d.fd, "root/etc/localtime", 0), 0);
        put(&d, "root/etc/localtime", "a file");
        assert_int_equal(etc_plan_run(&plan, root, geteuid(), &failure), 0);
        assert_link(&d, "root/etc/localtime", "../usr/share/zoneinfo/UTC");

        plan.localtime = ETC_DELETE;
        plan.resolv_conf = ETC_DELETE;
        put(&d, "root/etc/resolv.conf", "x");
        assert_int_equal(etc_plan_run(&plan, root, geteuid(), &failure), 0);
        assert_false(is_there(&d, "root/etc/localtime"));
        assert_false(is_there(&d, "root/etc/resolv.conf"));
        assert_int_equal(etc_plan_run(&plan, root, geteuid(), &failure), 0); /* gone already */

        put(&d, "root/etc/resolv.conf", "x");
        plan.localtime = ETC_OFF;
        plan.resolv_conf = ETC_OFF;
        assert_int_equal(etc_plan_run(&plan, root, geteuid(), &failure), 0);
        plan.resolv_conf = ETC_BIND;
        plan.localtime = ETC_BIND;
        assert_int_equal(etc_plan_run(&plan, root, geteuid(), &failure), 0);
        assert_content(&d, "root/etc/resolv.conf", "x");
        for (int i = ETC_OFF; i <= ETC_DELETE; i++)
                assert_non_null(etc_way_name((enum etc_way) i));
}

static void test_etc_base(void **state)
{
        static const struct {
                const char *path;
                mode_t mode;
        } made[] = { { "root/root", 0750 }, { "root/var", 0755 }, { "root/proc", 0555 },
                     { "root/sys", 0555 },  { "root/dev", 0555 }, { "root/run", 0555 } };
        struct directory d CLEANUP(directory_remove) = DIRECTORY_NULL;
        int root CLEANUP_FD = make_etc_tree(&d);
        struct failure failure = { .error = 0 };
        const struct etc_plan plan = { .base_directories = true };

        (void) state;
        if (geteuid() != 0 && geteuid() != getegid())
                skip(); /* no owner that we may give files to */
        (void) umask(0);
        assert_int_equal(mkdirat(d.fd, "root/etc", 0755), -1); /* is there: keeps its mode */
        assert_int_equal(mkdirat(d.fd, "root/usr", 0755), 0);
        assert_int_equal(mkdirat(d.fd, "root/usr/bin", 0755), 0);
        assert_int_equal(mkdirat(d.fd, "root/usr/sbin", 0755), 0);
        assert_int_equal(mkdirat(d.fd, "root/sbin", 0700), 0);
        for (int run = 0; run < 2; run++) {
                assert_int_equal(etc_plan_run(&plan, root, geteuid(), &failure), 0);
                for (size_t i = 0; i < ARRAY_SIZE(made); i++) {
                        struct stat st;

                        assert_int_equal(fstatat(d.fd, made[i].path, &st, AT_SYMLINK_NOFOLLOW), 0);
                        if ((st.st_mode & 07777) != made[i].mode)
                                fail_msg("%s: %o", made[i].path, st.st_mode);
                }
                assert_link(&d, "root/bin", "usr/bin");
                assert_false(is_there(&d, "root/lib")); /* no usr/lib in this tree */
                assert_false(is_there(&d, "root/lib64"));
        }
        (void) umask(022);
}

/* ---- console.h --------------------------------------------------------------------------- */

/* The caller's terminal on 0 and 1, and the container's. */
struct terminals {
        int saved[2];
        int caller;        /* the person's side of the caller's terminal */
        int master, slave; /* the container's; the console takes copies */
        struct console console;
};

static int open_pty(int *ret_slave)
{
        int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
        struct termios raw;

        if (master < 0 || grantpt(master) < 0 || unlockpt(master) < 0)
                return -1;
        *ret_slave = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
        if (*ret_slave < 0 || tcgetattr(*ret_slave, &raw) < 0)
                return -1;
        cfmakeraw(&raw);
        raw.c_cc[VMIN] = 0; /* reads tell at once when nothing is there */
        return tcsetattr(*ret_slave, TCSANOW, &raw) < 0 ? -1 : master;
}

static int terminals_begin(void **state)
{
        struct terminals *t = calloc(1, sizeof(*t));
        struct winsize size = { .ws_row = 33, .ws_col = 77 };
        int slave = -1;

        if (!t)
                return -1;
        (void) fflush(NULL);
        t->console = (struct console) CONSOLE_NULL;
        for (int i = 0; i < 2; i++)
                t->saved[i] = fcntl(i, F_DUPFD_CLOEXEC, 3);
        t->caller = open_pty(&slave);
        t->master = open_pty(&t->slave);
        if (t->caller < 0 || t->master < 0 || ioctl(slave, TIOCSWINSZ, &size) < 0)
                return -1;
        for (int i = 0; i < 2; i++)
                if (dup2(slave, i) != i)
                        return -1;
        (void) close(slave);
        *state = t;
        return 0;
}

static int terminals_end(void **state)
{
        struct terminals *t = *state;

        console_done(&t->console);
        for (int i = 0; i < 2; i++) {
                (void) dup2(t->saved[i], i);
                (void) close(t->saved[i]);
        }
        (void) fd_close(t->caller);
        (void) fd_close(t->master);
        (void) fd_close(t->slave);
        free(t);
        return 0;
}

static void start_console(struct terminals *t, enum console_mode mode)
{
        console_done(&t->console);
        assert_int_equal(console_init(&t->console, mode, fd_copy(t->master), fd_copy(t->slave)), 0);
}

/* One turn of the loop, as a program makes it. */
static enum console_event turn(struct terminals *t, int timeout_ms)
{
        struct pollfd fds[3];
        size_t n = console_poll(&t->console, fds);

        assert_true(n <= ARRAY_SIZE(fds));
        if (poll(fds, n, timeout_ms) <= 0)
                return CONSOLE_NOTHING;
        return console_dispatch(&t->console, fds, n);
}

/* Types @text, and gives the first event that comes of it. */
static enum console_event type(struct terminals *t, const char *text)
{
        assert_int_equal(write(t->caller, text, strlen(text)), (ssize_t) strlen(text));
        for (int i = 0; i < 100; i++) {
                enum console_event event = turn(t, 10);
                int waiting = 0;

                if (event != CONSOLE_NOTHING)
                        return event;
                (void) ioctl(t->console.in.fd, FIONREAD, &waiting);
                if (waiting == 0 && t->console.n_to_guest == 0 && i > 0)
                        break;
        }
        return CONSOLE_NOTHING;
}

/* What has arrived at @fd, until nothing more comes. */
static void take(struct terminals *t, int fd, char *text, size_t size)
{
        size_t n = 0;

        for (int i = 0; i < 20 && n + 1 < size; i++) {
                struct pollfd p = { .fd = fd, .events = POLLIN };
                ssize_t k = poll(&p, 1, 5) > 0 ? read(fd, text + n, size - n - 1) : 0;

                if (k > 0)
                        n += (size_t) k;
                else if (n > 0)
                        break;
                (void) turn(t, 5);
        }
        text[n] = '\0';
}

#define ESC "\x1d" /* ^] */

static void test_console_escapes(void **state)
{
        static const struct {
                const char *typed[4]; /* one piece after the other */
                enum console_event event;
        } rows[] = {
                { { ESC ESC ESC }, CONSOLE_KILL },
                { { ESC, ESC, ESC }, CONSOLE_KILL },
                { { "abc" ESC ESC ESC "def" }, CONSOLE_KILL },
                { { ESC ESC, "x", ESC }, CONSOLE_NOTHING },
                { { ESC "x" ESC ESC }, CONSOLE_NOTHING },
                { { ESC "x" ESC ESC ESC }, CONSOLE_KILL },
                { { ESC ESC "x" }, CONSOLE_NOTHING },
                { { ESC ESC }, CONSOLE_NOTHING },
                { { ESC }, CONSOLE_NOTHING },
                { { ESC ESC "p" }, CONSOLE_POWEROFF },
                { { ESC, ESC, "p" }, CONSOLE_POWEROFF },
                { { ESC ESC "r" }, CONSOLE_REBOOT },
                { { ESC "p" }, CONSOLE_NOTHING },
                { { ESC ESC "xp" }, CONSOLE_NOTHING },
                { { ESC "x" ESC "p" }, CONSOLE_NOTHING },
                { { ESC ESC "P" }, CONSOLE_NOTHING },
                { { ESC ESC "xr" }, CONSOLE_NOTHING },
                { { "ppp" }, CONSOLE_NOTHING },
                { { "]]]" }, CONSOLE_NOTHING },
        };
        struct terminals *t = *state;

        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                enum console_event event = CONSOLE_NOTHING;

                start_console(t, CONSOLE_INTERACTIVE);
                for (size_t k = 0; k < ARRAY_SIZE(rows[i].typed) && rows[i].typed[k]; k++) {
                        assert_int_equal(event, CONSOLE_NOTHING); /* not before the last */
                        event = type(t, rows[i].typed[k]);
                }
                if (event != rows[i].event)
                        fail_msg("row %zu: %d", i, (int) event);
                (void) tcflush(t->slave, TCIOFLUSH);
        }
}

/* Only within a second of the first; without waiting for it, the clock is turned back. */
static void test_console_slow_escapes(void **state)
{
        struct terminals *t = *state;

        start_console(t, CONSOLE_INTERACTIVE);
        assert_int_equal(type(t, ESC ESC), CONSOLE_NOTHING);
        t->console.escape_start_ms -= 1100;
        assert_int_equal(type(t, ESC), CONSOLE_NOTHING);
        assert_int_equal(type(t, ESC), CONSOLE_NOTHING); /* the second of a new row */
        assert_int_equal(type(t, ESC), CONSOLE_KILL);

        start_console(t, CONSOLE_INTERACTIVE);
        assert_int_equal(type(t, ESC ESC), CONSOLE_NOTHING);
        t->console.escape_start_ms -= 1100;
        assert_int_equal(type(t, "p"), CONSOLE_NOTHING);
}

static void test_console_relay(void **state)
{
        struct terminals *t = *state;
        struct winsize size;
        char text[256];

        start_console(t, CONSOLE_INTERACTIVE);
        assert_int_equal(type(t, "hello" ESC "\x03\r"), CONSOLE_NOTHING);
        take(t, t->slave, text, sizeof(text));
        assert_string_equal(text, "hello" ESC "\x03\r"); /* the keys themselves too, raw */
        assert_int_equal(write(t->slave, "world\n", 6), 6);
        take(t, t->caller, text, sizeof(text));
        assert_non_null(strstr(text, "world"));
        assert_int_equal(ioctl(t->slave, TIOCGWINSZ, &size), 0);
        assert_int_equal(size.ws_row, 33);
        assert_int_equal(size.ws_col, 77);
        size = (struct winsize){ .ws_row = 50, .ws_col = 132 };
        assert_int_equal(ioctl(t->caller, TIOCSWINSZ, &size), 0);
        console_resized(&t->console);
        size.ws_row = 0;
        assert_int_equal(ioctl(t->slave, TIOCGWINSZ, &size), 0);
        assert_int_equal(size.ws_row, 50);

        /* The end of the caller's terminal. */
        t->caller = fd_close(t->caller);
        for (int i = 0; i < 10; i++)
                if (turn(t, 20) == CONSOLE_KILL)
                        return;
        fail_msg("the end of the input was not seen");
}

/* Neither flags nor modes of the caller's descriptors are other than before. */
static void test_console_leaves_caller_alone(void **state)
{
        static const enum console_mode modes[] = { CONSOLE_INTERACTIVE, CONSOLE_READ_ONLY,
                                                   CONSOLE_PASSIVE, CONSOLE_PIPE };
        struct terminals *t = *state;
        struct termios before, during, after;
        int flags[2];

        assert_int_equal(tcgetattr(0, &before), 0);
        before.c_lflag |= ICANON | ECHO;
        assert_int_equal(tcsetattr(0, TCSANOW, &before), 0);
        assert_int_equal(tcgetattr(0, &before), 0);
        for (int i = 0; i < 2; i++)
                flags[i] = fcntl(i, F_GETFL);
        for (size_t k = 0; k < ARRAY_SIZE(modes); k++) {
                start_console(t, modes[k]);
                for (int i = 0; i < 2; i++)
                        assert_int_equal(fcntl(i, F_GETFL), flags[i]);
                assert_int_equal(tcgetattr(0, &during), 0);
                assert_int_equal(during.c_lflag & ICANON,
                                 modes[k] == CONSOLE_INTERACTIVE ? 0 : ICANON);
                if (modes[k] == CONSOLE_INTERACTIVE)
                        assert_int_equal(type(t, "x"), CONSOLE_NOTHING);
                console_done(&t->console);
                for (int i = 0; i < 2; i++)
                        assert_int_equal(fcntl(i, F_GETFL), flags[i]);
                assert_int_equal(tcgetattr(0, &after), 0);
                assert_int_equal(before.c_iflag, after.c_iflag);
                assert_int_equal(before.c_oflag, after.c_oflag);
                assert_int_equal(before.c_cflag, after.c_cflag);
                assert_int_equal(before.c_lflag, after.c_lflag);
                assert_memory_equal(before.c_cc, after.c_cc, sizeof(before.c_cc));
                console_done(&t->console); /* an empty one */
        }
        (void) tcflush(t->slave, TCIOFLUSH);
}

static void test_console_modes(void **state)
{
        struct terminals *t = *state;
        struct pollfd fds[3];
        char text[64];

        /* Nobody reads the input, which waits for whoever comes after us. */
        start_console(t, CONSOLE_READ_ONLY);
        assert_int_equal(type(t, ESC ESC ESC), CONSOLE_NOTHING);
        take(t, t->slave, text, sizeof(text));
        assert_string_equal(text, "");
        assert_int_equal(write(t->slave, "out", 3), 3);
        take(t, t->caller, text, sizeof(text));
        assert_string_equal(text, "out");
        (void) tcflush(0, TCIFLUSH);

        start_console(t, CONSOLE_PASSIVE);
        assert_int_equal(console_poll(&t->console, fds), 0);
        assert_int_equal(write(t->slave, "out", 3), 3);
        take(t, t->caller, text, sizeof(text));
        assert_string_equal(text, "");
}

/* What the payload wrote last is passed on, with a line end if there was none. */
static void test_console_drain(void **state)
{
        static const struct {
                const char *written;
                bool add;
                const char *seen;
        } rows[] = {
                { "no line end", true, "no line end\n" },
                { "line end\n", true, "line end\n" },
                { "no line end", false, "no line end" },
                { "", true, "" },
        };
        struct terminals *t = *state;

        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                char text[64] = "";
                int master, slave = -1;

                console_done(&t->console);
                master = open_pty(&slave);
                assert_int_equal(
                        console_init(&t->console, CONSOLE_READ_ONLY, master, fd_copy(slave)), 0);
                assert_int_equal(write(slave, rows[i].written, strlen(rows[i].written)),
                                 (ssize_t) strlen(rows[i].written));
                (void) close(slave);
                assert_true(console_drain(&t->console));
                if (rows[i].add)
                        console_end_line(&t->console);
                console_done(&t->console);
                take(t, t->caller, text, sizeof(text));
                assert_string_equal(text, rows[i].seen);
        }
}

#define CONSOLE_TEST(f) cmocka_unit_test_setup_teardown(f, terminals_begin, terminals_end)

/* ---- which systemd a program is ---------------------------------------------------------- */

/* A program of @before bytes, then @text, then as many again. */
static int program_with(size_t before, const char *text)
{
        int fd = memfd_create("program", MFD_CLOEXEC);

        assert_true(fd >= 0);
        assert_int_equal(ftruncate(fd, (off_t) (2 * before + strlen(text))), 0);
        assert_int_equal(pwrite(fd, text, strlen(text), (off_t) before), (ssize_t) strlen(text));
        return fd;
}

static void test_old_systemd(void **state)
{
        static const struct {
                const char *text;
                int expected;
        } rows[] = {
                { "", 0 },
                { "#!/bin/sh\n", 0 },
                { "/lib/systemd/libsystemd-shared-252.so", 0 },
                { "name=systemd", 1 },
                { "tmpfs|name=systemd|/sys/fs/cgroup/systemd", 1 },
                { "name=systemd|libsystemd-shared-231.so", 0 },
                { "cgroup2|name=systemd", 0 },
                { "name=systemd|cgroup2", 0 },
                { "name=system", 0 },
        };
        /* Also across the border between two reads. */
        static const size_t places[] = { 0, 100, 65536 - 5, 65536, 131072 - 11, 300000 };

        (void) state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
                for (size_t k = 0; k < ARRAY_SIZE(places); k++) {
                        int fd CLEANUP_FD = program_with(places[k], rows[i].text);

                        if (is_old_systemd(fd) != rows[i].expected)
                                fail_msg("'%s' at %zu", rows[i].text, places[k]);
                }
}

int main(void)
{
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_old_systemd),
                cmocka_unit_test(test_notify_filter),
                cmocka_unit_test(test_notify_socket),
                cmocka_unit_test(test_acl_shift),
                cmocka_unit_test(test_acl_shift_long),
                cmocka_unit_test(test_user_lookup),
                cmocka_unit_test(test_user_impossible_ids),
                cmocka_unit_test(test_user_hostile_files),
                cmocka_unit_test(test_user_many_groups),
                cmocka_unit_test(test_bound_user_parse),
                cmocka_unit_test(test_bound_user_records),
                cmocka_unit_test(test_receiver_settings),
                cmocka_unit_test(test_etc_plan),
                cmocka_unit_test(test_etc_modes),
                cmocka_unit_test(test_journal_plan),
                cmocka_unit_test(test_etc_copy),
                cmocka_unit_test(test_etc_hostile),
                cmocka_unit_test(test_etc_localtime),
                cmocka_unit_test(test_etc_base),
                CONSOLE_TEST(test_console_escapes),
                CONSOLE_TEST(test_console_slow_escapes),
                CONSOLE_TEST(test_console_relay),
                CONSOLE_TEST(test_console_leaves_caller_alone),
                CONSOLE_TEST(test_console_modes),
                CONSOLE_TEST(test_console_drain),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
