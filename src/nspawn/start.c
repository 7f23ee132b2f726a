/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "nspawn/start.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "basic/channel.h"
#include "basic/fd.h"
#include "basic/io.h"
#include "basic/log.h"
#include "basic/sandbox.h"
#include "nspawn/child.h"
#include "nspawn/chown-tree.h"
#include "nspawn/explain.h"
#include "nspawn/notify.h"
#include "nspawn/protocol.h"

/* What lives only while the container is started. */
struct start {
        struct container *container;
        const struct container_plan *plan;
        struct mount_run mounts;
        struct seccomp_program filter;
        int child_channel_fd;
        struct clock_readings begin; /* of the machine's own time, if it has one */
        char **host_argv, **host_environment;
        /* Ids or the cgroup are given to the first process after its birth, so it has to wait.
         * Decided before that: the cgroup is known to both sides later. */
        bool namespaces_take_work;
};

/* Whose files of the container's root are where they are written to: as on disk, if that is where. */
static uid_t root_owner(const struct container_plan *plan)
{
        if (mount_plan_has_new_root(&plan->mounts))
                return plan->idmap.base;
        return plan->ownership == OWNERSHIP_MAP || plan->ownership == OWNERSHIP_AUTO
                       ? 0
                       : plan->idmap.base;
}

static int make_propagate(struct start *s, struct failure *failure)
{
        struct container *c = s->container;
        int r;

        if (asprintf(&c->propagate, PROPAGATE_FOLDER "/%s", s->plan->machine) < 0) {
                c->propagate = NULL;
                return failure_set(failure, -ENOMEM, "Out of memory.");
        }
        /* Parents may be looked into, the folder itself only by root: through it mounts get in. */
        if (mkdir(c->propagate, 0600) == 0 || errno == EEXIST)
                return 0;
        r = make_directories("/run/systemd/nspawn", 0755);
        if (r >= 0)
                r = make_directories(c->propagate, 0600);
        return r < 0 ? failure_set(failure, r, "Cannot create the directory '%s': %s.%s",
                                   c->propagate, error_text(r), storage_hint(r))
                     : 0;
}

/* Changes of the tree itself, before anything of it is mounted. */
static int change_tree(struct start *s, struct failure *failure)
{
        const struct container_plan *plan = s->plan;
        int r = 0;

        if (plan->ownership == OWNERSHIP_CHOWN)
                r = chown_tree(plan->tree->fd, plan->tree->path, plan->idmap.base,
                               plan->idmap.count, failure);
        if (r >= 0 && !mount_plan_has_new_root(&plan->mounts))
                r = etc_plan_run(&plan->etc, plan->tree->root_fd, root_owner(plan), failure);
        return r;
}

/* The same in a root directory that was made for the container, as soon as it is there. */
static int change_new_root(struct start *s, struct failure *failure)
{
        int fd = mount_run_new_root(&s->mounts);

        return fd < 0 ? 0 : etc_plan_run(&s->plan->etc, fd, root_owner(s->plan), failure);
}

static int link_journal(struct start *s, struct failure *failure)
{
        const struct container_plan *plan = s->plan;

        return journal_plan_run(&plan->journal, plan->tree, !config_tree_is_read_only(plan->config),
                                root_owner(plan), failure);
}

static int get_filter(struct start *s, struct failure *failure)
{
        int r;

        if (s->plan->config->system_call_filter_off)
                return 0;
        r = seccomp_program_get(&s->plan->filter, &s->filter, failure);
        for (char **name = s->filter.unknown; r >= 0 && name && *name; name++)
                log_warning("There is no system call or group '%s' (--system-call-filter=), "
                            "ignoring.",
                            *name);
        return r;
}

static int open_terminal(struct start *s, int *ret_master, int *ret_slave)
{
        int fs_fd = mount_run_fd(&s->mounts, "/dev/pts"), unlock = 0;
        int master CLEANUP_FD = openat(fs_fd, "ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
        int slave CLEANUP_FD = -1;

        if (master < 0 || ioctl(master, TIOCSPTLCK, &unlock) < 0)
                return -errno;
        slave = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
        if (slave < 0)
                return -errno;
        /* Its group is the mount's; its owner was ours. */
        if (s->plan->idmap.base != 0 && fchown(slave, s->plan->idmap.base, (gid_t) -1) < 0)
                return -errno;
        *ret_master = TAKE_FD(master);
        *ret_slave = TAKE_FD(slave);
        return 0;
}

static int set_up_console(struct start *s, struct failure *failure)
{
        struct container *c = s->container;
        int master = -1, slave = -1;
        int r = 0;

        if (s->plan->console != CONSOLE_PIPE)
                r = open_terminal(s, &master, &slave);
        if (r >= 0)
                r = console_init(&c->console, s->plan->console, master, slave);
        if (r >= 0 && (s->plan->background || s->plan->title))
                console_dress(&c->console, s->plan->background,
                              s->plan->title ? s->plan->machine : NULL);
        return r < 0 ? failure_set(failure, r, "Cannot open a terminal for the console: %s.",
                                   error_text(r))
                     : 0;
}

static int open_kmsg(struct start *s, struct failure *failure)
{
        int fs_fd = mount_run_fd(&s->mounts, "/run");

        if (fs_fd < 0)
                return 0;
        /* With both ends open here, readers inside wait instead of seeing an end. */
        s->container->kmsg_fd =
                openat(fs_fd, "host/proc-kmsg", O_RDWR | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
        return s->container->kmsg_fd < 0
                       ? failure_set(failure, -errno, "Cannot open the FIFO for /proc/kmsg: %s.",
                                     error_text(errno))
                       : 0;
}

static bool receives_journal(const struct start *s)
{
        return s->plan->receiver && s->plan->receiver->program;
}

static int make_journal_socket(struct start *s, struct failure *failure)
{
        int fd = receives_journal(s) ? journal_receiver_socket_new() : 0;

        if (fd < 0)
                return failure_set(failure, fd,
                                   "Cannot make a socket for the journal (--forward-journal=): %s.",
                                   error_text(fd));
        if (fd > 0)
                s->container->receiver.socket_fd = fd;
        return 0;
}

static int start_receiver(struct start *s, struct failure *failure)
{
        return receives_journal(s)
                       ? journal_receiver_start(&s->container->receiver, s->plan->config,
                                                s->plan->receiver, failure)
                       : 0;
}

/* The file system of the tree cannot be mapped: there may be another way. */
static int tree_not_mapped(const struct start *s, struct failure *failure)
{
        if (s->plan->config->ownership != OWNERSHIP_MAP)
                return START_CANNOT_MAP;
        return failure_set(failure, -EINVAL,
                           "The file system of '%s' does not support id-mapped mounts. Use "
                           "--private-users-ownership=chown.",
                           s->plan->tree->path);
}

static int prepare_mounts(struct start *s, struct failure *failure)
{
        struct mount_run_options options = {
                .tree_fd = s->plan->tree->fd,
                .root_fd = s->plan->tree->root_fd,
                .layer_fd = s->plan->tree->layer_fd,
                .owner = s->plan->idmap.base,
                .root_owner = root_owner(s->plan),
                .shares_cgroup = s->container->scope.shares_group,
                .make_targets = s->plan->user_namespace && config_root_is_writable(s->plan->config),
                .scratch = &s->container->scratch,
                .idmap = s->plan->idmap,
        };
        int r = 0;

        if (s->plan->mounts.n_temporary > 0)
                r = scratch_make(options.scratch, s->plan->machine, s->plan->mounts.n_temporary,
                                 options.owner, failure);
        if (r < 0)
                return r;

        s->container->notify_fd = notify_socket_new();
        if (s->container->notify_fd < 0)
                return failure_set(failure, s->container->notify_fd,
                                   "Cannot make a notification socket: %s.",
                                   error_text(s->container->notify_fd));
        options.notify_fd = s->container->notify_fd;
        r = make_journal_socket(s, failure);
        if (r < 0)
                return r;
        options.journal_fd = s->container->receiver.socket_fd;
        r = mount_run_prepare(&s->mounts, &options, failure);
        if (r == -EINVAL && failure->error == 0)
                return tree_not_mapped(s, failure);
        return r < 0 ? r : change_new_root(s, failure);
}

static int create_scope(struct start *s, struct failure *failure)
{
        return scope_create(s->plan->host, &s->plan->scope, &s->container->scope, failure);
}

static int create_named_group(struct start *s, struct failure *failure)
{
        return s->plan->named_hierarchy
                       ? named_group_create("systemd", s->plan->machine, s->plan->idmap.base,
                                            &s->container->named_group, failure)
                       : 0;
}

/* ---- the first process ------------------------------------------------------------------- */

static _Noreturn void become_child(struct start *s)
{
        struct child_inputs in = {
                .plan = s->plan,
                .mounts = &s->mounts,
                .filter = &s->filter,
                .channel_fd = s->child_channel_fd,
                .begin = s->begin,
                .wait_for_namespaces = s->namespaces_take_work,
                .console_fd = s->container->console.slave,
                .host_argv = s->host_argv,
                .host_environment = s->host_environment,
        };

        /* The supervisor's end has to close when the supervisor dies, not when we do. */
        (void) fd_close(s->container->channel_fd);
        child_run(&in);
}

/*
 * With a network namespace that is there already, we are in it for the moment in which the first
 * process is born: once that has a user namespace it may not join it any more. @ret_own_fd is ours.
 */
static int join_network(const struct start *s, int *ret_own_fd, struct failure *failure)
{
        const char *path = s->plan->network.namespace_path;
        int own CLEANUP_FD = -1, fd CLEANUP_FD = -1;
        int r;

        if (!path)
                return 0;
        r = net_namespace_open(path, &fd, failure);
        if (r < 0)
                return r;
        own = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
        if (own < 0 || setns(fd, CLONE_NEWNET) < 0)
                return failure_set(failure, -errno, "Cannot join the network namespace '%s': %s.",
                                   path, error_text(errno));
        *ret_own_fd = TAKE_FD(own);
        return 0;
}

static int clone_child(struct start *s, struct failure *failure)
{
        struct container *c = s->container;
        int own_network_fd CLEANUP_FD = -1;
        int r = channel_pair(&c->channel_fd, &s->child_channel_fd);
        char why[EXPLAIN_MAX];

        if (r < 0)
                return failure_set(failure, r, "Cannot make a channel: %s.", error_text(r));
        r = s->plan->private_time ? clock_readings_take(&s->begin) : 0;
        if (r < 0)
                return failure_set(failure, r, "Cannot read the clocks: %s.", error_text(r));
        s->namespaces_take_work =
                s->plan->user_namespace || c->scope.payload_fd < 0 || s->plan->named_hierarchy;
        r = join_network(s, &own_network_fd, failure);
        if (r < 0)
                return r;
        c->leader = process_clone(s->plan->namespaces, c->scope.payload_fd, &c->leader_pidfd);
        if (c->leader == 0)
                become_child(s);
        if (own_network_fd >= 0 && setns(own_network_fd, CLONE_NEWNET) < 0)
                return failure_set(failure, -errno, "Cannot come back to the host's network: %s.",
                                   error_text(errno));
        s->child_channel_fd = fd_close(s->child_channel_fd);
        if (c->leader >= 0)
                return 0;
        r = c->leader;
        explain_namespaces(s->plan->namespaces, r, why);
        return failure_set(failure, r, "Cannot create the container's namespaces: %s.%s",
                           error_text(r), why);
}

int container_failed(const struct channel_message *m, struct failure *failure)
{
        if (m->type == MSG_API_REFUSED)
                return START_API_REFUSED;
        return failure_set(failure, m->error ? m->error : -EIO, "%s", m->text);
}

/* What the first process says of its failure; 0 if it says nothing. */
static int hear_words(struct container *c, struct failure *failure)
{
        struct channel_message message;
        size_t n = 0;

        if (channel_receive(c->channel_fd, 0, &message, NULL, 0, &n) >= 0 &&
            (message.type == MSG_FAILED || message.type == MSG_API_REFUSED))
                return container_failed(&message, failure);
        return 0;
}

/* A message could not be sent: mostly because the other end is gone, and its own words come first. */
static int hear_failure(struct container *c, int error, struct failure *failure)
{
        int r = hear_words(c, failure);

        if (r < 0)
                return r;
        if (error != -EPIPE && error != -ECONNRESET)
                return failure_set(failure, error,
                                   "Cannot tell the container's first process to go on: %s.",
                                   error_text(error));
        return failure_set(failure, error, "The container's first process ended early: %s.",
                           error_text(error));
}

static int map_ids(struct start *s, struct failure *failure)
{
        const struct container *c = s->container;
        char path[64], hint[SANDBOX_HINT_SIZE];
        int userns_fd CLEANUP_FD = -1;
        int r = idmap_write(&s->plan->idmap, c->leader);

        if (r < 0)
                return failure_set(failure, r, "Cannot write the id map 0 → %u (%u ids): %s.%s",
                                   s->plan->idmap.base, s->plan->idmap.count, error_text(r),
                                   r == -EPERM ? sandbox_hint(SANDBOX_IDS, hint) : "");
        (void) snprintf(path, sizeof(path), "/proc/%d/ns/user", (int) c->leader);
        userns_fd = open(path, O_RDONLY | O_CLOEXEC);
        if (userns_fd < 0)
                return failure_set(failure, -errno, "Cannot open the user namespace: %s.",
                                   error_text(errno));
        r = mount_run_map(&s->mounts, userns_fd, failure);
        if (r >= 0)
                r = mount_run_map_api(&s->mounts, c->leader_pidfd, failure);
        if (r == -EINVAL && failure->error == 0)
                return tree_not_mapped(s, failure);
        return r < 0 || s->plan->mounts.ops[0].phase != PHASE_MAPPED ? r
                                                                     : change_new_root(s, failure);
}

static int set_up_namespaces(struct start *s, struct failure *failure)
{
        static const struct channel_message message = { .type = MSG_NAMESPACES };
        struct container *c = s->container;
        int fds[CHANNEL_MAX_FDS];
        size_t n;
        int r = 0;

        if (s->plan->user_namespace)
                r = map_ids(s, failure);
        if (r >= 0)
                r = scope_adopt(&c->scope, c->leader, c->leader_pidfd, failure);
        /* After systemd, which on some hosts has a place of its own for it there. */
        if (r >= 0)
                r = named_group_adopt(&c->named_group, c->leader, failure);
        if (r < 0 || !s->namespaces_take_work)
                return r;
        n = mount_run_get_mapped(&s->mounts, fds, CHANNEL_MAX_FDS);
        r = channel_send(c->channel_fd, &message, fds, n);
        return r < 0 ? hear_failure(c, r, failure) : 0;
}

/* Ours to do: to lower it takes a capability of the host, which a user namespace does not give. */
static int adjust_oom_score(struct start *s, struct failure *failure)
{
        const struct container_config *config = s->plan->config;
        char path[64], text[16];
        int r;

        if (!config->oom_score_adjust_set)
                return 0;
        (void) snprintf(path, sizeof(path), "/proc/%d/oom_score_adj", (int) s->container->leader);
        (void) snprintf(text, sizeof(text), "%d", config->oom_score_adjust);
        r = write_file_at(AT_FDCWD, path, text);
        if (r == -EACCES)
                return failure_set(failure, r,
                                   "Cannot set the out-of-memory score to %d "
                                   "(--oom-score-adjust=): %s. To lower it takes the capability "
                                   "CAP_SYS_RESOURCE, which this host does not give.",
                                   config->oom_score_adjust, error_text(r));
        return r < 0 ? failure_set(failure, r,
                                   "Cannot set the out-of-memory score to %d "
                                   "(--oom-score-adjust=): %s.",
                                   config->oom_score_adjust, error_text(r))
                     : 0;
}

/* The inner ends of the links are born in the first process's network namespace. */
static int make_links(struct start *s, struct failure *failure)
{
        static const struct channel_message message = { .type = MSG_NETWORK };
        struct container *c = s->container;
        struct failure ours = { 0 };
        int r;

        if (!net_plan_has_work(&s->plan->network))
                return 0;
        r = net_run_host(&c->network, &s->plan->network, c->leader, &ours);
        if (r < 0) {
                /* It may have ended meanwhile, with its namespace, and has said why. */
                int heard = hear_words(c, failure);

                return heard < 0 ? heard : failure_set(failure, r, "%s", ours.text);
        }
        r = channel_send(c->channel_fd, &message, NULL, 0);
        return r < 0 ? hear_failure(c, r, failure) : 0;
}

static const struct {
        int (*run)(struct start *s, struct failure *failure);
} start_steps[] = {
        { get_filter },   /* may run a helper: before anything is made */
        { create_scope }, /* limits that the host cannot keep are refused before the tree changes */
        { create_named_group }, /* the same */
        { change_tree },        /* before its mounts are copied */
        { link_journal },       /* the folder is there before it is mounted */
        { make_propagate },     { prepare_mounts }, { start_receiver },   { open_kmsg },
        { set_up_console },     { clone_child },    { adjust_oom_score }, { set_up_namespaces },
        { make_links }, /* while the first process mounts */
};

int container_start(struct container *c, const struct container_plan *plan, char **host_argv,
                    char **host_environment, struct failure *failure)
{
        struct start s = { .container = c,
                           .plan = plan,
                           .filter = SECCOMP_PROGRAM_NULL,
                           .child_channel_fd = -1,
                           .host_argv = host_argv,
                           .host_environment = host_environment };
        int r = 0;

        *c = (struct container) CONTAINER_NULL;
        c->plan = plan;
        mount_run_init(&s.mounts, &plan->mounts);
        for (size_t i = 0; r >= 0 && i < ARRAY_SIZE(start_steps); i++)
                r = start_steps[i].run(&s, failure);
        mount_run_done(&s.mounts);
        seccomp_program_done(&s.filter);
        (void) fd_close(s.child_channel_fd);
        if (r < 0)
                container_done(c);
        return r;
}

int container_go(struct container *c, struct failure *failure)
{
        static const struct channel_message message = { .type = MSG_GO };
        int r = channel_send(c->channel_fd, &message, NULL, 0);

        return r < 0 ? hear_failure(c, r, failure) : 0;
}

static void end_leader(struct container *c)
{
        struct process_end end;

        if (c->leader_pidfd < 0)
                return;
        process_kill_child(c->leader, c->leader_pidfd);
        (void) process_wait(c->leader_pidfd, &end);
        c->leader_pidfd = fd_close(c->leader_pidfd);
}

void container_done(struct container *c)
{
        end_leader(c);
        net_run_done(&c->network);
        console_done(&c->console);
        scope_remove(&c->scope);
        named_group_remove(&c->named_group); /* when all that was in it has ended */
        journal_receiver_stop(&c->receiver);
        c->notify_fd = fd_close(c->notify_fd);
        c->channel_fd = fd_close(c->channel_fd);
        c->kmsg_fd = fd_close(c->kmsg_fd);
        scratch_done(&c->scratch);
        if (c->propagate)
                (void) rmdir(c->propagate);
        free(c->propagate);
        c->propagate = NULL;
}
