/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "nspawn/etc-files.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "basic/fd.h"
#include "basic/io.h"
#include "basic/log.h"
#include "basic/root.h"
#include "nspawn/explain.h"

#define ETC_FILE_MAX ((size_t) 1024 * 1024)

const char *etc_way_name(enum etc_way way)
{
        static const char *const names[] = { [ETC_OFF] = "off",
                                             [ETC_COPY] = "copy",
                                             [ETC_BIND] = "bind",
                                             [ETC_LINK] = "link",
                                             [ETC_DELETE] = "delete" };

        static_assert(ARRAY_SIZE(names) == ETC_DELETE + 1, "every way has a name");
        return names[way];
}

struct etc_plan etc_plan_build(const struct container_config *c, const struct host_facts *host,
                               const struct tree_facts *tree)
{
        bool writable = config_root_is_writable(c);
        /* A new root directory is made with all of them. */
        struct etc_plan plan = { .base_directories = writable && c->volatile_mode != VOLATILE_YES };

        if (c->private_network)
                plan.resolv_conf = ETC_OFF;
        else if (host->resolv_conf_stub || host->has_resolv_conf) {
                plan.resolv_conf = writable ? ETC_COPY : ETC_BIND;
                plan.resolv_conf_source =
                        host->resolv_conf_stub ? host->resolv_conf_stub : "/etc/resolv.conf";
        } else
                plan.resolv_conf = writable ? ETC_DELETE : ETC_OFF;

        switch (host->localtime) {
        case LOCALTIME_MISSING:
                plan.localtime = writable ? ETC_DELETE : ETC_OFF;
                break;
        case LOCALTIME_FILE:
                plan.localtime = writable ? ETC_COPY : ETC_BIND;
                break;
        case LOCALTIME_LINK:
                /* A link out of the zone database means nothing inside. */
                if (!host->localtime_zone)
                        plan.localtime = ETC_OFF;
                else if (!writable || !tree->has_host_zone)
                        plan.localtime = ETC_BIND;
                else
                        plan.localtime = ETC_LINK;
                plan.localtime_zone = host->localtime_zone;
                break;
        }
        return plan;
}

/* ---- base directories -------------------------------------------------------------------- */

/* Returns 1 if it was missing. */
static int make_base_directory(int root_fd, const char *name, mode_t mode, uid_t owner)
{
        if (mkdirat(root_fd, name, mode) < 0)
                return errno == EEXIST ? 0 : -errno;
        if (owner != 0 && fchownat(root_fd, name, owner, owner, AT_SYMLINK_NOFOLLOW) < 0)
                return -errno;
        return 1;
}

/* A tree of the merged-/usr kind may come without the links that make it usable. */
static int make_base_link(int root_fd, const char *name, uid_t owner)
{
        char target[16];
        struct stat st;

        if (fstatat(root_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 || errno != ENOENT)
                return 0;
        (void) snprintf(target, sizeof(target), "usr/%s", name);
        if (fstatat(root_fd, target, &st, AT_SYMLINK_NOFOLLOW) < 0)
                return 0;
        if (symlinkat(target, root_fd, name) < 0)
                return -errno;
        return fchownat(root_fd, name, owner, owner, AT_SYMLINK_NOFOLLOW) < 0 ? -errno : 0;
}

static int make_base(int root_fd, uid_t owner, struct failure *failure)
{
        static const struct {
                const char *name;
                mode_t mode;
        } directories[] = { { "root", 0750 }, { "var", 0755 }, { "etc", 0755 }, { "proc", 0555 },
                            { "sys", 0555 },  { "dev", 0555 }, { "run", 0555 } };
        bool complete = true;

        for (size_t i = 0; i < ARRAY_SIZE(directories); i++) {
                int r = make_base_directory(root_fd, directories[i].name, directories[i].mode,
                                            owner);

                if (r == -EROFS)
                        return 0; /* then the tree has to have what it needs */
                if (r < 0)
                        return failure_set(failure, r, "Cannot create '/%s' in the tree: %s.%s",
                                           directories[i].name, error_text(r), storage_hint(r));
                complete = complete && r == 0;
        }
        /* Who leaves the links out leaves all but /usr out. */
        if (complete)
                return 0;
        for (size_t i = 0; i < N_MERGED_USR_NAMES; i++) {
                int r = make_base_link(root_fd, merged_usr_names[i], owner);

                if (r < 0)
                        return failure_set(failure, r,
                                           "Cannot create the link '/%s' in the tree: "
                                           "%s.%s",
                                           merged_usr_names[i], error_text(r), storage_hint(r));
        }
        return 0;
}

/* ---- single files ------------------------------------------------------------------------ */

static void warn_about(const char *what, const char *path, int error)
{
        log_warning("Cannot %s '/%s' in the container, ignoring: %s.", what, path,
                    error == -EBADF ? "It is not a regular file" : error_text(error));
}

static bool has_content(int fd, const char *text, size_t size)
{
        char *current CLEANUP_FREE = NULL;
        size_t current_size = 0;

        return read_all(fd, ETC_FILE_MAX, &current, &current_size) >= 0 && current_size == size &&
               memcmp(current, text, size) == 0;
}

/* Written through one of several names, a file would change under the others as well. */
static int has_other_names(int fd)
{
        struct stat st;

        return fstat(fd, &st) < 0 ? -errno : st.st_nlink > 1;
}

static int make_anew(int root_fd, const char *path)
{
        const char *name;
        int parent CLEANUP_FD = root_open_parent(root_fd, path, &name);
        int fd;

        if (parent < 0)
                return parent;
        if (unlinkat(parent, name, 0) < 0)
                return -errno;
        fd = openat(parent, name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
        return fd < 0 ? -errno : fd;
}

static int replace_content(int fd, const char *text, size_t size, uid_t owner)
{
        /* The owner first: a file with the right content would not be looked at again. */
        if (fchown(fd, owner, owner) < 0 || ftruncate(fd, 0) < 0 || lseek(fd, 0, SEEK_SET) < 0)
                return -errno;
        return write_all(fd, text, size);
}

/* The name is not followed when it is a link: the guest manages such a file by itself. */
static void copy_file(int root_fd, const char *path, const char *source, uid_t owner)
{
        char *text CLEANUP_FREE = NULL;
        int fd CLEANUP_FD = -1;
        size_t size = 0;
        bool same;
        int r = read_file_at(AT_FDCWD, source, ETC_FILE_MAX, &text, &size);

        if (r < 0) {
                warn_about("copy the host's file to", path, r);
                return;
        }
        fd = root_open_regular(root_fd, path, O_RDWR, ROOT_NOFOLLOW);
        if (fd == -ENOENT)
                fd = root_open(root_fd, path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, 0644);
        if (fd == -ELOOP)
                return;
        same = fd >= 0 && has_content(fd, text, size);
        r = fd < 0 || same ? MIN_OF(fd, 0) : has_other_names(fd);
        if (r > 0) {
                (void) fd_close(fd);
                fd = make_anew(root_fd, path);
                r = fd;
        }
        if (r >= 0 && !same)
                r = replace_content(fd, text, size, owner);
        if (r < 0 && r != -EROFS)
                warn_about("write", path, r);
}

static void remove_file(int root_fd, const char *path)
{
        const char *name;
        int parent CLEANUP_FD = root_open_parent(root_fd, path, &name);

        if (parent < 0 || (unlinkat(parent, name, 0) < 0 && errno != ENOENT && errno != EROFS))
                warn_about("remove", path, parent < 0 ? parent : -errno);
}

static void link_localtime(int root_fd, const char *zone, uid_t owner)
{
        char target[PATH_MAX], current[PATH_MAX];
        const char *name;
        int parent CLEANUP_FD = root_open_parent(root_fd, "etc/localtime", &name);
        ssize_t n;

        if (parent < 0) {
                warn_about("link", "etc/localtime", parent);
                return;
        }
        (void) snprintf(target, sizeof(target), "../usr/share/zoneinfo/%s", zone);
        n = readlinkat(parent, name, current, sizeof(current) - 1);
        if (n >= 0) {
                const char *tail;

                current[n] = '\0';
                tail = strstr(current, "usr/share/zoneinfo/");
                if (tail && streq(tail + strlen("usr/share/zoneinfo/"), zone))
                        return;
        }
        if ((unlinkat(parent, name, 0) < 0 && errno != ENOENT) ||
            symlinkat(target, parent, name) < 0 ||
            fchownat(parent, name, owner, owner, AT_SYMLINK_NOFOLLOW) < 0)
                warn_about("link", "etc/localtime", -errno);
}

int etc_plan_run(const struct etc_plan *plan, int root_fd, uid_t owner, struct failure *failure)
{
        int r = plan->base_directories ? make_base(root_fd, owner, failure) : 0;

        if (r < 0)
                return r;
        if (plan->resolv_conf == ETC_COPY)
                copy_file(root_fd, "etc/resolv.conf", plan->resolv_conf_source, owner);
        else if (plan->resolv_conf == ETC_DELETE)
                remove_file(root_fd, "etc/resolv.conf");
        if (plan->localtime == ETC_COPY)
                copy_file(root_fd, "etc/localtime", "/etc/localtime", owner);
        else if (plan->localtime == ETC_LINK)
                link_localtime(root_fd, plan->localtime_zone, owner);
        else if (plan->localtime == ETC_DELETE)
                remove_file(root_fd, "etc/localtime");
        return 0;
}
