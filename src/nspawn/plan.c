/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "nspawn/plan.h"

#include <errno.h>
#include <linux/capability.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "basic/caps.h"
#include "basic/parse.h"
#include "basic/path.h"
#include "basic/strv.h"
#include "nspawn/seccomp-groups.h"
#include "shared/names.h"

#define CAP_BIT(number) (UINT64_C(1) << (number))

/* What a container keeps by default: enough for an unmodified distribution, nothing that reaches
 * the host's modules, clock, raw devices or memory locks. */
static const uint64_t default_capabilities =
        CAP_BIT(CAP_AUDIT_CONTROL) | CAP_BIT(CAP_AUDIT_WRITE) | CAP_BIT(CAP_CHOWN) |
        CAP_BIT(CAP_DAC_OVERRIDE) | CAP_BIT(CAP_DAC_READ_SEARCH) | CAP_BIT(CAP_FOWNER) |
        CAP_BIT(CAP_FSETID) | CAP_BIT(CAP_IPC_OWNER) | CAP_BIT(CAP_KILL) | CAP_BIT(CAP_LEASE) |
        CAP_BIT(CAP_LINUX_IMMUTABLE) | CAP_BIT(CAP_MKNOD) | CAP_BIT(CAP_NET_BIND_SERVICE) |
        CAP_BIT(CAP_NET_BROADCAST) | CAP_BIT(CAP_NET_RAW) | CAP_BIT(CAP_SETFCAP) |
        CAP_BIT(CAP_SETGID) | CAP_BIT(CAP_SETPCAP) | CAP_BIT(CAP_SETUID) | CAP_BIT(CAP_SYS_ADMIN) |
        CAP_BIT(CAP_SYS_BOOT) | CAP_BIT(CAP_SYS_CHROOT) | CAP_BIT(CAP_SYS_NICE) |
        CAP_BIT(CAP_SYS_PTRACE) | CAP_BIT(CAP_SYS_RESOURCE) | CAP_BIT(CAP_SYS_TTY_CONFIG);

static uint64_t decide_capabilities(const struct container_config *c, const struct ids *ids)
{
        uint64_t set = default_capabilities;

        if (config_network_is_own(&c->network))
                set |= CAP_BIT(CAP_NET_ADMIN);
        /* Containers inside have networks of their own, and these belong to the user namespace. */
        else if (c->nesting)
                set |= CAP_BIT(CAP_NET_ADMIN) | CAP_BIT(CAP_NET_BIND_SERVICE);
        else if (ids->user_namespace && (ids->map.base != 0 || c->userns_mode == USERNS_FROM_ROOT))
                /* It would be a capability over a network that is not the container's. Who asks
                 * for the host's own ids in so many words may have it. */
                set &= ~CAP_BIT(CAP_NET_BIND_SERVICE);
        /* Without process numbers of its own it would be the host that is rebooted. */
        if (c->shared_namespaces & CLONE_NEWPID)
                set &= ~CAP_BIT(CAP_SYS_BOOT);
        return (set | c->capabilities_added) & ~c->capabilities_dropped;
}

static enum console_mode decide_console(const struct container_config *c,
                                        const struct host_facts *host)
{
        bool terminals = host->stdin_is_terminal && host->stdout_is_terminal;

        switch (c->console_mode) {
        case CONSOLE_DEFAULT:
                return terminals ? CONSOLE_INTERACTIVE : CONSOLE_READ_ONLY;
        case CONSOLE_AUTOPIPE:
                return terminals ? CONSOLE_INTERACTIVE : CONSOLE_PIPE;
        case CONSOLE_INTERACTIVE:
        case CONSOLE_READ_ONLY:
        case CONSOLE_PASSIVE:
        case CONSOLE_PIPE:
                break;
        }
        return c->console_mode;
}

/* Colours and titles are for a terminal that shows the console, and can. */
static void decide_looks(const struct container_config *c, const struct host_facts *host,
                         struct container_plan *plan)
{
        bool shown = (plan->console == CONSOLE_INTERACTIVE || plan->console == CONSOLE_READ_ONLY) &&
                     host->stdout_is_terminal;
        bool able = host->term && !streq(host->term, "dumb");
        const char *background = c->background ? c->background : c->tint_by_default ? "44" : "";

        if (!shown || !able)
                return;
        plan->title = c->adjust_title;
        if (*background && c->colors != COLORS_NO)
                plan->background = background;
}

static enum ownership decide_ownership(const struct container_config *c, bool user_namespace)
{
        if (!user_namespace)
                return OWNERSHIP_OFF;
        if (c->ownership == OWNERSHIP_DEFAULT)
                return c->userns_mode == USERNS_PICK ? OWNERSHIP_AUTO : OWNERSHIP_OFF;
        return c->ownership;
}

/* The kernel's defaults, whatever the caller's limits are. */
static void decide_limits(const struct container_config *c, const struct host_facts *host,
                          struct rlimit limits[RLIM_NLIMITS])
{
        static const struct rlimit unlimited = { RLIM_INFINITY, RLIM_INFINITY };

        for (int i = 0; i < RLIM_NLIMITS; i++)
                limits[i] = unlimited;
        limits[RLIMIT_CORE] = (struct rlimit){ 0, RLIM_INFINITY };
        limits[RLIMIT_MEMLOCK] = (struct rlimit){ 8U << 20, 8U << 20 };
        limits[RLIMIT_MSGQUEUE] = (struct rlimit){ 819200, 819200 };
        limits[RLIMIT_NICE] = (struct rlimit){ 0, 0 };
        limits[RLIMIT_NOFILE] = (struct rlimit){ 1024, 524288 };
        limits[RLIMIT_NPROC] = host->nproc;
        limits[RLIMIT_RTPRIO] = (struct rlimit){ 0, 0 };
        limits[RLIMIT_SIGPENDING] = host->sigpending;
        limits[RLIMIT_STACK] = (struct rlimit){ 8U << 20, RLIM_INFINITY };
        for (int i = 0; i < RLIM_NLIMITS; i++)
                if (c->limits[i].set)
                        limits[i] = c->limits[i].value;
}

static int add_assignment(char ***environment, const char *name, const char *value)
{
        char *assignment = NULL;

        if (!value)
                return 0;
        return asprintf(&assignment, "%s=%s", name, value) < 0
                       ? -ENOMEM
                       : strv_add_take(environment, assignment);
}

static int decide_environment(const struct plan_inputs *in, struct container_plan *plan)
{
        const struct container_config *c = in->config;
        const struct host_facts *host = in->host;
        char uuid[ID128_TEXT_SIZE], n_fds[16];
        char ***list = &plan->environment;
        int r;

        id128_to_uuid(&plan->uuid, uuid);
        (void) snprintf(n_fds, sizeof(n_fds), "%u", c->n_listen_fds);
        r = strv_add(list, "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
        if (r >= 0)
                r = add_assignment(list, "container", c->service);
        if (r >= 0)
                r = add_assignment(list, "TERM", host->term);
        if (r >= 0)
                r = add_assignment(list, "COLORTERM", host->colorterm);
        if (r >= 0)
                r = add_assignment(list, "NO_COLOR", host->no_color);
        if (r >= 0)
                r = add_assignment(list, "container_uuid", uuid);
        if (r >= 0 && c->n_listen_fds > 0)
                r = add_assignment(list, "LISTEN_FDS", n_fds);
        if (r >= 0 && c->n_listen_fds > 0)
                r = add_assignment(list, "LISTEN_PID", "1");
        if (r >= 0)
                r = strv_add(list, "NOTIFY_SOCKET=/run/host/notify");
        if (r >= 0 && c->n_credentials > 0)
                r = strv_add(list, "CREDENTIALS_DIRECTORY=" CREDENTIALS_FOLDER);
        if (r >= 0 && c->start_mode != START_BOOT)
                r = strv_add(list, "LANG=C.UTF-8");
        return r < 0 ? r : strv_add_all(list, host->os_release_environment);
}

/*
 * The words of a boot are what a kernel finds on its command line: NAME=VALUE is a variable for
 * init, with '_' for '-'. A name with a dot, and what init takes as an option, stay words.
 */
static int decide_boot_words(const struct container_config *c, struct container_plan *plan)
{
        int r = 0;

        if (c->start_mode != START_BOOT)
                return 0;
        STRV_FOREACH(word, c->parameters)
        {
                char *assignment CLEANUP_FREE = strdup(*word);
                size_t n = strcspn(*word, "=");

                if (!assignment)
                        return -ENOMEM;
                for (size_t i = 0; i < n; i++)
                        if (assignment[i] == '-')
                                assignment[i] = '_';
                if ((*word)[n] == '=' && (*word)[0] != '-' && env_name_is_valid(assignment, n))
                        r = strv_env_set(&plan->environment, assignment);
                else
                        r = strv_add(&plan->argv, *word);
                if (r < 0)
                        return r;
        }
        return 0;
}

/* ---- devices ----------------------------------------------------------------------------- */

static int add_device(struct container_plan *plan, char type, int major_number, int minor_number,
                      unsigned access)
{
        struct device_rule *grown =
                realloc(plan->devices, (plan->n_devices + 1) * sizeof(struct device_rule));

        if (!grown)
                return -ENOMEM;
        plan->devices = grown;
        grown[plan->n_devices++] = (struct device_rule){
                .type = type, .major = major_number, .minor = minor_number, .access = access
        };
        return 0;
}

/*
 * Bind sources that are device nodes may be used, but not made anew. What a tree calls a device is
 * not to be believed: whoever made the tree would choose devices of the host.
 */
static int add_bound_devices(const struct plan_inputs *in, struct container_plan *plan)
{
        for (size_t i = 0; i < in->config->n_custom_mounts; i++) {
                const struct custom_mount *m = &in->config->custom_mounts[i];
                const struct source_fact *source = &in->sources[m->first_source];
                bool character;
                int r;

                if (m->type != CUSTOM_BIND || m->sources[0].place != SOURCE_HOST)
                        continue;
                character = S_ISCHR(source->mode);
                if (!source->exists || (!character && !S_ISBLK(source->mode)))
                        continue;
                r = add_device(plan, character ? 'c' : 'b', (int) major(source->device),
                               (int) minor(source->device),
                               m->read_only ? DEVICE_READ : DEVICE_READ | DEVICE_WRITE);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int decide_devices(const struct plan_inputs *in, struct container_plan *plan)
{
        static const struct device_rule closed[] = {
                { 'c', 1, 3, DEVICE_READ | DEVICE_WRITE | DEVICE_MKNOD },    /* null */
                { 'c', 1, 5, DEVICE_READ | DEVICE_WRITE | DEVICE_MKNOD },    /* zero */
                { 'c', 1, 7, DEVICE_READ | DEVICE_WRITE | DEVICE_MKNOD },    /* full */
                { 'c', 1, 8, DEVICE_READ | DEVICE_WRITE | DEVICE_MKNOD },    /* random */
                { 'c', 1, 9, DEVICE_READ | DEVICE_WRITE | DEVICE_MKNOD },    /* urandom */
                { 'c', 5, 0, DEVICE_READ | DEVICE_WRITE | DEVICE_MKNOD },    /* tty */
                { 'c', 5, 2, DEVICE_READ | DEVICE_WRITE | DEVICE_MKNOD },    /* ptmx */
                { 'c', 136, -1, DEVICE_READ | DEVICE_WRITE },                /* pts */
                { 'c', 10, 200, DEVICE_READ | DEVICE_WRITE | DEVICE_MKNOD }, /* net/tun */
                { 'c', 10, 229, DEVICE_READ | DEVICE_WRITE | DEVICE_MKNOD }, /* fuse */
        };

        for (size_t i = 0; i < ARRAY_SIZE(closed); i++) {
                int r = add_device(plan, closed[i].type, closed[i].major, closed[i].minor,
                                   closed[i].access);

                if (r < 0)
                        return r;
        }
        return add_bound_devices(in, plan);
}

/* ---- the plan ---------------------------------------------------------------------------- */

int machine_name_decide(const struct container_config *c, const char *directory, char **ret,
                        struct failure *failure)
{
        char name[MACHINE_NAME_MAX + 1];

        if (!c->machine) {
                machine_name_clean_up(path_basename(directory), name);
                if (!machine_name_is_valid(name))
                        return failure_set(failure, -EINVAL,
                                           "'%s' does not lead to a name for the machine. Give one "
                                           "with --machine=.",
                                           directory);
        }
        *ret = strdup(c->machine ? c->machine : name);
        return *ret ? 0 : failure_set(failure, -ENOMEM, "Out of memory.");
}

static int copy_string(char **ret, const char *text)
{
        *ret = text ? strdup(text) : NULL;
        return text && !*ret ? -ENOMEM : 0;
}

static int decide_strings(const struct plan_inputs *in, struct container_plan *plan)
{
        const struct container_config *c = in->config;
        int r = copy_string(&plan->machine, in->machine);

        if (r >= 0)
                r = copy_string(&plan->hostname, c->hostname ? c->hostname : in->machine);
        if (r >= 0)
                r = copy_string(&plan->user, c->user);
        if (r >= 0)
                r = copy_string(&plan->working_directory, c->working_directory);
        if (r >= 0 && c->parameters && c->start_mode != START_BOOT) {
                plan->argv = strv_copy(c->parameters);
                r = plan->argv ? 0 : -ENOMEM;
        }
        return r;
}

/* The ids of bound users are high; a small range ends before them. */
static int check_users(const struct plan_inputs *in, struct failure *failure)
{
        const struct bound_users *users = in->users;

        for (size_t i = 0; users && in->ids->user_namespace && i < users->n; i++)
                if (users->list[i].inside >= in->ids->map.count)
                        return failure_set(
                                failure, -ERANGE,
                                "Cannot bind the user '%s' (--bind-user=): its id would be "
                                "%u, and the range of ids (--private-users=) has only %u. "
                                "Give it 65536.",
                                users->list[i].name, (unsigned) users->list[i].inside,
                                in->ids->map.count);
        return 0;
}

static int check_tree(const struct plan_inputs *in, struct failure *failure)
{
        const struct tree_facts *tree = in->tree;

        if (!tree->has_usr)
                return failure_set(failure, -EINVAL,
                                   "'%s' does not look like the tree of an operating system: it "
                                   "has no directory '/usr'. Give another with --directory=.",
                                   tree->path);
        if (in->config->start_mode == START_BOOT && in->config->check_os_release &&
            !tree->has_os_release)
                return failure_set(failure, -EINVAL,
                                   "'%s' cannot be booted: it has neither '/etc/os-release' nor "
                                   "'/usr/lib/os-release'. Install an operating system in it, or "
                                   "run a command without --boot.",
                                   tree->path);
        if (in->ids->user_namespace && in->config->ownership == OWNERSHIP_MAP &&
            tree->uid >= IDMAP_DEFAULT_COUNT)
                return failure_set(failure, -EINVAL,
                                   "The files of '%s' belong to a range of ids already (%u), so "
                                   "they cannot be mapped. Use --private-users-ownership=chown.",
                                   tree->path, (unsigned) tree->uid);
        if (in->config->volatile_mode == VOLATILE_YES && tree->bin_is_directory)
                return failure_set(failure, -EISDIR,
                                   "'%s' has a directory '/bin', so its programs are not all in "
                                   "'/usr', which is all that --volatile=yes shows. Use "
                                   "--volatile=state or --volatile=overlay.",
                                   tree->path);
        if (in->ids->user_namespace && !in->host->user_namespaces)
                return failure_set(failure, -EOPNOTSUPP,
                                   "This kernel has no user namespaces (CONFIG_USER_NS). Leave out "
                                   "--private-users=, or use another kernel.");
        if (in->config->time_mode == TIME_PRIVATE && !in->host->time_namespaces)
                return failure_set(failure, -EOPNOTSUPP,
                                   "This kernel has no time namespaces (CONFIG_TIME_NS). Leave out "
                                   "--time=private, or use another kernel.");
        return 0;
}

/* What is asked for the payload and cannot be had here. */
static int check_payload(const struct plan_inputs *in, uint64_t capabilities,
                         struct failure *failure)
{
        const struct container_config *c = in->config;
        uint64_t missing = c->ambient_capabilities & ~capabilities;
        struct cpu_mask wanted, online;

        for (unsigned i = 0; cap_name(i); i++)
                if (missing & CAP_BIT(i))
                        return failure_set(failure, -EINVAL,
                                           "--ambient-capability= asks for %s, which this "
                                           "container does not keep. Add --capability=%s.",
                                           cap_name(i), cap_name(i));
        if ((c->selinux_context || c->selinux_apifs_context) && !in->host->selinux)
                return failure_set(failure, -EOPNOTSUPP,
                                   "This kernel has no SELinux, so %s cannot be used. Leave it "
                                   "out, or boot a kernel with SELinux.",
                                   c->selinux_context ? "--selinux-context="
                                                      : "--selinux-apifs-context=");
        if (in->ids->user_namespace && c->shared_namespaces & CLONE_NEWPID)
                return failure_set(failure, -EINVAL,
                                   "A container with a user namespace cannot share the host's "
                                   "process numbers. Leave out -U, or SYSTEMD_NSPAWN_SHARE_NS_PID "
                                   "and SYSTEMD_NSPAWN_SHARE_SYSTEM.");
        if (c->cpu_affinity && in->host->cpus &&
            cpu_mask_from_list(c->cpu_affinity, &wanted) >= 0 &&
            cpu_mask_from_list(in->host->cpus, &online) >= 0 &&
            !cpu_mask_intersects(&wanted, &online))
                return failure_set(failure, -EINVAL,
                                   "--cpu-affinity= asks for the CPUs %s, but this host has only "
                                   "%s. Name one of those.",
                                   c->cpu_affinity, in->host->cpus);
        return check_users(in, failure);
}

/* What --nesting allows has to be nobody's outside of the container. */
static int check_nesting(const struct plan_inputs *in, struct failure *failure)
{
        if (!in->config->nesting)
                return 0;
        if (!in->ids->user_namespace)
                return failure_set(failure, -EOPNOTSUPP,
                                   "--nesting needs a user namespace, and this kernel has none "
                                   "(CONFIG_USER_NS). Leave it out, or use another kernel.");
        if (in->host->machines_root != ID_NOBODY &&
            in->host->machines_root - in->ids->map.base < in->ids->map.count)
                return failure_set(
                        failure, -EINVAL,
                        "--nesting needs ids that are not the host's own, and the host's "
                        "root is one of these. Use --private-users=pick.");
        return 0;
}

/* Files that belong to a range already can only be given to another one where they are changed. */
static int check_shifted(const struct plan_inputs *in, const struct container_plan *plan,
                         struct failure *failure)
{
        bool is_kept = in->config->volatile_mode != VOLATILE_NO ||
                       plan->ephemeral.method == EPHEMERAL_OVERLAY ||
                       plan->ephemeral.method == EPHEMERAL_VIEW;
        unsigned owner = in->tree->uid;

        if (!in->ids->user_namespace || !is_kept || owner < IDMAP_DEFAULT_COUNT ||
            in->config->ownership == OWNERSHIP_OFF || owner == in->ids->map.base)
                return 0;
        return failure_set(failure, -EINVAL,
                           "The files of '%s' belong to a range of ids already (%u), and %s "
                           "forbids to change that. Use --private-users=%u.",
                           in->tree->path, owner,
                           in->config->volatile_mode != VOLATILE_NO ? "--volatile=" : "--ephemeral",
                           owner);
}

/* The group "tty" is 5 on every distribution; a small range may end before it. */
static uint32_t tty_gid(const struct container_plan *plan)
{
        if (!plan->user_namespace)
                return 5;
        return plan->idmap.base + (plan->idmap.count > 5 ? 5 : 0);
}

static bool user_is_root(const char *user)
{
        return !user || streq(user, "root") || streq(user, "0");
}

static int decide_mounts(const struct plan_inputs *in, struct container_plan *plan)
{
        struct mount_choices choices = {
                .machine = plan->machine,
                .service = in->config->service,
                .uuid = plan->uuid,
                .boot_id = in->boot_id,
                .user_namespace = plan->user_namespace,
                .ephemeral = plan->ephemeral.method,
                .map_root = plan->ownership == OWNERSHIP_MAP ||
                            (plan->ownership == OWNERSHIP_AUTO && in->root_is_mapped),
                .api_from_outside = plan->user_namespace && in->api_from_outside,
                .uid_base = plan->idmap.base,
                .ownership = plan->ownership,
                .sources = in->sources,
                .tty_gid = tty_gid(plan),
                .named_hierarchy = plan->named_hierarchy,
                .pty = plan->console != CONSOLE_PIPE,
                .credentials = in->credentials,
                .credentials_for_all = in->config->no_new_privileges &&
                                       in->config->start_mode == START_COMMAND &&
                                       !user_is_root(in->config->user),
                .etc = &plan->etc,
                .users = plan->users,
                .journal = &plan->journal,
        };

        return mount_plan_build(in->config, in->host, in->tree, &choices, &plan->mounts);
}

static int decide_network(const struct plan_inputs *in, struct container_plan *plan,
                          struct failure *failure)
{
        static const struct net_facts none = { .manager = NET_MANAGER_NONE };

        return net_plan_build(&in->config->network, in->network ? in->network : &none,
                              plan->machine, &plan->network, failure);
}

static void decide_namespaces(const struct container_config *c, struct container_plan *plan)
{
        plan->namespaces = CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWPID | CLONE_NEWUTS;
        if (plan->user_namespace)
                plan->namespaces |= CLONE_NEWUSER;
        if (net_config_is_private(&c->network) && !c->network.namespace_path)
                plan->namespaces |= CLONE_NEWNET;
        plan->namespaces &= ~c->shared_namespaces;
}

static int decide_filter(const struct container_config *c, struct container_plan *plan)
{
        int r = c->nesting ? strv_add(&plan->filter_terms, SECCOMP_NESTING_TERM) : 0;

        if (r >= 0)
                r = strv_add_all(&plan->filter_terms, c->system_call_filter);
        plan->filter = (struct seccomp_spec){ .retained_caps = plan->capabilities,
                                              .terms = plan->filter_terms,
                                              .suppress_sync = c->suppress_sync,
                                              .families = c->address_families };
        return r;
}

/* A system has services to stop; a program has only itself. */
#define STOP_TIMEOUT_SYSTEM_US UINT64_C(90000000)
#define STOP_TIMEOUT_PROGRAM_US UINT64_C(10000000)

static uint64_t decide_stop_timeout(const struct container_config *c)
{
        if (c->stop_timeout_us > 0)
                return c->stop_timeout_us;
        return c->start_mode == START_BOOT ? STOP_TIMEOUT_SYSTEM_US : STOP_TIMEOUT_PROGRAM_US;
}

static void decide_scope(const struct container_config *c, struct container_plan *plan)
{
        plan->scope = (struct scope_spec){
                .machine = plan->machine,
                .slice = c->slice ? c->slice : "machine.slice",
                .keep_unit = c->keep_unit,
                .owner = plan->idmap.base,
                .properties = &plan->properties,
                .devices = plan->devices,
                .n_devices = plan->n_devices,
                .device_policy = !c->keep_unit,
                /* PID 1 of the host knows nothing of other ways to stop than a signal. */
                .kill_signal = plan->kill_signal             ? plan->kill_signal
                               : c->start_mode == START_BOOT ? SIGRTMIN + 3
                                                             : 0,
        };
}

int plan_build(const struct plan_inputs *in, struct container_plan *ret, struct failure *failure)
{
        const struct container_config *c = in->config;
        struct container_plan plan = {
                .config = c,
                .tree = in->tree,
                .host = in->host->host,
                .start_mode = c->start_mode,
                .boot_id = in->boot_id,
                .uuid = in->tree->machine_id_set ? in->tree->machine_id
                        : c->uuid_set            ? c->uuid
                                                 : in->random_uuid,
                .kill_signal = c->kill_signal,
                .other_stop_signal = c->start_mode == START_BOOT ? SIGRTMIN + 3 : SIGTERM,
                .stop_timeout_us = decide_stop_timeout(c),
                .console = decide_console(c, in->host),
                .user_namespace = in->ids->user_namespace,
                .idmap = in->ids->map,
                .ownership = decide_ownership(c, in->ids->user_namespace),
                /* These facts are there only for those who want them. */
                .named_hierarchy = c->cgroups == CGROUPS_NAMED ||
                                   (c->cgroups == CGROUPS_AUTO && in->tree->has_old_systemd),
                .private_time = c->time_mode != TIME_HOST && in->host->time_namespaces,
                .capabilities = decide_capabilities(c, in->ids),
                .register_mode = c->register_mode,
                .users = in->users,
                .receiver = in->receiver,
        };
        int r = check_tree(in, failure);

        if (r >= 0)
                r = ephemeral_plan_build(c, in->tree, in->ephemeral, &plan.ephemeral, failure);
        if (r >= 0)
                r = check_shifted(in, &plan, failure);
        if (r >= 0)
                r = check_payload(in, plan.capabilities, failure);
        if (r >= 0)
                r = check_nesting(in, failure);
        if (r >= 0)
                r = journal_plan_build(c, in->journal, &plan.uuid, &plan.journal, failure);
        if (r < 0)
                return r;
        /* A tree that was shifted once has to follow its range; mapping starts from plain ids. */
        if (plan.ownership == OWNERSHIP_AUTO &&
            (!in->root_is_mapped || in->tree->uid >= IDMAP_DEFAULT_COUNT))
                plan.ownership = OWNERSHIP_CHOWN;
        decide_limits(c, in->host, plan.limits);
        decide_namespaces(c, &plan);
        decide_looks(c, in->host, &plan);
        STRV_FOREACH(assignment, c->properties)
        if (r >= 0)
                r = property_set_add(&plan.properties, *assignment, failure);
        if (r >= 0)
                r = decide_filter(c, &plan);
        if (r >= 0)
                r = decide_strings(in, &plan);
        if (r >= 0)
                r = decide_environment(in, &plan);
        if (r >= 0)
                r = decide_boot_words(c, &plan);
        if (r >= 0)
                r = decide_devices(in, &plan);
        if (r >= 0)
                r = decide_network(in, &plan, failure);
        if (r >= 0) {
                plan.etc = etc_plan_build(c, in->host, in->tree, &plan.network);
                r = decide_mounts(in, &plan);
        }
        if (r < 0) {
                plan_done(&plan);
                return failure_set(failure, r, "Out of memory.");
        }
        *ret = plan;
        decide_scope(c, ret);
        ret->scope.tried_before = in->api_from_outside || !in->root_is_mapped;
        return 0;
}

void plan_done(struct container_plan *plan)
{
        free(plan->machine);
        free(plan->hostname);
        strv_free(plan->argv);
        strv_free(plan->filter_terms);
        strv_free(plan->environment);
        free(plan->user);
        free(plan->working_directory);
        mount_plan_done(&plan->mounts);
        net_plan_done(&plan->network);
        property_set_done(&plan->properties);
        free(plan->devices);
        *plan = (struct container_plan){ .machine = NULL };
}
