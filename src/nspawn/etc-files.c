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
#include "nspawn/resolv-conf.h"

#define ETC_FILE_MAX ((size_t) 1024 * 1024)

const char *etc_way_name(enum etc_way way)
{
        static const char *const names[] = { [ETC_OFF] = "off",
                                             [ETC_COPY] = "copy",
                                             [ETC_REPLACE] = "replace",
                                             [ETC_BIND] = "bind",
                                             [ETC_LINK] = "link",
                                             [ETC_DELETE] = "delete",
                                             [ETC_NETWORK] = "network",
                                             [ETC_NETWORK_BIND] = "network-bind",
                                             [ETC_NETWORK_RUN] = "network-run" };

        static_assert(ARRAY_SIZE(names) == ETC_NETWORK_RUN + 1, "every way has a name");
        return names[way];
}

/* Our own server, or those that the host asks. Returns false: there is none, or no room. */
static bool make_network_text(const struct host_facts *host, const struct net_plan *network,
                              struct etc_plan *plan)
{
        char ours[NET_RESOLV_CONF_SIZE];
        const char *servers = net_plan_resolv_conf(network, ours);
        size_t size = sizeof(plan->resolv_conf_text);

        if (*servers == '\0')
                servers = host->resolv_conf_upstream ? host->resolv_conf_upstream : "";
        return *servers != '\0' && (size_t) snprintf(plan->resolv_conf_text, size, "%s%s",
                                                     RESOLV_CONF_MARK, servers) < size;
}

/* The servers of a network that others make are not known, so that only an old one of ours goes. */
static void decide_resolv_conf_network(const struct container_config *c,
                                       const struct host_facts *host, const struct tree_facts *tree,
                                       const struct net_plan *network, struct etc_plan *plan)
{
        plan->resolv_conf = ETC_OFF;
        plan->resolv_conf_is_stale = plan->writable;
        if (!network || network->manager != NET_MANAGER_US ||
            !make_network_text(host, network, plan))
                return;
        plan->resolv_conf_is_stale = false;
        if (tree->resolv_conf_link && !config_root_mount(c)) {
                plan->resolv_conf = ETC_NETWORK_RUN;
                plan->resolv_conf_link = tree->resolv_conf_link;
        } else
                plan->resolv_conf = plan->writable ? ETC_NETWORK : ETC_NETWORK_BIND;
}

/* What is at hand is taken. */
static void decide_resolv_conf_auto(const struct container_config *c, const struct host_facts *host,
                                    const struct tree_facts *tree, const struct net_plan *network,
                                    struct etc_plan *plan)
{
        if (config_network_is_own(&c->network))
                decide_resolv_conf_network(c, host, tree, network, plan);
        else if (host->resolv_conf_stub || host->has_resolv_conf) {
                plan->resolv_conf = plan->writable ? ETC_COPY : ETC_BIND;
                plan->resolv_conf_source =
                        host->resolv_conf_stub ? host->resolv_conf_stub : "/etc/resolv.conf";
        } else
                plan->resolv_conf = plan->writable ? ETC_DELETE : ETC_OFF;
}

static void decide_resolv_conf(const struct container_config *c, const struct host_facts *host,
                               const struct tree_facts *tree, const struct net_plan *network,
                               struct etc_plan *plan)
{
        static const char *const sources[] = { "/etc/resolv.conf", "/usr/lib/systemd/resolv.conf",
                                               "/run/systemd/resolve/resolv.conf",
                                               "/run/systemd/resolve/stub-resolv.conf" };
        static const enum etc_way ways[] = { ETC_COPY, ETC_REPLACE, ETC_BIND };
        unsigned index = (unsigned) c->resolv_conf - RESOLV_CONF_COPY_HOST;

        plan->resolv_conf_is_explicit =
                c->resolv_conf != RESOLV_CONF_AUTO && c->resolv_conf != RESOLV_CONF_OFF;
        if (c->resolv_conf == RESOLV_CONF_AUTO)
                decide_resolv_conf_auto(c, host, tree, network, plan);
        else if (c->resolv_conf == RESOLV_CONF_DELETE)
                plan->resolv_conf = ETC_DELETE;
        else if (plan->resolv_conf_is_explicit) {
                plan->resolv_conf = ways[index / ARRAY_SIZE(sources)];
                plan->resolv_conf_source = sources[index % ARRAY_SIZE(sources)];
        }
}

static enum etc_way decide_localtime_auto(const struct host_facts *host,
                                          const struct tree_facts *tree, bool writable)
{
        switch (host->localtime) {
        case LOCALTIME_MISSING:
                return writable ? ETC_DELETE : ETC_OFF;
        case LOCALTIME_FILE:
                return writable ? ETC_REPLACE : ETC_BIND;
        case LOCALTIME_LINK:
                break;
        }
        /* A link out of the zone database means nothing inside. */
        if (!host->localtime_zone)
                return ETC_OFF;
        return writable && tree->has_host_zone ? ETC_LINK : ETC_BIND;
}

static enum etc_way decide_localtime(const struct container_config *c,
                                     const struct host_facts *host, const struct tree_facts *tree,
                                     bool writable)
{
        switch (c->timezone) {
        case TIMEZONE_AUTO:
                return decide_localtime_auto(host, tree, writable);
        case TIMEZONE_OFF:
                break;
        case TIMEZONE_COPY:
                return ETC_REPLACE;
        case TIMEZONE_BIND:
                return ETC_BIND;
        case TIMEZONE_SYMLINK:
                /* Where the link would lead nowhere, what it means is shown instead. */
                return host->localtime_zone && !tree->has_host_zone ? ETC_BIND : ETC_LINK;
        case TIMEZONE_DELETE:
                return ETC_DELETE;
        }
        return ETC_OFF;
}

struct etc_plan etc_plan_build(const struct container_config *c, const struct host_facts *host,
                               const struct tree_facts *tree, const struct net_plan *network)
{
        /* Not what is mounted in the place of the tree: that may be somebody else's. */
        bool writable = config_root_is_writable(c) && !config_root_mount(c);
        struct etc_plan plan = { .writable = writable,
                                 /* A new root directory is made with all of them. */
                                 .base_directories = writable && c->volatile_mode != VOLATILE_YES,
                                 .localtime_is_explicit = c->timezone != TIMEZONE_AUTO };

        decide_resolv_conf(c, host, tree, network, &plan);
        plan.localtime = decide_localtime(c, host, tree, plan.writable);
        if (host->localtime == LOCALTIME_LINK)
                plan.localtime_zone = host->localtime_zone;
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
static void copy_file(int root_fd, const char *path, const char *source, uid_t owner,
                      bool is_explicit)
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
        if (r < 0 && (r != -EROFS || is_explicit))
                warn_about("write", path, r);
}

/*
 * A name that is not in use, for what is renamed to its place when it is whole. It is always the same
 * one: who was killed leaves at most this, and the next start takes it away.
 */
static int open_replacement(int root_fd, const char *path, const char **ret_name, char *temporary,
                            size_t size)
{
        int parent = root_open_parent(root_fd, path, ret_name);

        if (parent < 0)
                return parent;
        (void) snprintf(temporary, size, ".#%s.stead", *ret_name);
        if (unlinkat(parent, temporary, 0) < 0 && errno != ENOENT) {
                int r = -errno;

                (void) fd_close(parent);
                return r;
        }
        return parent;
}

static int put_in_place(int parent, const char *temporary, const char *name)
{
        int r = 0;

        if (renameat(parent, temporary, parent, name) < 0) {
                r = -errno;
                (void) unlinkat(parent, temporary, 0);
        }
        return r;
}

/* By its descriptor: whoever may write to the folder can put another file in the place of the name. */
static int write_replacement(int parent, const char *temporary, const char *text, size_t size,
                             uid_t owner)
{
        int fd CLEANUP_FD = openat(parent, temporary,
                                   O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
        int r = fd < 0 ? -errno : fchown(fd, owner, owner) < 0 ? -errno : write_all(fd, text, size);

        if (fd >= 0 && r < 0)
                (void) unlinkat(parent, temporary, 0);
        return r;
}

static int link_replacement(int parent, const char *temporary, const char *target, uid_t owner)
{
        int fd CLEANUP_FD = -1;
        struct stat st;
        int r = symlinkat(target, parent, temporary) < 0 ? -errno : 0;

        /* It belongs to who made it. */
        if (r < 0 || owner == 0)
                return r;
        fd = openat(parent, temporary, O_PATH | O_NOFOLLOW | O_CLOEXEC);
        r = fd < 0 || fstat(fd, &st) < 0 ? -errno : S_ISLNK(st.st_mode) ? 0 : -EEXIST;
        if (r == 0 && fchownat(fd, "", owner, owner, AT_EMPTY_PATH) < 0)
                r = -errno;
        if (r < 0)
                (void) unlinkat(parent, temporary, 0);
        return r;
}

/* Whoever opens the name gets the old or the new one, whole; links are not followed but replaced. */
static void replace_with(int root_fd, const char *path, const char *text, size_t size, uid_t owner)
{
        char temporary[32];
        const char *name;
        int parent CLEANUP_FD =
                open_replacement(root_fd, path, &name, temporary, sizeof(temporary));
        int r = parent < 0 ? parent : write_replacement(parent, temporary, text, size, owner);

        if (r >= 0)
                r = put_in_place(parent, temporary, name);
        if (r < 0)
                warn_about("write", path, r);
}

static void replace_file(int root_fd, const char *path, const char *source, uid_t owner)
{
        char *text CLEANUP_FREE = NULL;
        int fd CLEANUP_FD = -1;
        size_t size = 0;
        int r = read_file_at(AT_FDCWD, source, ETC_FILE_MAX, &text, &size);

        if (r < 0) {
                warn_about("copy the host's file to", path, r);
                return;
        }
        fd = root_open_regular(root_fd, path, O_RDONLY, ROOT_NOFOLLOW);
        if (fd < 0 || !has_content(fd, text, size))
                replace_with(root_fd, path, text, size, owner);
}

static void remove_file(int root_fd, const char *path)
{
        const char *name;
        int parent CLEANUP_FD = root_open_parent(root_fd, path, &name);

        if (parent < 0 || (unlinkat(parent, name, 0) < 0 && errno != ENOENT && errno != EROFS))
                warn_about("remove", path, parent < 0 ? parent : -errno);
}

/* Whether it is what a start with the host's network has copied, or whoever made the tree. */
static bool is_copy_of_hosts(const char *text, size_t size)
{
        static const char *const sources[] = { "/etc/resolv.conf",
                                               "/run/systemd/resolve/stub-resolv.conf",
                                               "/run/systemd/resolve/resolv.conf" };

        for (size_t i = 0; i < ARRAY_SIZE(sources); i++) {
                char *other CLEANUP_FREE = NULL;
                size_t other_size = 0;

                if (read_file_at(AT_FDCWD, sources[i], ETC_FILE_MAX, &other, &other_size) >= 0 &&
                    other_size == size && memcmp(other, text, size) == 0)
                        return true;
        }
        return false;
}

/* What somebody wants to have there stays: a link, a device, servers that are named. */
static void write_network_servers(int root_fd, const char *path, const char *text, uid_t owner)
{
        int fd CLEANUP_FD = root_open_regular(root_fd, path, O_RDONLY, ROOT_NOFOLLOW);
        char *current CLEANUP_FREE = NULL;
        size_t size = 0;

        if (fd < 0 && fd != -ENOENT)
                return;
        if (fd >= 0 && (read_all(fd, ETC_FILE_MAX, &current, &size) < 0 || streq(current, text) ||
                        (!resolv_conf_is_ours(current) && !resolv_conf_names_nobody(current) &&
                         !is_copy_of_hosts(current, size))))
                return;
        replace_with(root_fd, path, text, strlen(text), owner);
}

static void remove_stale(int root_fd, const char *path)
{
        int fd CLEANUP_FD = root_open_regular(root_fd, path, O_RDONLY, ROOT_NOFOLLOW);
        char *current CLEANUP_FREE = NULL;

        if (fd >= 0 && read_all(fd, ETC_FILE_MAX, &current, NULL) >= 0 &&
            resolv_conf_is_ours(current))
                remove_file(root_fd, path);
}

static bool leads_to_zone(int parent, const char *name, const char *zone)
{
        char current[PATH_MAX];
        ssize_t n = readlinkat(parent, name, current, sizeof(current) - 1);
        const char *tail;

        if (n < 0)
                return false;
        current[n] = '\0';
        tail = strstr(current, "usr/share/zoneinfo/");
        return tail && streq(tail + strlen("usr/share/zoneinfo/"), zone);
}

static void link_localtime(int root_fd, const char *zone, uid_t owner)
{
        char target[PATH_MAX], temporary[32];
        const char *name;
        int parent CLEANUP_FD = root_open_parent(root_fd, "etc/localtime", &name);
        int r = MIN_OF(parent, 0);

        if (parent >= 0 && leads_to_zone(parent, name, zone))
                return;
        (void) snprintf(target, sizeof(target), "../usr/share/zoneinfo/%s", zone);
        if (r >= 0) {
                (void) fd_close(parent);
                parent = open_replacement(root_fd, "etc/localtime", &name, temporary,
                                          sizeof(temporary));
                r = parent < 0 ? parent : link_replacement(parent, temporary, target, owner);
                if (r >= 0)
                        r = put_in_place(parent, temporary, name);
        }
        if (r < 0)
                warn_about("link", "etc/localtime", r);
}

/* What was asked for and cannot be had; the machine runs without. */
static bool can_be_done(const struct etc_plan *plan, enum etc_way way, const char *what,
                        const char *path, const char *source)
{
        bool writes = way == ETC_COPY || way == ETC_REPLACE || way == ETC_LINK || way == ETC_DELETE;

        if (writes && !plan->writable) {
                warn_about(what, path, -EROFS);
                return false;
        }
        if (way == ETC_BIND && access(source, F_OK) < 0) {
                warn_about("show the host's file as", path, -errno);
                return false;
        }
        return true;
}

static void run_resolv_conf(const struct etc_plan *plan, int root_fd, uid_t owner)
{
        static const char path[] = "etc/resolv.conf";

        if (plan->resolv_conf_is_explicit &&
            !can_be_done(plan, plan->resolv_conf,
                         plan->resolv_conf == ETC_DELETE ? "remove" : "write", path,
                         plan->resolv_conf_source))
                return;
        if (plan->resolv_conf == ETC_COPY)
                copy_file(root_fd, path, plan->resolv_conf_source, owner,
                          plan->resolv_conf_is_explicit);
        else if (plan->resolv_conf == ETC_REPLACE)
                replace_file(root_fd, path, plan->resolv_conf_source, owner);
        else if (plan->resolv_conf == ETC_DELETE)
                remove_file(root_fd, path);
        else if (plan->resolv_conf == ETC_NETWORK)
                write_network_servers(root_fd, path, plan->resolv_conf_text, owner);
        else if (plan->resolv_conf_is_stale)
                remove_stale(root_fd, path);
}

static void run_localtime(const struct etc_plan *plan, int root_fd, uid_t owner)
{
        static const char path[] = "etc/localtime";

        if (plan->localtime == ETC_LINK && !plan->localtime_zone) {
                log_warning("The host's /etc/localtime is no link into /usr/share/zoneinfo, so "
                            "'/%s' in the container stays as it is. Use --timezone=copy.",
                            path);
                return;
        }
        if (plan->localtime_is_explicit &&
            !can_be_done(plan, plan->localtime, plan->localtime == ETC_DELETE ? "remove" : "write",
                         path, "/etc/localtime"))
                return;
        if (plan->localtime == ETC_REPLACE)
                replace_file(root_fd, path, "/etc/localtime", owner);
        else if (plan->localtime == ETC_LINK)
                link_localtime(root_fd, plan->localtime_zone, owner);
        else if (plan->localtime == ETC_DELETE)
                remove_file(root_fd, path);
}

int etc_plan_run(const struct etc_plan *plan, int root_fd, uid_t owner, struct failure *failure)
{
        int r = plan->base_directories ? make_base(root_fd, owner, failure) : 0;

        if (r < 0)
                return r;
        run_resolv_conf(plan, root_fd, owner);
        run_localtime(plan, root_fd, owner);
        return 0;
}
