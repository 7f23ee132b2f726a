/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "nspawn/config.h"

#include <errno.h>
#include <sched.h>

#include "basic/caps.h"
#include "basic/path.h"
#include "basic/strv.h"

const char *const merged_usr_names[N_MERGED_USR_NAMES] = { "bin", "sbin", "lib", "lib64" };

void config_init(struct container_config *c)
{
        *c = (struct container_config){
                .tmpfs_on_tmp = true,
                .ephemeral_method = EPHEMERAL_AUTO,
                .lock_tree = true,
                .check_os_release = true,
        };
}

void custom_mount_done(struct custom_mount *m)
{
        for (size_t i = 0; i < m->n_sources; i++)
                free(m->sources[i].path);
        free(m->sources);
        free(m->destination);
        free(m->options);
        free(m->origin);
}

void credential_done(struct credential *credential)
{
        free(credential->id);
        if (credential->bytes)
                explicit_bzero(credential->bytes, credential->size);
        free(credential->bytes);
        free(credential->path);
        *credential = (struct credential){ .id = NULL };
}

void config_done(struct container_config *c)
{
        free(c->settings_path);
        free(c->directory);
        free(c->tree);
        free(c->machine);
        free(c->host_name);
        free(c->ephemeral_directory);
        free(c->template_path);
        free(c->pivot_new);
        free(c->pivot_old);
        net_config_done(&c->network);
        strv_free(c->parameters);
        strv_free(c->environment);
        free(c->user);
        free(c->working_directory);
        free(c->hostname);
        free(c->slice);
        strv_free(c->properties);
        strv_free(c->system_call_filter);
        strv_free(c->address_families);
        free(c->selinux_context);
        free(c->selinux_apifs_context);
        free(c->background);
        free(c->cpu_affinity);
        for (size_t i = 0; i < c->n_custom_mounts; i++)
                custom_mount_done(&c->custom_mounts[i]);
        free(c->custom_mounts);
        for (size_t i = 0; i < c->n_credentials; i++)
                credential_done(&c->credentials[i]);
        free(c->credentials);
        free(c->forward_journal);
        strv_free(c->bind_users);
        free(c->bind_user_shell);
        strv_free(c->bind_user_groups);
        free(c->service);
        *c = (struct container_config){ .action = ACTION_RUN };
}

const char *console_mode_name(enum console_mode mode)
{
        static const char *const names[] = {
                [CONSOLE_DEFAULT] = "default",     [CONSOLE_INTERACTIVE] = "interactive",
                [CONSOLE_READ_ONLY] = "read-only", [CONSOLE_PASSIVE] = "passive",
                [CONSOLE_PIPE] = "pipe",           [CONSOLE_AUTOPIPE] = "autopipe",
        };

        static_assert(ARRAY_SIZE(names) == CONSOLE_AUTOPIPE + 1, "every mode has a name");
        return names[mode];
}

const char *ownership_name(enum ownership ownership)
{
        static const char *const names[] = {
                [OWNERSHIP_DEFAULT] = "default", [OWNERSHIP_OFF] = "off",
                [OWNERSHIP_CHOWN] = "chown",     [OWNERSHIP_MAP] = "map",
                [OWNERSHIP_AUTO] = "auto",
        };

        static_assert(ARRAY_SIZE(names) == OWNERSHIP_AUTO + 1, "every way has a name");
        return names[ownership];
}

const char *start_mode_name(enum start_mode mode)
{
        static const char *const names[] = {
                [START_COMMAND] = "command",
                [START_AS_PID2] = "as-pid2",
                [START_BOOT] = "boot",
        };

        static_assert(ARRAY_SIZE(names) == START_BOOT + 1, "every mode has a name");
        return names[mode];
}

const char *ephemeral_method_name(enum ephemeral_method method)
{
        static const char *const names[] = {
                [EPHEMERAL_NONE] = "none",       [EPHEMERAL_AUTO] = "auto",
                [EPHEMERAL_VIEW] = "view",       [EPHEMERAL_SNAPSHOT] = "snapshot",
                [EPHEMERAL_OVERLAY] = "overlay", [EPHEMERAL_REFLINK] = "reflink",
                [EPHEMERAL_COPY] = "copy",
        };

        static_assert(ARRAY_SIZE(names) == EPHEMERAL_COPY + 1, "every method has a name");
        return names[method];
}

const char *volatile_mode_name(enum volatile_mode mode)
{
        static const char *const names[] = {
                [VOLATILE_NO] = "no",
                [VOLATILE_YES] = "yes",
                [VOLATILE_STATE] = "state",
                [VOLATILE_OVERLAY] = "overlay",
        };

        static_assert(ARRAY_SIZE(names) == VOLATILE_OVERLAY + 1, "every mode has a name");
        return names[mode];
}

bool config_tree_is_read_only(const struct container_config *c)
{
        return c->read_only || c->volatile_mode != VOLATILE_NO;
}

bool config_root_is_writable(const struct container_config *c)
{
        const struct custom_mount *root = config_root_mount(c);

        if (root)
                return !root->read_only;
        if (c->volatile_mode == VOLATILE_YES || c->volatile_mode == VOLATILE_OVERLAY)
                return true;
        return !config_tree_is_read_only(c);
}

const char *resolv_conf_mode_name(enum resolv_conf_mode mode)
{
        static const char *const names[] = {
                [RESOLV_CONF_AUTO] = "auto",
                [RESOLV_CONF_OFF] = "off",
                [RESOLV_CONF_DELETE] = "delete",
                [RESOLV_CONF_COPY_HOST] = "copy-host",
                [RESOLV_CONF_COPY_STATIC] = "copy-static",
                [RESOLV_CONF_COPY_UPLINK] = "copy-uplink",
                [RESOLV_CONF_COPY_STUB] = "copy-stub",
                [RESOLV_CONF_REPLACE_HOST] = "replace-host",
                [RESOLV_CONF_REPLACE_STATIC] = "replace-static",
                [RESOLV_CONF_REPLACE_UPLINK] = "replace-uplink",
                [RESOLV_CONF_REPLACE_STUB] = "replace-stub",
                [RESOLV_CONF_BIND_HOST] = "bind-host",
                [RESOLV_CONF_BIND_STATIC] = "bind-static",
                [RESOLV_CONF_BIND_UPLINK] = "bind-uplink",
                [RESOLV_CONF_BIND_STUB] = "bind-stub",
        };

        static_assert(ARRAY_SIZE(names) == RESOLV_CONF_BIND_STUB + 1, "every mode has a name");
        return names[mode];
}

const char *timezone_mode_name(enum timezone_mode mode)
{
        static const char *const names[] = {
                [TIMEZONE_AUTO] = "auto",       [TIMEZONE_OFF] = "off",
                [TIMEZONE_COPY] = "copy",       [TIMEZONE_BIND] = "bind",
                [TIMEZONE_SYMLINK] = "symlink", [TIMEZONE_DELETE] = "delete",
        };

        static_assert(ARRAY_SIZE(names) == TIMEZONE_DELETE + 1, "every mode has a name");
        return names[mode];
}

const char *forward_limit_name(enum forward_limit_kind kind)
{
        static const char *const names[N_FORWARD_LIMITS] = { [FORWARD_MAX_USE] = "MaxUse",
                                                             [FORWARD_KEEP_FREE] = "KeepFree",
                                                             [FORWARD_MAX_FILE_SIZE] =
                                                                     "MaxFileSize",
                                                             [FORWARD_MAX_FILES] = "MaxFiles" };

        return names[kind];
}

const char *limit_name(int resource)
{
        static const char *const names[] = {
                [RLIMIT_CPU] = "CPU",           [RLIMIT_FSIZE] = "FSIZE",
                [RLIMIT_DATA] = "DATA",         [RLIMIT_STACK] = "STACK",
                [RLIMIT_CORE] = "CORE",         [RLIMIT_RSS] = "RSS",
                [RLIMIT_NPROC] = "NPROC",       [RLIMIT_NOFILE] = "NOFILE",
                [RLIMIT_MEMLOCK] = "MEMLOCK",   [RLIMIT_AS] = "AS",
                [RLIMIT_LOCKS] = "LOCKS",       [RLIMIT_SIGPENDING] = "SIGPENDING",
                [RLIMIT_MSGQUEUE] = "MSGQUEUE", [RLIMIT_NICE] = "NICE",
                [RLIMIT_RTPRIO] = "RTPRIO",     [RLIMIT_RTTIME] = "RTTIME",
        };

        static_assert(ARRAY_SIZE(names) == RLIM_NLIMITS, "every limit has a name");
        return resource >= 0 && resource < RLIM_NLIMITS ? names[resource] : NULL;
}

int limit_from_name(const char *name)
{
        const char *rest = startswith(name, "RLIMIT_");

        for (int i = 0; i < RLIM_NLIMITS; i++)
                if (streq(limit_name(i), rest ? rest : name))
                        return i;
        return -EINVAL;
}

const struct custom_mount *config_root_mount(const struct container_config *c)
{
        for (size_t i = c->n_custom_mounts; i > 0; i--)
                if (streq(c->custom_mounts[i - 1].destination, "/"))
                        return &c->custom_mounts[i - 1];
        return NULL;
}

/* A mount in the place of the root directory: nothing may want to change the owners of its files. */
static int validate_root_mount(const struct container_config *c, const struct custom_mount *m,
                               struct failure *failure)
{
        if (m->type == CUSTOM_INACCESSIBLE)
                return failure_set(failure, -EINVAL,
                                   "%s hides the whole container. Give the path of what is to be "
                                   "hidden in it.",
                                   m->origin);
        if (c->volatile_mode != VOLATILE_NO || c->ephemeral)
                return failure_set(failure, -EINVAL,
                                   "%s and %s both make a root directory. Leave one of them out.",
                                   m->origin, c->ephemeral ? "--ephemeral" : "--volatile=");
        if (c->userns_mode == USERNS_NO)
                return 0;
        if (c->ownership != OWNERSHIP_OFF &&
            (c->ownership != OWNERSHIP_DEFAULT || c->userns_mode == USERNS_PICK))
                return failure_set(failure, -EINVAL,
                                   "%s mounts over the root directory, which cannot be "
                                   "combined with --private-users-ownership=%s. Use "
                                   "--private-users-ownership=off.",
                                   m->origin,
                                   ownership_name(c->ownership == OWNERSHIP_DEFAULT
                                                          ? OWNERSHIP_AUTO
                                                          : c->ownership));
        if (c->userns_mode == USERNS_PICK || c->userns_mode == USERNS_FROM_ROOT)
                return failure_set(failure, -EINVAL,
                                   "%s mounts over the root directory, whose owner cannot tell "
                                   "the range of ids then. Use --private-users=BASE.",
                                   m->origin);
        return 0;
}

static int validate_mounts(const struct container_config *c, struct failure *failure)
{
        for (size_t i = 0; i < c->n_custom_mounts; i++) {
                const struct custom_mount *m = &c->custom_mounts[i];
                int r = 0;

                if (streq(m->destination, "/run") || streq(m->destination, "/run/host"))
                        return failure_set(
                                failure, -EINVAL,
                                "%s mounts over '%s', where the container finds what the "
                                "launcher gives to it. Use another destination.",
                                m->origin, m->destination);
                if (m->type == CUSTOM_OVERLAY && !m->read_only &&
                    m->sources[m->n_sources - 1].place == SOURCE_TREE &&
                    (config_tree_is_read_only(c) || c->ephemeral))
                        return failure_set(failure, -EINVAL,
                                           "%s writes to the tree, which %s forbids. Leave one of "
                                           "them out, or use another upper directory.",
                                           m->origin,
                                           c->read_only   ? "--read-only"
                                           : c->ephemeral ? "--ephemeral"
                                                          : "--volatile=");
                if (streq(m->destination, "/"))
                        r = validate_root_mount(c, m, failure);
                if (r < 0)
                        return r;
        }
        return 0;
}

/* What a container cannot have without a namespace of its own. */
static int validate_sharing(const struct container_config *c, struct failure *failure)
{
        if (c->shared_namespaces & (CLONE_NEWPID | CLONE_NEWUTS) && c->start_mode != START_COMMAND)
                return failure_set(failure, -EINVAL,
                                   "%s needs process numbers and a host name of its own. Leave out "
                                   "SYSTEMD_NSPAWN_SHARE_SYSTEM and the like.",
                                   c->start_mode == START_BOOT ? "--boot" : "--as-pid2");
        if (c->shared_namespaces & CLONE_NEWPID && c->userns_mode != USERNS_NO &&
            !c->userns_if_possible)
                return failure_set(failure, -EINVAL,
                                   "A container with a user namespace cannot share the host's "
                                   "process numbers. Leave out --private-users=, or "
                                   "SYSTEMD_NSPAWN_SHARE_NS_PID and SYSTEMD_NSPAWN_SHARE_SYSTEM.");
        if (c->shared_namespaces & CLONE_NEWUTS && c->hostname)
                return failure_set(failure, -EINVAL,
                                   "--hostname= would change the name of the host, which the "
                                   "container shares (SYSTEMD_NSPAWN_SHARE_NS_UTS). Leave one of "
                                   "them out.");
        return 0;
}

/* What only says more about another option. */
static int validate_integration(const struct container_config *c, struct failure *failure)
{
        for (size_t i = 0; i < N_FORWARD_LIMITS; i++)
                if (c->forward_limits[i].set && !c->forward_journal)
                        return failure_set(failure, -EINVAL,
                                           "The limits of a received journal "
                                           "(--forward-journal-max-use= and others) need "
                                           "--forward-journal=. Leave them out, or say where to.");
        if (!c->bind_users &&
            (c->bind_user_shell || c->bind_user_shell_host || c->bind_user_groups))
                return failure_set(failure, -EINVAL,
                                   "%s= needs --bind-user=. Name a user, or leave it out.",
                                   c->bind_user_groups ? "--bind-user-group" : "--bind-user-shell");
        return 0;
}

static int validate_rootfs(const struct container_config *c, struct failure *failure)
{
        if (c->directory && streq(c->directory, "/") && !c->ephemeral &&
            c->volatile_mode != VOLATILE_YES && c->volatile_mode != VOLATILE_STATE)
                return failure_set(failure, -EINVAL,
                                   "Cannot start a container on the host's own root directory, "
                                   "which it would change. Add --ephemeral, --volatile=yes or "
                                   "--volatile=state, or use --directory= with the tree of another "
                                   "system.");
        if (c->template_path && c->ephemeral)
                return failure_set(failure, -EINVAL,
                                   "--ephemeral and --template= cannot be combined: a template is "
                                   "for a tree that stays. Leave one of them out.");
        if (c->template_path && !c->directory && !c->machine)
                return failure_set(failure, -EINVAL,
                                   "--template= needs to know the tree that is made from it. Add "
                                   "--directory= or --machine=.");
        if (c->ephemeral && !c->link_journal_try &&
            (c->link_journal == LINK_JOURNAL_HOST || c->link_journal == LINK_JOURNAL_GUEST))
                return failure_set(
                        failure, -EINVAL,
                        "--ephemeral and --link-journal= cannot be combined: the journal "
                        "of a throw-away container is not kept. Leave one of them out.");
        if (c->action == ACTION_CLEANUP && c->ephemeral)
                return failure_set(
                        failure, -EINVAL,
                        "--cleanup and --ephemeral cannot be combined: what an ephemeral "
                        "machine left is found by its tree. Leave --ephemeral out.");
        if (c->action == ACTION_CLEANUP && !c->directory && !c->machine)
                return failure_set(failure, -EINVAL,
                                   "--cleanup needs to know what to clean up after. Add --machine= "
                                   "or --directory=.");
        return 0;
}

int config_validate(const struct container_config *c, struct failure *failure)
{
        int r = validate_rootfs(c, failure);

        if (r < 0)
                return r;
        if (c->ownership == OWNERSHIP_CHOWN && config_tree_is_read_only(c))
                return failure_set(failure, -EINVAL,
                                   "--private-users-ownership=chown changes the tree, which "
                                   "%s forbids. Leave one of them out.",
                                   c->read_only ? "--read-only" : "--volatile=");
        if (c->userns_mode != USERNS_NO && c->api_vfs == API_VFS_WRITABLE)
                return failure_set(failure, -EINVAL,
                                   "SYSTEMD_NSPAWN_API_VFS_WRITABLE=1 cannot be combined with "
                                   "user namespaces. Leave out --private-users= or the variable.");
        if (c->userns_mode != USERNS_NO && c->api_vfs == API_VFS_NETWORK &&
            !config_network_is_own(&c->network))
                return failure_set(failure, -EINVAL,
                                   "SYSTEMD_NSPAWN_API_VFS_WRITABLE=network needs "
                                   "--private-network when user namespaces are used.");
        if (c->ambient_capabilities == CAPS_ALL)
                return failure_set(failure, -EINVAL,
                                   "--ambient-capability=all cannot be used: name the capabilities "
                                   "that the command needs.");
        if (c->ambient_capabilities != 0 && c->start_mode == START_BOOT)
                return failure_set(failure, -EINVAL,
                                   "--ambient-capability= cannot be combined with --boot: an init "
                                   "has all capabilities already. Leave one of them out.");
        if (c->nesting && c->userns_mode == USERNS_NO)
                return failure_set(failure, -EINVAL,
                                   "--nesting needs a user namespace, because what it allows is "
                                   "harmless only there. Add --private-users=pick or -U.");
        if (c->json && c->action != ACTION_DRY_RUN)
                return failure_set(failure, -EINVAL,
                                   "--json only makes sense with --dry-run. Add --dry-run.");
        if (validate_sharing(c, failure) < 0)
                return failure->error;
        if (config_validate_network(&c->network, failure) < 0)
                return failure->error;
        if (validate_integration(c, failure) < 0)
                return failure->error;
        return validate_mounts(c, failure);
}
