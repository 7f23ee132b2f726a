/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "shared/host-named.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "basic/cgroup.h"
#include "basic/fd.h"
#include "basic/io.h"
#include "basic/log.h"
#include "basic/mount-api.h"
#include "shared/host-back-end.h"

#define TOP "stead"
#define PAYLOAD "payload"
/* Somebody else may remove a leftover, or the empty top, between two steps of ours; and the first
 * process of a supervisor that was killed takes a moment to end, with its lock, and to be reaped. */
#define ATTEMPTS 100
#define WAIT_MS 10
/* The end of a machine looks at no more of the others than this. */
#define SWEEP_MAX 64

static void wait_ms(int ms)
{
        (void) poll(NULL, 0, ms);
}

static int mount_silently(struct named_group *group)
{
        char options[64];
        const struct mount_description description = {
                .type = "cgroup",
                .source = "cgroup",
                .options = options,
                .attributes = MOUNT_NOSUID | MOUNT_NODEV | MOUNT_NOEXEC,
        };
        int context = -1, r;

        (void) snprintf(options, sizeof(options), "none,name=%s", group->hierarchy);
        r = mount_new(&description, &context, NULL, 0);
        /* One of that name is about to go: the kernel says so when it is asked in this way. */
        for (int i = 0; r == -EBUSY && i < ATTEMPTS; i++) {
                wait_ms(WAIT_MS);
                r = mount_new(&description, &context, NULL, 0);
        }
        if (r < 0)
                return r;
        group->mount_fd = r;
        (void) fd_close(context);
        return 0;
}

static int mount_hierarchy(struct named_group *group, struct failure *failure)
{
        int r = mount_silently(group);

        if (r >= 0)
                return 0;
        return failure_set(
                failure, r,
                "Cannot mount the control group hierarchy 'name=%s' of version 1, which an init of "
                "this age needs: %s.%s If it does without, set "
                "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1.",
                group->hierarchy, error_text(r),
                r == -ENOENT  ? " The kernel was told not to have such (cgroup_no_v1=named): boot "
                                "it without that."
                : r == -EPERM ? " The host has none yet, and here is not where one can be made: a "
                                "sandbox forbids it, or we are in another container."
                : r == -ENODEV || r == -EINVAL ? " This kernel has no control groups of version 1."
                                               : "");
}

/* A leftover, or somebody's who runs: -EBUSY. */
static int remove_leftover(int mount_fd, const char *path)
{
        int fd CLEANUP_FD = group_lock_at(mount_fd, path);

        return fd < 0 ? fd : cgroup_remove(mount_fd, path);
}

/* 1: it is ours; 0: things have changed, again; -EBUSY: it runs. */
static int make_step(struct named_group *group)
{
        int fd CLEANUP_FD = -1;
        int r;

        /* Nobody lists it; but before Linux 6.16 the root of a user namespace mounts a group only if it
         * may pass through the folders above. */
        if (mkdirat(group->mount_fd, TOP, 0711) < 0 && errno != EEXIST)
                return -errno;
        if (mkdirat(group->mount_fd, group->path, 0755) < 0) {
                r = errno == EEXIST ? remove_leftover(group->mount_fd, group->path) : -errno;
                return r == -ENOENT ? 0 : r;
        }
        fd = group_lock_at(group->mount_fd, group->path);
        if (fd == -ENOENT || fd == -EBUSY)
                return 0; /* taken for a leftover */
        if (fd < 0)
                return fd;
        /* In a group that was removed nothing can be made. */
        if (mkdirat(fd, PAYLOAD, 0755) < 0)
                return errno == ENOENT || errno == ENODEV ? 0 : -errno;
        group->lock_fd = TAKE_FD(fd);
        return 1;
}

static int give_away(const struct named_group *group, uid_t owner)
{
        static const char *const names[] = { PAYLOAD, PAYLOAD "/cgroup.procs", PAYLOAD "/tasks",
                                             PAYLOAD "/cgroup.clone_children" };

        for (size_t i = 0; owner != 0 && i < ARRAY_SIZE(names); i++)
                if (fchownat(group->lock_fd, names[i], owner, (gid_t) owner, AT_SYMLINK_NOFOLLOW) <
                            0 &&
                    errno != ENOENT)
                        return -errno;
        return 0;
}

int named_group_create(const char *hierarchy, const char *machine, uid_t owner,
                       struct named_group *ret, struct failure *failure)
{
        struct named_group group = NAMED_GROUP_NULL;
        int r;

        group.hierarchy = hierarchy;
        if (asprintf(&group.path, TOP "/%s", machine) < 0)
                return failure_set(failure, -ENOMEM, "Out of memory.");
        r = mount_hierarchy(&group, failure);
        for (int i = 0; (r == 0 || r == -EBUSY) && failure->error == 0 && i < ATTEMPTS; i++) {
                if (i > 0)
                        wait_ms(r == 0 ? 1 : WAIT_MS);
                r = make_step(&group);
        }
        if (r > 0)
                r = give_away(&group, owner);
        else if (r == 0)
                r = -EBUSY;
        if (r >= 0) {
                *ret = group;
                return 0;
        }
        (void) failure_set(failure, r,
                           r == -EBUSY ? "There is a machine '%s' in the control group hierarchy "
                                         "'name=%s' already: %s. Stop it, or use another name "
                                         "(--machine=)."
                                       : "Cannot make a group for the machine '%s' in the control "
                                         "group hierarchy 'name=%s': %s.",
                           machine, hierarchy, error_text(r));
        named_group_remove(&group);
        return r;
}

int named_group_adopt(const struct named_group *group, pid_t leader, struct failure *failure)
{
        char text[16];
        int r;

        if (group->lock_fd < 0)
                return 0;
        (void) snprintf(text, sizeof(text), "%d", (int) leader);
        r = write_file_at(group->lock_fd, PAYLOAD "/cgroup.procs", text);
        return r < 0 ? failure_set(failure, r,
                                   "Cannot move the container's first process to its group in the "
                                   "control group hierarchy 'name=%s': %s.",
                                   group->hierarchy, error_text(r))
                     : 0;
}

/* What others that were killed have left there. */
static void sweep(int mount_fd)
{
        int fd = openat(mount_fd, TOP, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
        DIR *folder = fd >= 0 ? fdopendir(fd) : NULL;
        int looks = 0;

        if (!folder) {
                (void) fd_close(fd);
                return;
        }
        for (const struct dirent *e = readdir(folder); e && looks < SWEEP_MAX; e = readdir(folder))
                if (e->d_type == DT_DIR && e->d_name[0] != '.') {
                        looks++;
                        (void) remove_leftover(fd, e->d_name);
                }
        (void) closedir(folder);
}

/* Whether the file speaks of the hierarchy, with @end behind its name. @fallback: it cannot be read. */
static bool is_told_by(const char *path, const struct named_group *group, const char *ends,
                       bool fallback)
{
        char *text CLEANUP_FREE = NULL;
        char name[64];
        size_t n = (size_t) snprintf(name, sizeof(name), "name=%s", group->hierarchy);

        if (read_file_at(AT_FDCWD, path, 16U << 20, &text, NULL) < 0)
                return fallback;
        for (const char *p = text; (p = strstr(p, name)); p += n)
                if (strchr(ends, p[n]))
                        return true;
        return false;
}

/* Whether the hierarchy is there, mounted or not. */
static bool hierarchy_exists(const struct named_group *group)
{
        return is_told_by("/proc/self/cgroup", group, ":", false);
}

/* Whether the host uses it itself, and mounts it where everybody sees it. */
static bool hierarchy_is_the_hosts(const struct named_group *group)
{
        return is_told_by("/proc/self/mountinfo", group, ",\n", true);
}

/*
 * The kernel takes a hierarchy away with its last mount if there is no group in it; and a group that
 * was removed is in it for a moment yet. Who unmounts too early leaves it for ever. So it is mounted
 * again and again until it has gone, unless somebody else wants it.
 */
static void remove_hierarchy(struct named_group *group)
{
        for (int i = 0; i < ATTEMPTS && !hierarchy_is_the_hosts(group); i++) {
                group->mount_fd = fd_close(group->mount_fd);
                wait_ms(WAIT_MS);
                if (!hierarchy_exists(group) || mount_silently(group) < 0)
                        return;
                if (faccessat(group->mount_fd, TOP, F_OK, 0) == 0)
                        return;
        }
}

void named_group_remove(struct named_group *group)
{
        if (group->lock_fd >= 0)
                for (int i = 0; i < ATTEMPTS; i++) {
                        if (cgroup_remove(group->mount_fd, group->path) != -EBUSY)
                                break;
                        wait_ms(WAIT_MS);
                }
        if (group->mount_fd >= 0) {
                int r = unlinkat(group->mount_fd, TOP, AT_REMOVEDIR);

                if (r < 0 && (errno == EBUSY || errno == ENOTEMPTY)) {
                        sweep(group->mount_fd);
                        r = unlinkat(group->mount_fd, TOP, AT_REMOVEDIR);
                }
                if (r == 0)
                        remove_hierarchy(group);
        }
        (void) fd_close(group->lock_fd);
        (void) fd_close(group->mount_fd);
        free(group->path);
        *group = (struct named_group) NAMED_GROUP_NULL;
}
