/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The order of the list is the order of attachment, and it follows from three rules: what is
 * mounted on must be there first; what a guest's own tree could shadow comes before what is shown
 * inside it; and what only the container's namespaces can make (proc, sysfs of a private network,
 * the message queues, the cgroups) comes after everything that the host prepared.
 */

#include "nspawn/mount-plan.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "basic/path.h"
#include "nspawn/bind-user.h"
#include "nspawn/etc-files.h"
#include "nspawn/journal-link.h"

#define LOCKED_DOWN (MOUNT_NOSUID | MOUNT_NOEXEC | MOUNT_NODEV)

static void entries_done(struct mount_op *op)
{
        for (size_t i = 0; i < op->n_entries; i++) {
                free(op->entries[i].path);
                free(op->entries[i].text);
        }
        free(op->entries);
}

void mount_plan_done(struct mount_plan *plan)
{
        for (size_t i = 0; i < plan->n_ops; i++) {
                struct mount_op *op = &plan->ops[i];

                entries_done(op);
                for (size_t k = 0; k < op->n_layers; k++)
                        free(op->layers[k].path);
                free(op->layers);
                free(op->source);
                free(op->target);
                free(op->options);
                free(op->why);
        }
        free(plan->ops);
        *plan = (struct mount_plan){ .n_ops = 0 };
}

int mount_plan_find(const struct mount_plan *plan, const char *target)
{
        for (size_t i = 0; i < plan->n_ops; i++)
                if (streq(plan->ops[i].target, target))
                        return (int) i;
        return -1;
}

bool mount_plan_has_new_root(const struct mount_plan *plan)
{
        return plan->n_ops > 0 && plan->ops[0].kind != MOUNT_ROOT;
}

bool mount_op_has_upper(const struct mount_op *op)
{
        return op->kind == MOUNT_LAYERS && !(op->attributes & MOUNT_RDONLY);
}

const char *mount_phase_name(enum mount_phase phase)
{
        static const char *const names[] = {
                [PHASE_PREPARE] = "prepare", [PHASE_MAPPED] = "mapped", [PHASE_INSIDE] = "inside"
        };

        return names[phase];
}

const char *mount_kind_name(enum mount_kind kind)
{
        static const char *const names[] = { [MOUNT_ROOT] = "root",
                                             [MOUNT_OVERLAY] = "overlay",
                                             [MOUNT_TREE] = "tree",
                                             [MOUNT_OLD_ROOT] = "old-root",
                                             [MOUNT_NEW] = "new",
                                             [MOUNT_BIND] = "bind",
                                             [MOUNT_BIND_INSIDE] = "bind-inside",
                                             [MOUNT_CHANGE] = "change",
                                             [MOUNT_LAYERS] = "overlay",
                                             [MOUNT_HIDE] = "hide",
                                             [MOUNT_DETACH] = "detach" };

        return names[kind];
}

void mount_attributes_to_text(unsigned attributes, char *text, size_t size)
{
        (void) snprintf(text, size, "%s%s%s%s%s%s", attributes & MOUNT_RDONLY ? "ro" : "rw",
                        attributes & MOUNT_NOSUID ? ",nosuid" : "",
                        attributes & MOUNT_NODEV ? ",nodev" : "",
                        attributes & MOUNT_NOEXEC ? ",noexec" : "",
                        attributes & MOUNT_STRICTATIME ? ",strictatime" : "",
                        attributes & MOUNT_NOSYMFOLLOW ? ",nosymfollow" : "");
}

/* ---- the builder ------------------------------------------------------------------------- */

struct builder {
        const struct container_config *config;
        const struct host_facts *host;
        const struct tree_facts *tree;
        const struct mount_choices *choices;
        struct mount_plan plan;
        bool failed; /* memory ran out; checked once, at the end */
};

static char *copy_text(struct builder *b, const char *text)
{
        char *copy;

        if (!text)
                return NULL;
        copy = strdup(text);
        if (!copy)
                b->failed = true;
        return copy;
}

static char *format_text(struct builder *b, const char *format, ...) PRINTF_LIKE(2, 3);
static char *format_text(struct builder *b, const char *format, ...)
{
        char *text = NULL;
        va_list ap;

        va_start(ap, format);
        if (vasprintf(&text, format, ap) < 0) {
                text = NULL;
                b->failed = true;
        }
        va_end(ap);
        return text;
}

/* Appends a copy of @op, whose strings are borrowed. Never NULL: after a failed allocation a
 * scratch row is given, which nobody reads. */
static struct mount_op *add(struct builder *b, const struct mount_op *op, struct mount_op *scratch)
{
        struct mount_op *grown =
                realloc(b->plan.ops, (b->plan.n_ops + 1) * sizeof(struct mount_op));
        struct mount_op *row;

        if (!grown) {
                b->failed = true;
                return scratch;
        }
        b->plan.ops = grown;
        row = &grown[b->plan.n_ops++];
        *row = *op;
        row->source = copy_text(b, op->source);
        row->target = copy_text(b, op->target);
        row->options = copy_text(b, op->options);
        row->why = copy_text(b, op->why);
        if (op->kind == MOUNT_NEW && (streq(op->type, "tmpfs") || streq(op->type, "devpts")))
                row->label = b->config->selinux_apifs_context;
        row->entries = NULL;
        row->n_entries = 0;
        row->layers = NULL;
        row->n_layers = 0;
        return row;
}

/* @path and @text are taken. */
static void add_entry(struct builder *b, size_t op_index, struct tree_entry entry)
{
        struct tree_entry *grown;
        struct mount_op *op;

        if (op_index >= b->plan.n_ops || !entry.path)
                goto failed;
        op = &b->plan.ops[op_index];
        grown = realloc(op->entries, (op->n_entries + 1) * sizeof(struct tree_entry));
        if (!grown)
                goto failed;
        op->entries = grown;
        grown[op->n_entries++] = entry;
        return;
failed:
        b->failed = true;
        free(entry.path);
        free(entry.text);
}

static void add_directory(struct builder *b, size_t op, const char *path, mode_t mode)
{
        add_entry(b, op,
                  (struct tree_entry){
                          .kind = ENTRY_DIRECTORY, .mode = mode, .path = copy_text(b, path) });
}

static void add_file(struct builder *b, size_t op, const char *path, mode_t mode, char *text)
{
        add_entry(b, op,
                  (struct tree_entry){ .kind = ENTRY_FILE,
                                       .mode = mode,
                                       .path = copy_text(b, path),
                                       .text = text });
}

static void add_link(struct builder *b, size_t op, const char *path, const char *target)
{
        add_entry(b, op,
                  (struct tree_entry){ .kind = ENTRY_LINK,
                                       .path = copy_text(b, path),
                                       .text = copy_text(b, target) });
}

/* Size and owner of a tmpfs that belongs to the container. */
static char *tmpfs_options(struct builder *b, const char *options)
{
        if (b->choices->uid_base == 0)
                return copy_text(b, options);
        return format_text(b, "%s,uid=%u,gid=%u", options, b->choices->uid_base,
                           b->choices->uid_base);
}

static size_t add_tmpfs(struct builder *b, const char *target, const char *options,
                        unsigned attributes, const char *why)
{
        char *owned CLEANUP_FREE = tmpfs_options(b, options);
        struct mount_op scratch;

        (void) add(b,
                   &(struct mount_op){ .phase = PHASE_PREPARE,
                                       .kind = MOUNT_NEW,
                                       .flags = MOUNT_UNLESS_MOUNTED | MOUNT_MAKE_TARGET,
                                       .attributes = attributes,
                                       .type = "tmpfs",
                                       .source = (char *) "tmpfs",
                                       .target = (char *) target,
                                       .options = owned,
                                       .why = (char *) why },
                   &scratch);
        return b->plan.n_ops - 1;
}

static void add_op(struct builder *b, const struct mount_op *op)
{
        struct mount_op scratch;

        (void) add(b, op, &scratch);
}

/* Who mounts proc and sysfs of the container's namespaces. */
static enum mount_phase api_phase(const struct builder *b)
{
        return b->choices->api_from_outside ? PHASE_MAPPED : PHASE_INSIDE;
}

/* What all of a volatile root that can be written to may take of the host's memory. */
#define VOLATILE_LIMITS "mode=0755,size=25%,nr_inodes=1m"

/* All that a system finds when it starts for the first time, and the links into its /usr. */
static void fill_empty_root(struct builder *b, size_t op)
{
        static const struct {
                const char *path;
                mode_t mode;
        } directories[] = { { "root", 0750 }, { "usr", 0755 }, { "var", 0755 }, { "etc", 0755 },
                            { "proc", 0555 }, { "sys", 0555 }, { "dev", 0555 }, { "run", 0555 } };

        for (size_t i = 0; i < ARRAY_SIZE(directories); i++)
                add_directory(b, op, directories[i].path, directories[i].mode);
        for (size_t i = 0; i < N_MERGED_USR_NAMES; i++) {
                char *target CLEANUP_FREE = format_text(b, "usr/%s", merged_usr_names[i]);

                if (target && b->tree->usr_folders & 1U << i)
                        add_link(b, op, merged_usr_names[i], target);
        }
}

static void plan_empty_root(struct builder *b)
{
        size_t op = add_tmpfs(b, "/", VOLATILE_LIMITS, MOUNT_STRICTATIME, "--volatile=yes");

        if (b->failed)
                return;
        b->plan.ops[op].flags = 0;
        fill_empty_root(b, op);
        add_op(b, &(struct mount_op){ .phase = b->choices->map_root ? PHASE_MAPPED : PHASE_PREPARE,
                                      .kind = MOUNT_TREE,
                                      .attributes = MOUNT_RDONLY,
                                      .propagation = PROPAGATION_PRIVATE,
                                      .depth = MOUNT_RECURSIVE,
                                      .source = (char *) "/usr",
                                      .target = (char *) "/usr",
                                      .why = (char *) "--volatile=yes" });
}

static void plan_overlay_root(struct builder *b, const char *options, const char *why)
{
        add_op(b, &(struct mount_op){ .phase = b->choices->map_root ? PHASE_MAPPED : PHASE_PREPARE,
                                      .kind = MOUNT_OVERLAY,
                                      .propagation = PROPAGATION_PRIVATE,
                                      .source = b->tree->path,
                                      .target = (char *) "/",
                                      .options = (char *) options,
                                      .why = (char *) why });
}

static void plan_tree_root(struct builder *b)
{
        add_op(b, &(struct mount_op){
                          .phase = b->choices->map_root ? PHASE_MAPPED : PHASE_PREPARE,
                          .kind = MOUNT_ROOT,
                          .attributes = config_tree_is_read_only(b->config) ? MOUNT_RDONLY : 0,
                          .propagation = PROPAGATION_PRIVATE,
                          .depth = MOUNT_RECURSIVE,
                          .source = b->tree->path,
                          .target = (char *) "/",
                          .why = (char *) (b->config->directory ? "--directory=" : "machine") });
}

static void plan_root(struct builder *b)
{
        char *options CLEANUP_FREE = NULL;

        switch (b->config->volatile_mode) {
        case VOLATILE_NO:
                if (b->choices->ephemeral == EPHEMERAL_OVERLAY)
                        plan_overlay_root(b, NULL, "--ephemeral");
                else
                        plan_tree_root(b);
                break;
        case VOLATILE_YES:
                plan_empty_root(b);
                break;
        case VOLATILE_STATE:
                plan_tree_root(b);
                options = tmpfs_options(b, VOLATILE_LIMITS);
                add_op(b, &(struct mount_op){ .phase = PHASE_PREPARE,
                                              .kind = MOUNT_NEW,
                                              .attributes = MOUNT_STRICTATIME,
                                              .type = "tmpfs",
                                              .source = (char *) "tmpfs",
                                              .target = (char *) "/var",
                                              .options = options,
                                              .why = (char *) "--volatile=state" });
                break;
        case VOLATILE_OVERLAY:
                plan_overlay_root(b, VOLATILE_LIMITS, "--volatile=overlay");
                break;
        }
}

/* What --pivot-root= has moved away, seen from the new root. */
static void plan_old_root(struct builder *b)
{
        if (b->config->pivot_old)
                add_op(b,
                       &(struct mount_op){
                               .phase = b->choices->map_root ? PHASE_MAPPED : PHASE_PREPARE,
                               .kind = MOUNT_OLD_ROOT,
                               .flags = MOUNT_MAKE_TARGET,
                               .attributes = config_tree_is_read_only(b->config) ? MOUNT_RDONLY : 0,
                               .propagation = PROPAGATION_PRIVATE,
                               .depth = MOUNT_RECURSIVE,
                               .source = b->tree->path,
                               .target = b->config->pivot_old,
                               .why = (char *) "--pivot-root=" });
}

static void plan_sys(struct builder *b)
{
        static const char *const parts[] = { "block", "bus", "class", "dev", "devices", "kernel" };
        size_t op;

        if (!config_network_is_own(&b->config->network) && b->config->api_vfs != API_VFS_NETWORK) {
                add_op(b, &(struct mount_op){ .phase = PHASE_PREPARE,
                                              .kind = MOUNT_NEW,
                                              .flags = MOUNT_UNLESS_MOUNTED | MOUNT_MAKE_TARGET |
                                                       MOUNT_OR_OURS,
                                              .attributes = b->config->api_vfs == API_VFS_WRITABLE
                                                                    ? LOCKED_DOWN
                                                                    : MOUNT_RDONLY | LOCKED_DOWN,
                                              .type = "sysfs",
                                              .source = (char *) "sysfs",
                                              .target = (char *) "/sys",
                                              .why = (char *) "default" });
                return;
        }
        /* With a network of its own the container may change what belongs to it: the rest is
         * shown read-only, piece by piece, in a small tmpfs. */
        op = add_tmpfs(b, "/sys", "mode=0555,size=4m,nr_inodes=1k", LOCKED_DOWN,
                       "default with a private network");
        add_directory(b, op, "full", 0555);
        for (size_t i = 0; i < ARRAY_SIZE(parts); i++)
                add_directory(b, op, parts[i], 0555);
        add_directory(b, op, "fs", 0555);
        add_directory(b, op, "fs/cgroup", 0555);
}

/* What an old systemd expects: a folder for hierarchies, and its own one in it. Its limits are out of
 * its sight. */
static void plan_old_cgroups(struct builder *b)
{
        size_t op;

        if (!b->choices->named_hierarchy)
                return;
        op = add_tmpfs(b, "/sys/fs/cgroup", "mode=0755,size=4m,nr_inodes=1k", LOCKED_DOWN,
                       "an init that needs control groups of version 1");
        if (op < b->plan.n_ops)
                b->plan.ops[op].flags = MOUNT_OWN_TARGET;
        add_directory(b, op, "systemd", 0555);
}

static void plan_cgroups(struct builder *b)
{
        bool named = b->choices->named_hierarchy;

        add_op(b, &(struct mount_op){
                          .phase = PHASE_INSIDE,
                          .kind = MOUNT_NEW,
                          .flags = MOUNT_OWN_TARGET | MOUNT_AT_ONCE,
                          .attributes = LOCKED_DOWN,
                          .type = named ? "cgroup" : "cgroup2",
                          .source = (char *) "cgroup",
                          .target = (char *) (named ? "/sys/fs/cgroup/systemd" : "/sys/fs/cgroup"),
                          .options = (char *) (named ? "none,name=systemd" : NULL),
                          .why = (char *) (named ? "an init that needs control groups of version 1"
                                                 : "default") });
}

/* The pieces of sysfs, once the network namespace is there to make one for. */
static void plan_sys_parts(struct builder *b)
{
        static const char *const parts[] = { "block", "bus", "class", "dev", "devices", "kernel" };

        if (!config_network_is_own(&b->config->network) && b->config->api_vfs != API_VFS_NETWORK)
                return;
        add_op(b, &(struct mount_op){ .phase = api_phase(b),
                                      .kind = MOUNT_NEW,
                                      .flags = MOUNT_OWN_TARGET,
                                      .attributes = MOUNT_RDONLY | LOCKED_DOWN,
                                      .type = "sysfs",
                                      .source = (char *) "sysfs",
                                      .target = (char *) "/sys/full",
                                      .why = (char *) "default with a private network" });
        for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
                char *from CLEANUP_FREE = format_text(b, "/sys/full/%s", parts[i]);
                char *to CLEANUP_FREE = format_text(b, "/sys/%s", parts[i]);

                add_op(b, &(struct mount_op){ .phase = PHASE_INSIDE,
                                              .kind = MOUNT_BIND_INSIDE,
                                              .flags = MOUNT_OPTIONAL | MOUNT_INHERITS |
                                                       MOUNT_OWN_TARGET,
                                              .attributes = MOUNT_RDONLY | LOCKED_DOWN,
                                              .source = from,
                                              .target = to,
                                              .why = (char *) "default with a private network" });
        }
        add_op(b, &(struct mount_op){ .phase = PHASE_INSIDE,
                                      .kind = MOUNT_DETACH,
                                      .target = (char *) "/sys/full",
                                      .why = (char *) "only its parts are shown" });
        add_op(b, &(struct mount_op){ .phase = PHASE_INSIDE,
                                      .kind = MOUNT_CHANGE,
                                      .attributes = MOUNT_RDONLY,
                                      .target = (char *) "/sys",
                                      .why = (char *) "default with a private network" });
}

static void plan_nodes(struct builder *b, size_t op)
{
        for (size_t i = 0; i < N_STANDARD_NODES; i++) {
                const struct node_fact *node = &b->host->nodes[i];
                char *path CLEANUP_FREE = NULL, *to CLEANUP_FREE = NULL;

                if (!node->exists)
                        continue;
                add_entry(b, op,
                          (struct tree_entry){ .kind = ENTRY_DEVICE,
                                               .mode = S_IFCHR | node->mode,
                                               .device = node->device,
                                               .path = copy_text(b, node->name) });
                path = format_text(b, "char/%u:%u", major(node->device), minor(node->device));
                to = format_text(b, "../%s", node->name);
                if (path && to)
                        add_link(b, op, path, to);
        }
}

static void plan_dev(struct builder *b)
{
        static const char *const directories[] = { "char", "mqueue", "net", "pts", "shm" };
        static const struct {
                const char *path, *target;
        } links[] = { { "fd", "/proc/self/fd" },
                      { "stdin", "/proc/self/fd/0" },
                      { "stdout", "/proc/self/fd/1" },
                      { "stderr", "/proc/self/fd/2" },
                      { "ptmx", "pts/ptmx" } };
        char *pts_options CLEANUP_FREE =
                format_text(b, "ptmxmode=0666,mode=0620,gid=%u", b->choices->tty_gid);
        size_t op = add_tmpfs(b, "/dev", "mode=0755,size=4m,nr_inodes=64k",
                              MOUNT_NOSUID | MOUNT_STRICTATIME, "default");

        for (size_t i = 0; i < ARRAY_SIZE(directories); i++)
                add_directory(b, op, directories[i], 0755);
        plan_nodes(b, op);
        for (size_t i = 0; i < ARRAY_SIZE(links); i++)
                add_link(b, op, links[i].path, links[i].target);
        if (b->host->has_kcore)
                add_link(b, op, "core", "/proc/kcore");
        if (b->choices->pty)
                add_link(b, op, "console", "pts/0");

        add_op(b,
               &(struct mount_op){ .phase = PHASE_INSIDE,
                                   .kind = MOUNT_NEW,
                                   .flags = MOUNT_UNLESS_MOUNTED | MOUNT_OWN_TARGET | MOUNT_AT_ONCE,
                                   .attributes = MOUNT_NOSUID | MOUNT_NODEV | MOUNT_STRICTATIME,
                                   .type = "tmpfs",
                                   .source = (char *) "tmpfs",
                                   .target = (char *) "/dev/shm",
                                   .options = (char *) "mode=01777,size=10%,nr_inodes=400k",
                                   .why = (char *) "default" });
        add_op(b, &(struct mount_op){ .phase = PHASE_PREPARE,
                                      .kind = MOUNT_NEW,
                                      .flags = MOUNT_UNLESS_MOUNTED | MOUNT_OWN_TARGET |
                                               MOUNT_GIVE_TERMINALS,
                                      .attributes = MOUNT_NOSUID | MOUNT_NOEXEC,
                                      .type = "devpts",
                                      .source = (char *) "devpts",
                                      .target = (char *) "/dev/pts",
                                      .options = pts_options,
                                      .why = (char *) "default" });
}

static void plan_run_files(struct builder *b, size_t op)
{
        static const struct {
                const char *name;
                enum entry_kind kind;
                mode_t mode;
        } inaccessible[] = { { "reg", ENTRY_FILE, 0 },         { "dir", ENTRY_DIRECTORY, 0 },
                             { "fifo", ENTRY_FIFO, 0 },        { "sock", ENTRY_DEVICE, S_IFSOCK },
                             { "chr", ENTRY_DEVICE, S_IFCHR }, { "blk", ENTRY_DEVICE, S_IFBLK } };
        char uuid[ID128_TEXT_SIZE], boot_id[ID128_TEXT_SIZE];

        id128_to_uuid(&b->choices->uuid, uuid);
        id128_to_uuid(&b->choices->boot_id, boot_id);
        add_directory(b, op, "host", 0755);
        add_directory(b, op, "host/inaccessible", 0755);
        for (size_t i = 0; i < ARRAY_SIZE(inaccessible); i++)
                add_entry(b, op,
                          (struct tree_entry){ .kind = inaccessible[i].kind,
                                               .mode = inaccessible[i].mode,
                                               .path = format_text(b, "host/inaccessible/%s",
                                                                   inaccessible[i].name) });
        add_file(b, op, "host/container-manager", 0444,
                 format_text(b, "%s\n", b->choices->service));
        add_file(b, op, "host/container-uuid", 0444, format_text(b, "%s\n", uuid));
        add_file(b, op, "host/os-release", 0444, NULL);
        add_directory(b, op, "host/incoming", 0600);
        if (b->config->nesting) {
                add_directory(b, op, "host/nesting", 0755);
                add_directory(b, op, "host/nesting/proc", 0555);
                add_directory(b, op, "host/nesting/sys", 0555);
        }
        if (b->config->n_credentials > 0)
                add_directory(b, op, "host/credentials", 0700);
        add_file(b, op, "host/proc-sys-kernel-random-boot-id", 0444,
                 format_text(b, "%s\n", boot_id));
        add_entry(b, op,
                  (struct tree_entry){ .kind = ENTRY_FIFO,
                                       .mode = 0600,
                                       .path = copy_text(b, "host/proc-kmsg") });
        add_entry(b, op,
                  (struct tree_entry){ .kind = ENTRY_SOCKET,
                                       .mode = 0200,
                                       .path = copy_text(b, "host/notify") });
}

/* Name servers, where they are found by a mount, or by a link of the tree that leads here. */
static void plan_servers(struct builder *b, size_t op)
{
        const struct etc_plan *etc = b->choices->etc;
        const char *path;

        if (!etc || (etc->resolv_conf != ETC_NETWORK_BIND && etc->resolv_conf != ETC_NETWORK_RUN))
                return;
        path = etc->resolv_conf == ETC_NETWORK_BIND ? "host/resolv.conf" : etc->resolv_conf_link;
        for (const char *slash = strchr(path, '/'); slash; slash = strchr(slash + 1, '/')) {
                char *parent CLEANUP_FREE = format_text(b, "%.*s", (int) (slash - path), path);

                if (parent && !streq(parent, "host"))
                        add_directory(b, op, parent, 0755);
        }
        add_file(b, op, path, 0644, copy_text(b, etc->resolv_conf_text));
}

/* @record is emptied. */
static void add_record(struct builder *b, size_t op, const struct bound_user *user,
                       const char *suffix, mode_t mode, struct strbuf *record)
{
        char *path CLEANUP_FREE = format_text(b, "host/userdb/%s.%s", user->name, suffix);
        char *by_number CLEANUP_FREE =
                format_text(b, "host/userdb/%u.%s", (unsigned) user->inside, suffix);
        char *target CLEANUP_FREE = format_text(b, "%s.%s", user->name, suffix);
        char *text = strbuf_take(record);

        if (!text || !path || !by_number || !target) {
                b->failed = true;
                free(text);
                return;
        }
        add_file(b, op, path, mode, text);
        add_link(b, op, by_number, target);
}

static void add_memberships(struct builder *b, size_t op, const struct bound_user *user)
{
        char *const *groups = b->config->bind_user_groups;

        for (size_t i = 0; groups && groups[i]; i++) {
                char *path CLEANUP_FREE =
                        format_text(b, "host/userdb/%s:%s.membership", user->name, groups[i]);

                if (path)
                        add_file(b, op, path, 0644, copy_text(b, "{}\n"));
        }
}

/* The records of the host's users, and where their homes will be. */
static void plan_user_files(struct builder *b, size_t op)
{
        const struct bound_users *users = b->choices->users;

        if (!users || users->n == 0)
                return;
        add_directory(b, op, "host/home", 0755);
        add_directory(b, op, "host/userdb", 0755);
        for (size_t i = 0; i < users->n; i++) {
                const struct bound_user *user = &users->list[i];
                char *home CLEANUP_FREE = format_text(b, "host/home/%s", user->name);
                struct strbuf record CLEANUP_STRBUF = STRBUF_NULL;

                if (home)
                        add_directory(b, op, home, 0755);
                bound_user_record(user, b->config, &record);
                add_record(b, op, user, "user", 0644, &record);
                if (user->password) {
                        bound_user_privileged_record(user, &record);
                        add_record(b, op, user, "user-privileged", 0600, &record);
                }
                bound_user_group_record(user, &record);
                add_record(b, op, user, "group", 0644, &record);
                add_memberships(b, op, user);
        }
}

static void plan_homes(struct builder *b)
{
        const struct bound_users *users = b->choices->users;

        for (size_t i = 0; users && i < users->n; i++) {
                const struct bound_user *user = &users->list[i];
                char *target CLEANUP_FREE = format_text(b, "/run/host/home/%s", user->name);
                char *why CLEANUP_FREE = format_text(b, "--bind-user=%s", user->name);
                uint32_t shown = b->choices->uid_base + user->inside;

                add_op(b, &(struct mount_op){ .phase = PHASE_PREPARE,
                                              .kind = MOUNT_BIND,
                                              .flags = MOUNT_OWN_TARGET,
                                              .attributes = MOUNT_NOSUID | MOUNT_NODEV,
                                              .propagation = PROPAGATION_PRIVATE,
                                              .source = user->home,
                                              .target = target,
                                              .why = why,
                                              .owner = { .is_set = true,
                                                         .uid = user->uid,
                                                         .gid = user->gid,
                                                         .shown_uid = shown,
                                                         .shown_gid = shown } });
        }
}

static void plan_run(struct builder *b)
{
        char *incoming CLEANUP_FREE =
                format_text(b, "/run/systemd/nspawn/propagate/%s", b->choices->machine);
        size_t op = add_tmpfs(b, "/run", "mode=0755,size=20%,nr_inodes=800k",
                              MOUNT_NOSUID | MOUNT_NODEV | MOUNT_STRICTATIME, "default");

        plan_run_files(b, op);
        plan_user_files(b, op);
        plan_servers(b, op);
        if (b->config->forward_journal) {
                add_directory(b, op, "host/journal", 0755);
                add_entry(b, op,
                          (struct tree_entry){ .kind = ENTRY_JOURNAL_SOCKET,
                                               .mode = 0600,
                                               .path = copy_text(b, "host/journal/socket") });
        }
        add_op(b, &(struct mount_op){ .phase = PHASE_INSIDE,
                                      .kind = MOUNT_BIND_INSIDE,
                                      .flags = MOUNT_OWN_TARGET,
                                      .attributes = MOUNT_RDONLY | LOCKED_DOWN,
                                      .source = (char *) "/run/host",
                                      .target = (char *) "/run/host",
                                      .why = (char *) "default" });
        if (b->host->os_release_path)
                add_op(b, &(struct mount_op){ .phase = PHASE_PREPARE,
                                              .kind = MOUNT_BIND,
                                              .flags = MOUNT_OWN_TARGET,
                                              .attributes = MOUNT_RDONLY | LOCKED_DOWN,
                                              .propagation = PROPAGATION_PRIVATE,
                                              .source = (char *) b->host->os_release_path,
                                              .target = (char *) "/run/host/os-release",
                                              .why = (char *) "default" });
        add_op(b, &(struct mount_op){ .phase = PHASE_PREPARE,
                                      .kind = MOUNT_BIND,
                                      .flags = MOUNT_OWN_TARGET,
                                      .attributes = MOUNT_RDONLY,
                                      .propagation = PROPAGATION_SLAVE,
                                      .source = incoming,
                                      .target = (char *) "/run/host/incoming",
                                      .why = (char *) "default: mounts added while running" });
        plan_homes(b);
}

/* In memory that is never swapped, and that nobody can write to any more. */
static void plan_credentials(struct builder *b)
{
        const struct container_config *c = b->config;
        bool for_all = b->choices->credentials_for_all;
        size_t op;

        if (c->n_credentials == 0)
                return;
        add_op(b, &(struct mount_op){ .phase = PHASE_PREPARE,
                                      .kind = MOUNT_NEW,
                                      .flags = MOUNT_OWN_TARGET | MOUNT_SEALED,
                                      .attributes = MOUNT_RDONLY | LOCKED_DOWN,
                                      .type = "ramfs",
                                      .source = (char *) "ramfs",
                                      .target = (char *) CREDENTIALS_FOLDER,
                                      .options = (char *) "mode=0700",
                                      .why = (char *) "credentials",
                                      .root_mode = for_all ? 0555 : 0500 });
        op = b->plan.n_ops - 1;
        for (size_t i = 0; i < c->n_credentials; i++)
                add_entry(b, op,
                          (struct tree_entry){ .kind = ENTRY_BYTES,
                                               .mode = for_all ? 0444 : 0400,
                                               .path = copy_text(b, c->credentials[i].id),
                                               .bytes = b->choices->credentials
                                                                ? &b->choices->credentials[i]
                                                                : NULL });
}

static bool goes_into_api(const struct custom_mount *m)
{
        return path_is_below(m->destination, "/proc") || path_is_below(m->destination, "/sys");
}

/* Parents before what is inside them; of the same target the later one is on top. */
static int compare_custom(const void *a, const void *b)
{
        const struct custom_mount *const *x = a, *const *y = b;
        const char *p = (*x)->destination, *q = (*y)->destination;

        while (*p && *p == *q) {
                p++;
                q++;
        }
        if (*p != *q) {
                unsigned c = *p == '/' ? 1U : (unsigned char) *p,
                         d = *q == '/' ? 1U : (unsigned char) *q;

                return c < d ? -1 : 1;
        }
        return (*x > *y) - (*x < *y);
}

/* ---- what was asked for ------------------------------------------------------------------ */

/* The path of a source; of a temporary one its name in the scratch folder. */
static char *source_path(struct builder *b, const struct custom_mount *m, size_t i)
{
        if (m->sources[i].place != SOURCE_TEMPORARY)
                return copy_text(b, m->sources[i].path);
        return format_text(b, "%zu", b->plan.n_temporary++);
}

/* As whom the container shows the destination's owner, in ids of the host. */
static uint32_t shown_destination_id(const struct mount_choices *choices, bool exists, uint32_t id)
{
        if (!exists)
                return choices->uid_base; /* it will be made, for root */
        if (!choices->user_namespace)
                return id;
        if (choices->map_root)
                return choices->uid_base + (id < IDMAP_DEFAULT_COUNT ? id : 0);
        if (choices->ownership == OWNERSHIP_CHOWN)
                return choices->uid_base + id % IDMAP_DEFAULT_COUNT;
        return id;
}

static struct mount_owner decide_owner_map(const struct builder *b, const struct custom_mount *m)
{
        const struct mount_choices *choices = b->choices;
        const struct source_fact *fact = &choices->sources[m->first_source];
        struct mount_owner map = { .is_set = true,
                                   .uid = fact->uid,
                                   .gid = fact->gid,
                                   .shown_uid = choices->uid_base,
                                   .shown_gid = choices->uid_base };

        if (m->idmap == BIND_IDMAP_OWNER) {
                map.shown_uid = shown_destination_id(choices, fact->destination_exists,
                                                     fact->destination_uid);
                map.shown_gid = shown_destination_id(choices, fact->destination_exists,
                                                     fact->destination_gid);
        }
        return map;
}

/* What is a part of a tree that is not to be changed is not changed at another place, either. */
static bool stays_as_it_is(const struct builder *b, const struct custom_source *source)
{
        bool below_a_layer = b->choices->ephemeral == EPHEMERAL_OVERLAY ||
                             b->choices->ephemeral == EPHEMERAL_VIEW;

        return source->place == SOURCE_TREE &&
               (config_tree_is_read_only(b->config) || below_a_layer);
}

static void plan_bind(struct builder *b, const struct custom_mount *m, unsigned flags)
{
        char *source CLEANUP_FREE = source_path(b, m, 0);
        struct mount_op op = { .kind = MOUNT_BIND,
                               .flags = flags,
                               .attributes = m->read_only || stays_as_it_is(b, &m->sources[0])
                                                     ? MOUNT_RDONLY
                                                     : 0,
                               .propagation = PROPAGATION_SLAVE,
                               .depth = m->recursive ? MOUNT_RECURSIVE : MOUNT_ONE,
                               .place = m->sources[0].place,
                               .source = source,
                               .target = m->destination,
                               .why = m->origin };

        if (m->idmap == BIND_IDMAP_ROOT || m->idmap == BIND_IDMAP_OWNER) {
                /* What is made for the container belongs to its root already. */
                if (op.place != SOURCE_TEMPORARY)
                        op.owner = decide_owner_map(b, m);
        } else if (b->choices->user_namespace && op.place != SOURCE_TEMPORARY &&
                   (m->idmap == BIND_IDMAP_ALL ||
                    (op.place == SOURCE_TREE && b->choices->map_root)))
                op.phase = PHASE_MAPPED;
        add_op(b, &op);
}

static void plan_overlay(struct builder *b, const struct custom_mount *m, unsigned flags)
{
        struct mount_op scratch, *op;
        struct mount_layer *layers = calloc(m->n_sources, sizeof(*layers));

        for (size_t i = 0; i < m->n_sources && b->choices->map_root; i++)
                if (m->sources[i].place == SOURCE_TREE)
                        flags |= MOUNT_MAP_TREE;
        op = add(b,
                 &(struct mount_op){ .kind = MOUNT_LAYERS,
                                     .flags = flags,
                                     .attributes = m->read_only ? MOUNT_RDONLY : 0,
                                     .source = (char *) "overlay",
                                     .target = m->destination,
                                     /* Only the kernel's own root may use the other ones. */
                                     .options = b->host->in_user_namespace ? (char *) "userxattr"
                                                                           : NULL,
                                     .why = m->origin },
                 &scratch);
        if (!layers || op == &scratch) {
                b->failed = true;
                free(layers);
                return;
        }
        for (size_t i = 0; i < m->n_sources; i++)
                layers[i] = (struct mount_layer){ .place = m->sources[i].place,
                                                  .path = source_path(b, m, i) };
        op->layers = layers;
        op->n_layers = m->n_sources;
}

static void plan_custom_tmpfs(struct builder *b, const struct custom_mount *m, unsigned flags)
{
        char *options CLEANUP_FREE = tmpfs_options(b, m->options ? m->options : "mode=0755");

        add_op(b, &(struct mount_op){ .phase = PHASE_PREPARE,
                                      .kind = MOUNT_NEW,
                                      .flags = flags,
                                      .attributes = MOUNT_NODEV | MOUNT_STRICTATIME,
                                      .type = "tmpfs",
                                      .source = (char *) "tmpfs",
                                      .target = m->destination,
                                      .options = options,
                                      .why = m->origin });
}

static void plan_one_custom(struct builder *b, const struct custom_mount *m, unsigned flags)
{
        switch (m->type) {
        case CUSTOM_BIND:
                plan_bind(b, m, flags);
                break;
        case CUSTOM_OVERLAY:
                plan_overlay(b, m, flags);
                break;
        case CUSTOM_TMPFS:
                plan_custom_tmpfs(b, m, flags);
                break;
        case CUSTOM_INACCESSIBLE:
                add_op(b, &(struct mount_op){ .phase = PHASE_INSIDE,
                                              .kind = MOUNT_HIDE,
                                              .attributes = MOUNT_RDONLY | LOCKED_DOWN,
                                              .target = m->destination,
                                              .why = m->origin });
                break;
        }
}

/* An empty root gets what every tree has, so that it needs no more than a /usr. */
static void plan_custom_root(struct builder *b, const struct custom_mount *m)
{
        plan_one_custom(b, m, 0);
        if (m->type == CUSTOM_TMPFS && !b->failed)
                fill_empty_root(b, 0);
}

/* @into_api: those below /proc and /sys, which come after these are mounted. */
static void plan_custom(struct builder *b, bool into_api)
{
        size_t n = b->config->n_custom_mounts;
        const struct custom_mount **sorted CLEANUP_FREE = calloc(n + 1, sizeof(void *));

        if (!sorted) {
                b->failed = true;
                return;
        }
        for (size_t i = 0; i < n; i++)
                sorted[i] = &b->config->custom_mounts[i];
        qsort(sorted, n, sizeof(void *), compare_custom);
        for (size_t i = 0; i < n; i++)
                if (goes_into_api(sorted[i]) == into_api && !streq(sorted[i]->destination, "/"))
                        plan_one_custom(b, sorted[i], MOUNT_MAKE_TARGET);
}

/* Files of the host shown in /etc where the tree cannot be written. */
static void plan_etc(struct builder *b)
{
        const struct etc_plan *etc = b->choices->etc;
        char *timezone CLEANUP_FREE =
                format_text(b, "--timezone=%s", timezone_mode_name(b->config->timezone));
        char *resolv_conf CLEANUP_FREE =
                format_text(b, "--resolv-conf=%s", resolv_conf_mode_name(b->config->resolv_conf));

        if (!etc)
                return;
        if (etc->localtime == ETC_BIND)
                add_op(b,
                       &(struct mount_op){ .phase = PHASE_PREPARE,
                                           .kind = MOUNT_BIND,
                                           .flags = MOUNT_TOLERATED | MOUNT_MAKE_TARGET,
                                           .attributes = MOUNT_RDONLY | MOUNT_NOSUID | MOUNT_NODEV,
                                           .propagation = PROPAGATION_PRIVATE,
                                           .source = (char *) "/etc/localtime",
                                           .target = (char *) "/etc/localtime",
                                           .why = timezone });
        if (etc->resolv_conf == ETC_BIND)
                add_op(b, &(struct mount_op){
                                  .phase = PHASE_PREPARE,
                                  .kind = MOUNT_BIND,
                                  .flags = MOUNT_TOLERATED | MOUNT_MAKE_TARGET | MOUNT_NOFOLLOW,
                                  .attributes = MOUNT_RDONLY | MOUNT_NOSUID | MOUNT_NODEV,
                                  .propagation = PROPAGATION_PRIVATE,
                                  .source = (char *) etc->resolv_conf_source,
                                  .target = (char *) "/etc/resolv.conf",
                                  .why = resolv_conf });
        if (etc->resolv_conf == ETC_NETWORK_BIND)
                add_op(b, &(struct mount_op){ .phase = PHASE_INSIDE,
                                              .kind = MOUNT_BIND_INSIDE,
                                              .flags = MOUNT_TOLERATED | MOUNT_MAKE_TARGET |
                                                       MOUNT_NOFOLLOW | MOUNT_OF_FILE,
                                              .attributes = MOUNT_RDONLY | LOCKED_DOWN,
                                              .source = (char *) "/run/host/resolv.conf",
                                              .target = (char *) "/etc/resolv.conf",
                                              .why = resolv_conf });
}

/*
 * The host's folder for the journal of this container. Whatever the guest puts there is data: that it
 * belongs to root of the host must not make it more.
 */
static void plan_journal(struct builder *b)
{
        const struct journal_plan *journal = b->choices->journal;

        if (!journal || journal->way != JOURNAL_OF_HOST)
                return;
        add_op(b, &(struct mount_op){
                          .phase = b->choices->user_namespace ? PHASE_MAPPED : PHASE_PREPARE,
                          .kind = MOUNT_BIND,
                          .flags = MOUNT_MAKE_TARGET | MOUNT_NOFOLLOW |
                                   (journal->try ? MOUNT_OPTIONAL | MOUNT_TOLERATED : 0),
                          .attributes = LOCKED_DOWN,
                          .propagation = PROPAGATION_PRIVATE,
                          .source = (char *) journal->path,
                          .target = (char *) journal->path,
                          .why = (char *) "--link-journal=" });
}

/* A read-only view of a part of /proc, as a mount of its own on itself. */
static void add_proc_part(struct builder *b, const char *source, const char *target,
                          unsigned attributes, unsigned flags)
{
        add_op(b, &(struct mount_op){ .phase = PHASE_INSIDE,
                                      .kind = MOUNT_BIND_INSIDE,
                                      .flags = flags | MOUNT_OWN_TARGET,
                                      .attributes = attributes,
                                      .source = (char *) source,
                                      .target = (char *) target,
                                      .why = (char *) "default: protects the host's kernel" });
}

static void plan_proc(struct builder *b)
{
        static const char *const hidden[] = { "kallsyms", "kcore", "keys", "sysrq-trigger",
                                              "timer_list" };
        static const char *const read_only[] = {
                "acpi", "apm", "asound", "bus", "fs", "irq", "scsi"
        };

        add_op(b, &(struct mount_op){ .phase = api_phase(b),
                                      .kind = MOUNT_NEW,
                                      .flags = MOUNT_MAKE_TARGET,
                                      .attributes = LOCKED_DOWN,
                                      .type = "proc",
                                      .source = (char *) "proc",
                                      .target = (char *) "/proc",
                                      .why = (char *) "default" });
        if (b->config->api_vfs == API_VFS_WRITABLE)
                return;
        add_op(b, &(struct mount_op){ .phase = PHASE_INSIDE,
                                      .kind = MOUNT_BIND_INSIDE,
                                      .flags = MOUNT_OWN_TARGET,
                                      .attributes = MOUNT_RDONLY | LOCKED_DOWN,
                                      .source = (char *) "/proc/sys",
                                      .target = (char *) "/proc/sys",
                                      .why = (char *) "default: protects the host's kernel" });
        if (config_network_is_own(&b->config->network) || b->config->api_vfs == API_VFS_NETWORK)
                add_op(b, &(struct mount_op){ .phase = PHASE_INSIDE,
                                              .kind = MOUNT_BIND_INSIDE,
                                              .flags = MOUNT_OPTIONAL | MOUNT_OWN_TARGET,
                                              .attributes = LOCKED_DOWN,
                                              .source = (char *) "/proc/sys/net",
                                              .target = (char *) "/proc/sys/net",
                                              .why = (char *) "default with a private network" });
        for (size_t i = 0; i < ARRAY_SIZE(hidden); i++) {
                char *target CLEANUP_FREE = format_text(b, "/proc/%s", hidden[i]);

                if (target)
                        add_proc_part(b, "/run/host/inaccessible/reg", target,
                                      MOUNT_RDONLY | LOCKED_DOWN,
                                      MOUNT_OPTIONAL | MOUNT_TOLERATED | MOUNT_INHERITS);
        }
        for (size_t i = 0; i < ARRAY_SIZE(read_only); i++) {
                char *target CLEANUP_FREE = format_text(b, "/proc/%s", read_only[i]);

                if (target)
                        add_proc_part(b, target, target, MOUNT_RDONLY | LOCKED_DOWN,
                                      MOUNT_OPTIONAL | MOUNT_TOLERATED);
        }
}

/*
 * In a user namespace of its own a container inside gets a new proc or sysfs only if its maker can
 * see one of which no part is covered, as ours are for good reasons. So a second one of each is
 * shown, at a place where nobody looks. What it gives away belongs to the machine's root, who is
 * nobody in here (check_nesting()).
 */
static void plan_nesting(struct builder *b)
{
        if (!b->config->nesting)
                return;
        add_op(b, &(struct mount_op){ .phase = api_phase(b),
                                      .kind = MOUNT_NEW,
                                      .flags = MOUNT_OWN_TARGET,
                                      .attributes = LOCKED_DOWN,
                                      .type = "proc",
                                      .source = (char *) "proc",
                                      .target = (char *) "/run/host/nesting/proc",
                                      .why = (char *) "--nesting" });
        add_op(b, &(struct mount_op){ .phase = config_network_is_own(&b->config->network)
                                                       ? api_phase(b)
                                                       : PHASE_PREPARE,
                                      .kind = MOUNT_NEW,
                                      .flags = MOUNT_OWN_TARGET | MOUNT_OR_OURS,
                                      .attributes = LOCKED_DOWN,
                                      .type = "sysfs",
                                      .source = (char *) "sysfs",
                                      .target = (char *) "/run/host/nesting/sys",
                                      .why = (char *) "--nesting" });
}

static void plan_inside(struct builder *b)
{
        plan_proc(b);
        plan_nesting(b);
        plan_sys_parts(b);
        add_op(b, &(struct mount_op){ .phase = PHASE_INSIDE,
                                      .kind = MOUNT_NEW,
                                      .flags = MOUNT_TOLERATED | MOUNT_OWN_TARGET | MOUNT_AT_ONCE,
                                      .attributes = LOCKED_DOWN,
                                      .type = "mqueue",
                                      .source = (char *) "mqueue",
                                      .target = (char *) "/dev/mqueue",
                                      .why = (char *) "default" });
        plan_cgroups(b);
        add_op(b, &(struct mount_op){ .phase = PHASE_INSIDE,
                                      .kind = MOUNT_BIND_INSIDE,
                                      .flags = MOUNT_INHERITS | MOUNT_OWN_TARGET,
                                      .attributes = MOUNT_RDONLY | LOCKED_DOWN,
                                      .source = (char *) "/run/host/proc-sys-kernel-random-boot-id",
                                      .target = (char *) "/proc/sys/kernel/random/boot_id",
                                      .why = (char *) "default: each boot has an id of its own" });
        add_op(b, &(struct mount_op){ .phase = PHASE_INSIDE,
                                      .kind = MOUNT_BIND_INSIDE,
                                      .flags = MOUNT_OWN_TARGET,
                                      .attributes = MOUNT_NOSUID | MOUNT_NODEV,
                                      .source = (char *) "/run/host/proc-kmsg",
                                      .target = (char *) "/proc/kmsg",
                                      .why = (char *) "default: hides the host's kernel log" });
        plan_custom(b, true);
        add_op(b, &(struct mount_op){ .phase = PHASE_INSIDE,
                                      .kind = MOUNT_CHANGE,
                                      .propagation = PROPAGATION_SHARED,
                                      .depth = MOUNT_RECURSIVE,
                                      .target = (char *) "/",
                                      .why = (char *) "default: as systemd expects it" });
        add_op(b, &(struct mount_op){ .phase = PHASE_INSIDE,
                                      .kind = MOUNT_CHANGE,
                                      .propagation = PROPAGATION_SLAVE,
                                      .target = (char *) "/run/host/incoming",
                                      .why = (char *) "default: nothing goes back to the host" });
}

int mount_plan_build(const struct container_config *c, const struct host_facts *host,
                     const struct tree_facts *tree, const struct mount_choices *choices,
                     struct mount_plan *ret)
{
        struct builder b = { .config = c, .host = host, .tree = tree, .choices = choices };

        if (config_root_mount(c))
                plan_custom_root(&b, config_root_mount(c));
        else
                plan_root(&b);
        plan_old_root(&b);
        if (c->tmpfs_on_tmp)
                add_op(&b,
                       &(struct mount_op){
                               .phase = PHASE_INSIDE,
                               .kind = MOUNT_NEW,
                               .flags = MOUNT_UNLESS_MOUNTED | MOUNT_MAKE_TARGET | MOUNT_AT_ONCE,
                               .attributes = MOUNT_NOSUID | MOUNT_NODEV | MOUNT_STRICTATIME,
                               .type = "tmpfs",
                               .source = (char *) "tmpfs",
                               .target = (char *) "/tmp",
                               .options = (char *) "mode=01777,size=10%,nr_inodes=400k",
                               .why = (char *) "default" });
        plan_sys(&b);
        plan_old_cgroups(&b);
        plan_dev(&b);
        plan_run(&b);
        plan_credentials(&b);
        plan_custom(&b, false);
        plan_etc(&b);
        plan_journal(&b);
        plan_inside(&b);
        if (b.failed) {
                mount_plan_done(&b.plan);
                return -ENOMEM;
        }
        *ret = b.plan;
        return 0;
}
