/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "basic/cgroup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <poll.h>
#include <stdio.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "basic/clock.h"
#include "basic/fd.h"
#include "basic/io.h"

/*
 * Every start of a machine comes through here, so the usual host is recognised with one or two
 * system calls and nothing is read that is not needed. The other half is cleaning up after guests:
 * a guest owns its group and may have made any tree below it. The tree is walked with one open
 * descriptor and "..", which is safe here: there are no links in it, and no group can be moved
 * elsewhere.
 */

static const char *const controller_names[] = { "cpuset", "cpu", "io", "memory", "pids" };
static_assert(1U << ARRAY_SIZE(controller_names) == CGROUP_CONTROLLERS_ALL + 1,
              "every controller has a name");

const char *cgroup_controller_name(unsigned controller)
{
        for (size_t i = 0; i < ARRAY_SIZE(controller_names); i++)
                if (controller == 1U << i)
                        return controller_names[i];
        return NULL;
}

unsigned cgroup_controllers_parse(const char *text)
{
        unsigned set = 0;

        while (*(text += strspn(text, " \n"))) {
                size_t n = strcspn(text, " \n");

                for (size_t i = 0; i < ARRAY_SIZE(controller_names); i++)
                        if (strlen(controller_names[i]) == n &&
                            strncmp(text, controller_names[i], n) == 0)
                                set |= 1U << i;
                text += n;
        }
        return set;
}

static bool is_cgroup2(const char *path)
{
        struct statfs s;

        return statfs(path, &s) == 0 && (unsigned long) s.f_type == CGROUP2_SUPER_MAGIC;
}

/* The mount point of a line of mountinfo if its type is cgroup2; cuts @line. See proc(5). */
static const char *cgroup2_mount_point(char *line)
{
        char *rest = strstr(line, " - cgroup2 "), *p = line;

        if (!rest)
                return NULL;
        for (int field = 0; field < 4; field++) {
                p = strchr(p, ' ');
                if (!p)
                        return NULL;
                p++;
        }
        p[strcspn(p, " ")] = '\0';
        /* A space in it would be written as \040: not worth decoding for a cgroup mount. */
        return strchr(p, '\\') ? NULL : p;
}

static int find_mount_in_table(char **ret)
{
        char *table CLEANUP_FREE = NULL;
        int r = read_file_at(AT_FDCWD, "/proc/self/mountinfo", 16U << 20, &table, NULL);

        if (r < 0)
                return r;
        for (char *line = table, *next; *line; line = next) {
                const char *where;

                next = line + strcspn(line, "\n");
                if (*next)
                        *next++ = '\0';
                where = cgroup2_mount_point(line);
                if (!where)
                        continue;
                *ret = strdup(where);
                return *ret ? 0 : -ENOMEM;
        }
        return -ENOENT;
}

int cgroup_find_mount(char **ret)
{
        static const char *const usual[] = { "/sys/fs/cgroup", "/sys/fs/cgroup/unified" };

        for (size_t i = 0; i < ARRAY_SIZE(usual); i++)
                if (is_cgroup2(usual[i])) {
                        *ret = strdup(usual[i]);
                        return *ret ? 0 : -ENOMEM;
                }
        return find_mount_in_table(ret);
}

int cgroup_path_parse(const char *text, char **ret)
{
        for (const char *line = text; *line;) {
                size_t n = strcspn(line, "\n");

                if (n > 3 && strncmp(line, "0::/", 4) == 0) {
                        *ret = strndup(line + 3, n - 3);
                        return *ret ? 0 : -ENOMEM;
                }
                line += n + (line[n] == '\n');
        }
        return -ENODATA;
}

int cgroup_own_path(char **ret)
{
        char text[2 * PATH_MAX];
        int fd CLEANUP_FD = open("/proc/self/cgroup", O_RDONLY | O_CLOEXEC);
        ssize_t n;

        if (fd < 0)
                return -errno;
        /* The kernel gives all of it in one read, if there is room. */
        n = read(fd, text, sizeof(text) - 1);
        if (n < 0)
                return -errno;
        if ((size_t) n == sizeof(text) - 1)
                return -EFBIG;
        text[n] = '\0';
        return cgroup_path_parse(text, ret);
}

/* dirfd "/" path "/" file, for openat(); "." needs no prefix. */
static int open_file(int dir_fd, const char *path, const char *file, int flags)
{
        char name[PATH_MAX];
        int n = streq(path, ".") ? snprintf(name, sizeof(name), "%s", file)
                                 : snprintf(name, sizeof(name), "%s/%s", path, file);
        int fd;

        if (n < 0 || (size_t) n >= sizeof(name))
                return -ENAMETOOLONG;
        fd = openat(dir_fd, name, flags | O_CLOEXEC | O_NOFOLLOW);
        return fd < 0 ? -errno : fd;
}

static int write_file(int dir_fd, const char *path, const char *file, const char *text)
{
        int fd CLEANUP_FD = open_file(dir_fd, path, file, O_WRONLY);

        if (fd < 0)
                return fd;
        return write(fd, text, strlen(text)) < 0 ? -errno : 0;
}

int cgroup_read_controllers(int dir_fd, const char *path, unsigned *ret)
{
        char text[512];
        int fd CLEANUP_FD = open_file(dir_fd, path, "cgroup.controllers", O_RDONLY);
        ssize_t n;

        if (fd < 0)
                return fd;
        n = read(fd, text, sizeof(text) - 1);
        if (n < 0)
                return -errno;
        text[n] = '\0';
        *ret = cgroup_controllers_parse(text);
        return 0;
}

unsigned cgroup_hand_down(int dir_fd, const char *path, unsigned controllers)
{
        char text[128] = "";
        unsigned done = 0;
        size_t n = 0;
        int r;

        for (size_t i = 0; i < ARRAY_SIZE(controller_names); i++)
                if (controllers & 1U << i)
                        n += (size_t) snprintf(text + n, sizeof(text) - n, "%s+%s", n ? " " : "",
                                               controller_names[i]);
        if (n == 0)
                return 0;
        r = write_file(dir_fd, path, "cgroup.subtree_control", text);
        if (r == 0)
                return controllers;
        /* It has processes of its own. Those controllers that the kernel would still hand down make its
         * groups threaded ones, in which no container can be started. */
        if (r == -EBUSY)
                return 0;
        for (size_t i = 0; i < ARRAY_SIZE(controller_names); i++) {
                if (!(controllers & 1U << i))
                        continue;
                (void) snprintf(text, sizeof(text), "+%s", controller_names[i]);
                if (write_file(dir_fd, path, "cgroup.subtree_control", text) == 0)
                        done |= 1U << i;
        }
        return done;
}

bool cgroup_controller_is_v1(unsigned controller)
{
        const char *name = controller == CGROUP_IO ? "blkio" : cgroup_controller_name(controller);
        char *table CLEANUP_FREE = NULL;
        size_t n;

        if (!name || read_file_at(AT_FDCWD, "/proc/cgroups", 1U << 16, &table, NULL) < 0)
                return false;
        n = strlen(name);
        for (const char *line = table; *line;) {
                /* NAME \t HIERARCHY \t …; hierarchy 0 is cgroup2, or none */
                if (strncmp(line, name, n) == 0 && line[n] == '\t')
                        return line[n + 1] != '0';
                line += strcspn(line, "\n");
                line += *line == '\n';
        }
        return false;
}

/* @events_fd is an open cgroup.events. */
static int read_populated(int events_fd)
{
        char text[256];
        ssize_t n = pread(events_fd, text, sizeof(text) - 1, 0);
        const char *p;

        if (n < 0)
                return errno == ENODEV ? 0 : -errno; /* removed meanwhile */
        text[n] = '\0';
        p = strstr(text, "populated ");
        return p ? p[strlen("populated ")] == '1' : -EPROTO;
}

int cgroup_is_populated(int dir_fd, const char *path)
{
        int fd CLEANUP_FD = open_file(dir_fd, path, "cgroup.events", O_RDONLY);

        return fd < 0 ? fd : read_populated(fd);
}

int cgroup_kill(int dir_fd, const char *path, int timeout_ms)
{
        int events_fd CLEANUP_FD = open_file(dir_fd, path, "cgroup.events", O_RDONLY);
        int64_t end = (int64_t) clock_now_ms() + timeout_ms;
        int r;

        if (events_fd < 0)
                return events_fd;
        r = write_file(dir_fd, path, "cgroup.kill", "1");
        if (r < 0)
                return r;
        for (;;) {
                struct pollfd p = { .fd = events_fd, .events = POLLPRI };
                int64_t left = end - (int64_t) clock_now_ms();

                r = read_populated(events_fd);
                if (r <= 0)
                        return r;
                if (left <= 0)
                        return -ETIMEDOUT;
                if (poll(&p, 1, (int) left) < 0 && errno != EINTR)
                        return -errno;
        }
}

/* As the kernel gives it to getdents64(2). */
struct directory_entry {
        uint64_t inode;
        int64_t offset;
        uint16_t length;
        uint8_t type;
        char name[];
};

/*
 * The name of some group in the directory @fd: 1, 0 (there is none) or a negative errno. The
 * buffer is small because mostly one entry is used, the directory changes, and we begin anew.
 */
static int first_child(int fd, char name[NAME_MAX + 1])
{
        char buffer[4096] __attribute__((aligned(8)));

        if (lseek(fd, 0, SEEK_SET) < 0)
                return -errno;
        for (;;) {
                long n = syscall(SYS_getdents64, fd, buffer, sizeof(buffer));

                if (n <= 0)
                        return n < 0 ? -errno : 0;
                for (long i = 0; i < n;) {
                        const struct directory_entry *e = (const void *) (buffer + i);

                        if (e->type == DT_DIR && !streq(e->name, ".") && !streq(e->name, "..")) {
                                (void) snprintf(name, NAME_MAX + 1, "%s", e->name);
                                return 1;
                        }
                        i += e->length;
                }
        }
}

static int open_group(int dir_fd, const char *name)
{
        int fd = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);

        return fd < 0 ? -errno : fd;
}

/*
 * Empties the group @top of groups. Each step removes one or goes one level down into one that
 * cannot be removed as it is; if there is nothing in that one, processes must be. So it ends.
 */
static int remove_children(int top_fd)
{
        int fd CLEANUP_FD = open_group(top_fd, ".");
        bool just_entered = false;
        size_t depth = 0;

        if (fd < 0)
                return fd;
        for (;;) {
                char name[NAME_MAX + 1];
                int next, r = first_child(fd, name);

                if (r < 0)
                        return r;
                if (r == 0 && depth == 0)
                        return 0;
                if (r == 0 && just_entered)
                        return -EBUSY;
                just_entered = false;
                if (r > 0 && (unlinkat(fd, name, AT_REMOVEDIR) == 0 || errno == ENOENT))
                        continue;
                if (r > 0 && errno != EBUSY && errno != ENOTEMPTY)
                        return -errno;
                next = open_group(fd, r > 0 ? name : "..");
                if (next == -ENOENT)
                        continue;
                if (next < 0)
                        return next;
                just_entered = r > 0;
                depth = r > 0 ? depth + 1 : depth - 1;
                (void) fd_close(fd);
                fd = next;
        }
}

int cgroup_remove(int dir_fd, const char *name)
{
        int r, fd CLEANUP_FD = -1;

        if (unlinkat(dir_fd, name, AT_REMOVEDIR) == 0 || errno == ENOENT)
                return 0;
        if (errno != EBUSY && errno != ENOTEMPTY)
                return -errno;
        fd = open_group(dir_fd, name);
        if (fd < 0)
                return fd == -ENOENT ? 0 : fd;
        r = remove_children(fd);
        if (r < 0)
                return r;
        return unlinkat(dir_fd, name, AT_REMOVEDIR) == 0 || errno == ENOENT ? 0 : -errno;
}
