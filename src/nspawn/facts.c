/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "nspawn/facts.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "basic/env-file.h"
#include "basic/fd.h"
#include "basic/idmap.h"
#include "basic/io.h"
#include "basic/log.h"
#include "basic/root.h"
#include "basic/sandbox.h"
#include "basic/strv.h"
#include "nspawn/old-systemd.h"
#include "nspawn/resolv-conf.h"

#define OS_RELEASE_MAX 8192 /* of which the fields that matter are at the top */

void host_facts_done(struct host_facts *facts)
{
        strv_free(facts->os_release_environment);
        free(facts->localtime_zone);
        free(facts->resolv_conf_upstream);
        free(facts->cpus);
        *facts = (struct host_facts){ .host = HOST_NATIVE };
}

void tree_facts_done(struct tree_facts *facts)
{
        free(facts->path);
        free(facts->resolv_conf_link);
        facts->path = facts->resolv_conf_link = NULL;
        if (facts->root_fd != facts->fd)
                (void) fd_close(facts->root_fd);
        facts->root_fd = -1;
        facts->fd = fd_close(facts->fd);
        facts->layer_fd = fd_close(facts->layer_fd);
}

static bool wants_network_servers(const struct container_config *c)
{
        return c->resolv_conf == RESOLV_CONF_AUTO && config_network_is_ours(&c->network);
}

static bool wants_time(const struct container_config *c)
{
        return c->time_mode == TIME_PRIVATE ||
               (c->time_mode == TIME_AUTO && c->start_mode == START_BOOT);
}

static void read_nodes(struct host_facts *facts)
{
        /* The first six are on every host, with numbers that never change (kernel's
         * admin-guide/devices); the others come and go with modules. */
        const struct node_fact nodes[N_STANDARD_NODES] = {
                { "null", true, 0666, makedev(1, 3) },
                { "zero", true, 0666, makedev(1, 5) },
                { "full", true, 0666, makedev(1, 7) },
                { "random", true, 0666, makedev(1, 8) },
                { "urandom", true, 0666, makedev(1, 9) },
                { "tty", true, 0666, makedev(5, 0) },
                { .name = "net/tun" },
                { .name = "fuse" },
        };

        for (size_t i = 0; i < N_STANDARD_NODES; i++) {
                struct node_fact *node = &facts->nodes[i];
                char path[32];
                struct stat st;

                *node = nodes[i];
                if (node->exists)
                        continue;
                (void) snprintf(path, sizeof(path), "/dev/%s", node->name);
                if (stat(path, &st) < 0 || !S_ISCHR(st.st_mode))
                        continue;
                node->exists = true;
                node->mode = st.st_mode & 0666;
                node->device = st.st_rdev;
        }
}

/* The fields of the host's os-release that a guest may know (container interface). */
static int read_os_release(struct host_facts *facts)
{
        static const struct {
                const char *key, *variable;
        } fields[] = { { "ID", "container_host_id" },
                       { "VERSION_ID", "container_host_version_id" },
                       { "BUILD_ID", "container_host_build_id" },
                       { "VARIANT_ID", "container_host_variant_id" } };
        static const char *const paths[] = { "/etc/os-release", "/usr/lib/os-release" };
        struct env_file file CLEANUP_ENV_FILE = { .n = 0 };
        char text[OS_RELEASE_MAX];

        for (size_t i = 0; i < ARRAY_SIZE(paths) && !facts->os_release_path; i++)
                if (read_text_at(AT_FDCWD, paths[i], text, sizeof(text)) >= 0)
                        facts->os_release_path = paths[i];
        /* Without it, or with one that is no text, there is nothing to tell. */
        if (!facts->os_release_path)
                return 0;
        if (env_file_parse(text, strlen(text), &file) == -ENOMEM)
                return -ENOMEM;
        for (size_t i = 0; i < ARRAY_SIZE(fields); i++) {
                const char *value = env_file_get(&file, fields[i].key);
                char *assignment = NULL;

                if (!value || !*value)
                        continue;
                if (asprintf(&assignment, "%s=%s", fields[i].variable, value) < 0 ||
                    strv_add_take(&facts->os_release_environment, assignment) < 0)
                        return -ENOMEM;
        }
        return 0;
}

static int read_localtime(struct host_facts *facts)
{
        char target[PATH_MAX];
        ssize_t n = readlink("/etc/localtime", target, sizeof(target) - 1);
        const char *zone;

        if (n < 0) {
                facts->localtime = errno == EINVAL ? LOCALTIME_FILE : LOCALTIME_MISSING;
                return 0;
        }
        target[n] = '\0';
        facts->localtime = LOCALTIME_LINK;
        zone = startswith(target, "/usr/share/zoneinfo/");
        if (!zone)
                zone = startswith(target, "../usr/share/zoneinfo/");
        if (zone && !strstr(zone, "..")) {
                facts->localtime_zone = strdup(zone);
                if (!facts->localtime_zone)
                        return -ENOMEM;
        }
        return 0;
}

static void read_selinux(const struct container_config *c, struct host_facts *facts)
{
        char text[4096];

        if (c->selinux_context || c->selinux_apifs_context)
                facts->selinux =
                        read_text_at(AT_FDCWD, "/proc/filesystems", text, sizeof(text)) >= 0 &&
                        strstr(text, "\tselinuxfs\n");
}

static int read_cpus(const struct container_config *c, struct host_facts *facts)
{
        char text[1024];

        if (!c->cpu_affinity ||
            read_line_at(AT_FDCWD, "/sys/devices/system/cpu/online", text, sizeof(text)) < 0)
                return 0;
        facts->cpus = strdup(text);
        return facts->cpus ? 0 : -ENOMEM;
}

static uint32_t read_map(const char *path)
{
        char text[16384];

        return read_text_at(AT_FDCWD, path, text, sizeof(text)) < 0 ? UINT32_MAX
                                                                    : idmap_count_mapped(text);
}

/* How many ids there are from 0 on without a gap, for users and for groups. */
static uint32_t read_mapped_ids(void)
{
        uint32_t users = read_map("/proc/self/uid_map");

        /* The machine's own user namespace has all. */
        return users == UINT32_MAX ? users : MIN_OF(users, read_map("/proc/self/gid_map"));
}

/* Overlays cannot use trusted.* attributes there. */
static bool is_in_user_namespace(const struct container_config *c)
{
        bool wanted = false;

        for (size_t i = 0; i < c->n_custom_mounts; i++)
                wanted = wanted || c->custom_mounts[i].type == CUSTOM_OVERLAY;
        return wanted && sandbox_is_user_namespace();
}

int host_facts_read(const struct container_config *c, struct host_facts *ret,
                    struct failure *failure)
{
        static const char stub[] = "/run/systemd/resolve/stub-resolv.conf";
        struct stat st;
        struct host_facts facts = {
                .host = host_detect(),
                .user_namespaces = c->userns_mode == USERNS_NO ||
                                   access("/proc/self/ns/user", F_OK) == 0 || errno != ENOENT,
                .time_namespaces =
                        wants_time(c) &&
                        (access("/proc/self/timens_offsets", F_OK) == 0 || errno != ENOENT),
                .stdin_is_terminal = isatty(STDIN_FILENO),
                .stdout_is_terminal = isatty(STDOUT_FILENO),
                .term = getenv("TERM"),
                .colorterm = getenv("COLORTERM"),
                .no_color = getenv("NO_COLOR"),
                .in_user_namespace = is_in_user_namespace(c),
                .has_kcore = access("/proc/kcore", F_OK) == 0,
                .nproc = { RLIM_INFINITY, RLIM_INFINITY },
                .sigpending = { RLIM_INFINITY, RLIM_INFINITY },
        };

        if (c->userns_mode == USERNS_PICK)
                facts.mapped_ids = read_mapped_ids();
        /* Files of /proc that belong to no process belong to the machine's root, whatever ids are
         * mapped to whom in between. */
        if (c->nesting)
                facts.machines_root = stat("/proc/version", &st) < 0 ? 0 : st.st_uid;
        /* A network of its own has name servers of its own. */
        if (!config_network_is_own(&c->network)) {
                facts.has_resolv_conf = access("/etc/resolv.conf", F_OK) == 0;
                facts.resolv_conf_stub = access(stub, F_OK) == 0 ? stub : NULL;
        }
        /* Without privileges these stay unknown; then nothing is started either. */
        (void) prlimit(1, RLIMIT_NPROC, NULL, &facts.nproc);
        (void) prlimit(1, RLIMIT_SIGPENDING, NULL, &facts.sigpending);
        read_nodes(&facts);
        read_selinux(c, &facts);
        if ((wants_network_servers(c) &&
             resolv_conf_read_upstream(&facts.resolv_conf_upstream) < 0) ||
            read_os_release(&facts) < 0 || read_localtime(&facts) < 0 || read_cpus(c, &facts) < 0) {
                host_facts_done(&facts);
                return failure_set(failure, -ENOMEM, "Out of memory.");
        }
        *ret = facts;
        return 0;
}

/* Whether a path in the tree leads nowhere, or to something that is not what it should be. */
static bool is_not_there(int error)
{
        return error == -ENOENT || error == -ENOTDIR || error == -ELOOP || error == -EBADF;
}

static int read_machine_id(struct tree_facts *facts)
{
        char *text CLEANUP_FREE = NULL;
        int r = root_read_file(facts->root_fd, "etc/machine-id", 256, &text, NULL);

        /* A tree without one, or with something else in its place, gets another id. One that could
         * not be read must not: a machine that is somebody else for one boot does harm. */
        if (r < 0)
                return is_not_there(r) || r == -EFBIG ? 0 : r;
        text[strcspn(text, " \n")] = '\0';
        /* Empty and "uninitialized" mean that the guest shall get one (machine-id(5)). */
        facts->machine_id_set =
                id128_parse(text, &facts->machine_id) >= 0 && !id128_is_null(&facts->machine_id);
        return 0;
}

/* 1: it is there; 0: it is not; else an error that does not tell. */
static int tree_has(int fd, const char *path)
{
        int found CLEANUP_FD = root_open_path(fd, path, ROOT_FOLLOW);

        return found >= 0 ? 1 : is_not_there(found) ? 0 : found;
}

static int tree_has_zone(int fd, const char *zone)
{
        char path[PATH_MAX];

        if (!zone ||
            (size_t) snprintf(path, sizeof(path), "usr/share/zoneinfo/%s", zone) >= sizeof(path))
                return 0;
        return tree_has(fd, path);
}

/* Nearly always a directory; what is a link is looked at with care. */
static int tree_has_usr(int fd)
{
        struct stat st;

        if (fstatat(fd, "usr", &st, AT_SYMLINK_NOFOLLOW) < 0)
                return is_not_there(-errno) ? 0 : -errno;
        return S_ISDIR(st.st_mode) ? 1 : tree_has(fd, "usr");
}

static int tree_has_os_release(int fd)
{
        int r = tree_has(fd, "etc/os-release");

        return r != 0 ? r : tree_has(fd, "usr/lib/os-release");
}

/* What a new root directory around the tree's /usr needs to know. */
static int read_usr(struct tree_facts *facts)
{
        struct stat st;

        if (fstatat(facts->root_fd, "bin", &st, AT_SYMLINK_NOFOLLOW) >= 0)
                facts->bin_is_directory = S_ISDIR(st.st_mode);
        else if (errno != ENOENT)
                return -errno;
        for (size_t i = 0; i < N_MERGED_USR_NAMES; i++) {
                char path[16];
                int r;

                (void) snprintf(path, sizeof(path), "usr/%s", merged_usr_names[i]);
                r = tree_has(facts->root_fd, path);
                if (r < 0)
                        return r;
                facts->usr_folders |= (unsigned) r << i;
        }
        return 0;
}

/* What is in the tree, as far as it decides something. */
static int read_content(const struct container_config *c, struct tree_facts *facts,
                        const char *zone)
{
        const struct custom_mount *root = config_root_mount(c);
        int r = tree_has_usr(facts->root_fd);

        if (r < 0)
                return r;
        facts->has_usr = r > 0;
        r = c->start_mode == START_BOOT ? tree_has_os_release(facts->root_fd) : 0;
        if (r < 0)
                return r;
        facts->has_os_release = r > 0;
        r = c->start_mode == START_BOOT ? tree_has_old_systemd(facts->root_fd) : 0;
        if (r < 0)
                return r;
        facts->has_old_systemd = r > 0;
        r = tree_has_zone(facts->root_fd, zone);
        if (r < 0)
                return r;
        facts->has_host_zone = r > 0;
        if (c->volatile_mode == VOLATILE_YES || (root && root->type == CUSTOM_TMPFS))
                return read_usr(facts); /* its /etc is not shown, so neither is its id */
        if (wants_network_servers(c)) {
                r = resolv_conf_read_link(facts->root_fd, &facts->resolv_conf_link);
                if (r < 0)
                        return r;
        }
        return read_machine_id(facts);
}

/* Where an open directory is: without symbolic links, by the kernel's word. */
static char *path_of(int fd)
{
        char link[64], path[PATH_MAX];
        ssize_t n;

        (void) snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
        n = readlink(link, path, sizeof(path));
        if (n < 0)
                return NULL;
        if ((size_t) n == sizeof(path)) {
                errno = ENAMETOOLONG;
                return NULL;
        }
        return strndup(path, (size_t) n);
}

static int read_inode(struct tree_facts *facts)
{
        struct stat st;

        if (fstat(facts->fd, &st) < 0)
                return -errno;
        facts->device = st.st_dev;
        facts->inode = st.st_ino;
        facts->uid = st.st_uid;
        facts->gid = st.st_gid;
        return 0;
}

static int open_pivot_root(const struct container_config *c, struct tree_facts *facts,
                           struct failure *failure)
{
        int fd = root_open(facts->fd, c->pivot_new, O_PATH | O_DIRECTORY, 0);

        if (fd < 0)
                return failure_set(failure, fd,
                                   "Cannot open the directory '%s' of the tree (--pivot-root=): "
                                   "%s.",
                                   c->pivot_new, error_text(fd));
        facts->root_fd = fd;
        return 0;
}

int tree_facts_move(const struct container_config *c, struct tree_facts *facts, int take_fd,
                    struct failure *failure)
{
        char *resolv_conf_link = TAKE_PTR(facts->resolv_conf_link);

        tree_facts_done(facts);
        facts->resolv_conf_link = resolv_conf_link;
        facts->fd = facts->root_fd = take_fd;
        facts->path = path_of(take_fd);
        if (!facts->path || read_inode(facts) < 0)
                return failure_set(failure, -errno, "Cannot look at a new copy of the tree: %s.",
                                   error_text(errno));
        return c->pivot_new ? open_pivot_root(c, facts, failure) : 0;
}

int tree_facts_read(const struct container_config *c, const char *path,
                    const struct host_facts *host, struct tree_facts *ret, struct failure *failure)
{
        int fd CLEANUP_FD = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
        struct tree_facts facts = { .fd = fd, .root_fd = fd, .layer_fd = -1 };
        int r;

        if (fd < 0 || read_inode(&facts) < 0)
                return failure_set(failure, -errno,
                                   "Cannot open the root directory '%s': %s. Check the path given "
                                   "with --directory=.",
                                   path, error_text(errno));
        r = c->pivot_new ? open_pivot_root(c, &facts, failure) : 0;
        if (r < 0)
                return r;
        r = read_content(c, &facts, host->localtime_zone);
        if (r >= 0) {
                facts.path = path_of(fd);
                r = facts.path ? 0 : -errno;
        }
        if (r < 0) {
                bool refused = r == -ENOSYS || r == -EPERM;
                char hint[SANDBOX_HINT_SIZE];

                (void) TAKE_FD(fd);
                tree_facts_done(&facts);
                return failure_set(failure, r, "Cannot look at the root directory '%s': %s. %s%s",
                                   path, error_text(r),
                                   refused ? "The system call openat2(2) is forbidden."
                                           : "It has to be there, and /proc has to be mounted.",
                                   refused ? sandbox_hint(SANDBOX_MOUNTS, hint) : "");
        }
        (void) TAKE_FD(fd);
        *ret = facts;
        return 0;
}

/* A source of the host, or one in the tree, of which no link leads out. */
static int look_at_source(const struct custom_source *source, const struct tree_facts *tree,
                          struct stat *st)
{
        int fd CLEANUP_FD = -1;

        if (source->place == SOURCE_HOST)
                return stat(source->path, st) < 0 ? -errno : 0;
        fd = root_open_path(tree->root_fd, source->path, ROOT_FOLLOW);
        return fd < 0 ? fd : fstat(fd, st) < 0 ? -errno : 0;
}

static int look_at_destination(const struct custom_mount *m, const struct tree_facts *tree,
                               struct source_fact *fact)
{
        int fd CLEANUP_FD = root_open_path(tree->root_fd, m->destination, ROOT_FOLLOW);
        struct stat st;

        if (fd < 0)
                return is_not_there(fd) ? 0 : fd;
        if (fstat(fd, &st) < 0)
                return -errno;
        fact->destination_exists = true;
        fact->destination_uid = st.st_uid;
        fact->destination_gid = st.st_gid;
        return 0;
}

static int source_fact_read(const struct custom_mount *m, const struct custom_source *source,
                            const struct tree_facts *tree, struct source_fact *fact,
                            struct failure *failure)
{
        struct stat st;
        int r;

        if (source->place != SOURCE_TEMPORARY) {
                r = look_at_source(source, tree, &st);
                if (is_not_there(r))
                        return 0;
                if (r < 0)
                        return failure_set(failure, r,
                                           "Cannot look at the source '%s' of '%s': %s.",
                                           source->path, m->origin, error_text(r));
                *fact = (struct source_fact){ .exists = true,
                                              .mode = st.st_mode,
                                              .device = st.st_rdev,
                                              .uid = st.st_uid,
                                              .gid = st.st_gid };
        }
        r = m->idmap == BIND_IDMAP_OWNER ? look_at_destination(m, tree, fact) : 0;
        return r < 0 ? failure_set(failure, r, "Cannot look at the destination '%s' of '%s': %s.",
                                   m->destination, m->origin, error_text(r))
                     : 0;
}

int source_facts_read(const struct container_config *c, const struct tree_facts *tree,
                      struct source_fact **ret, struct failure *failure)
{
        struct source_fact *facts CLEANUP_FREE =
                calloc(MAX_OF(c->n_custom_sources, (size_t) 1), sizeof(*facts));

        if (!facts)
                return failure_set(failure, -ENOMEM, "Out of memory.");
        for (size_t i = 0; i < c->n_custom_mounts; i++) {
                const struct custom_mount *m = &c->custom_mounts[i];

                for (size_t k = 0; k < m->n_sources; k++) {
                        int r = source_fact_read(m, &m->sources[k], tree,
                                                 &facts[m->first_source + k], failure);

                        if (r < 0)
                                return r;
                }
        }
        *ret = TAKE_PTR(facts);
        return 0;
}

int kernel_check(struct failure *failure)
{
        struct utsname name;
        unsigned need_major = 0, need_minor = 0, major_number = 0, minor_number = 0;

        if (uname(&name) < 0 ||
            sscanf(MINIMUM_KERNEL, "%u.%u", &need_major, &need_minor) != 2 || /* NOLINT */
            sscanf(name.release, "%u.%u", &major_number, &minor_number) != 2) /* NOLINT */
                return 0;
        if (major_number > need_major || (major_number == need_major && minor_number >= need_minor))
                return 0;
        return failure_set(failure, -EOPNOTSUPP,
                           "This kernel is Linux %s; Linux %s or newer is needed. Boot a newer "
                           "kernel.",
                           name.release, MINIMUM_KERNEL);
}
