/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The first process of a container. It is born by one clone3() with all its namespaces, as:
 *
 *      mount      own, a copy of the host's until the root is attached; then the tree alone
 *      pid, ipc, uts   own
 *      cgroup     the host's, until "enter a cgroup namespace"
 *      network    own with --private-network, else the host's
 *      user       own with --private-users=, without ids until MSG_NAMESPACES
 *      time       the host's, until "time namespace"
 *
 * The order of the steps is the table at the end; each row says why it is where it is.
 */

#include "nspawn/child.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <linux/keyctl.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "basic/caps.h"
#include "basic/channel.h"
#include "basic/fd.h"
#include "basic/io.h"
#include "basic/log.h"
#include "basic/parse.h"
#include "basic/process.h"
#include "basic/strv.h"
#include "netsetup/net-run.h"
#include "netsetup/netsetup.h"
#include "nspawn/explain.h"
#include "nspawn/protocol.h"
#include "nspawn/stub-init.h"
#include "nspawn/user-lookup.h"

struct child {
        const struct child_inputs *in;
        const struct container_plan *plan;
        struct failure failure;
        struct user_entry user; /* name NULL and uid 0: root, not looked up */
        bool has_user;
        char **environment;
};

static int child_failed(struct child *c, int error, const char *what)
{
        return failure_set(&c->failure, error, "Cannot %s: %s.", what, error_text(error));
}

/* ---- steps ------------------------------------------------------------------------------- */

static int step_die_with_supervisor(struct child *c)
{
        /* Without its supervisor a container has no console and nobody to end it. One that died
         * before this line is noticed by the wait for MSG_GO. */
        return prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 ? child_failed(c, -errno, "set a death signal")
                                                    : 0;
}

static int receive(struct child *c, enum message_type want, int *fds, size_t max_fds,
                   size_t *ret_n_fds)
{
        struct channel_message message;
        int r = channel_receive(c->in->channel_fd, -1, &message, fds, max_fds, ret_n_fds);

        if (r >= 0 && message.type != want)
                r = -EPROTO;
        /* The supervisor is gone: there is nobody to tell, and nothing may be left running. */
        if (r == -EPIPE)
                _exit(EXIT_FAILURE);
        return r < 0 ? child_failed(c, r, "hear from the supervisor") : 0;
}

static int step_time_namespace(struct child *c)
{
        const char *what = NULL;
        int r = c->plan->private_time ? time_namespace_enter_new(&c->in->begin, &what) : 0;

        char why[EXPLAIN_MAX];

        if (r >= 0)
                return 0;
        explain_namespaces(CLONE_NEWTIME, r, why);
        return failure_set(&c->failure, r, "Cannot %s: %s.%s Without it there is --time=host.",
                           what, error_text(r), why);
}

static int step_wait_for_namespaces(struct child *c)
{
        int fds[CHANNEL_MAX_FDS];
        size_t n = 0;
        int r;

        if (!c->in->wait_for_namespaces)
                return 0;
        r = receive(c, MSG_NAMESPACES, fds, CHANNEL_MAX_FDS, &n);
        if (r < 0)
                return r;
        r = mount_run_take_mapped(c->in->mounts, fds, n);
        return r < 0 ? child_failed(c, r, "take the id-mapped mounts") : 0;
}

static int step_become_root(struct child *c)
{
        if (c->plan->user_namespace && (setresgid(0, 0, 0) < 0 || setresuid(0, 0, 0) < 0))
                return child_failed(c, -errno, "become root of the user namespace");
        if (setgroups(0, NULL) < 0)
                return child_failed(c, -errno, "drop the caller's groups");
        /* Changing ids took the death signal away (prctl(2)). */
        return c->plan->user_namespace ? step_die_with_supervisor(c) : 0;
}

static int step_cgroup_namespace(struct child *c)
{
        return unshare(CLONE_NEWCGROUP) < 0 ? child_failed(c, -errno, "enter a cgroup namespace")
                                            : 0;
}

static int step_mounts(struct child *c)
{
        static const struct channel_message refused = { .type = MSG_API_REFUSED };
        int r = mount_run_attach(c->in->mounts, &c->failure);

        /* The next one gets them from the supervisor; without a user namespace nobody else can. */
        if (r == MOUNT_API_REFUSED && c->plan->user_namespace) {
                (void) channel_send(c->in->channel_fd, &refused, NULL, 0);
                _exit(EXIT_FAILURE);
        }
        return r == MOUNT_API_REFUSED ? c->failure.error : r;
}

static int step_names(struct child *c)
{
        const char *name = c->plan->hostname;

        (void) umask(0022);
        if (!(c->plan->namespaces & CLONE_NEWUTS))
                return 0; /* it would be the host's */
        return sethostname(name, strlen(name)) < 0
                       ? failure_set(&c->failure, -errno, "Cannot set the host name '%s': %s.",
                                     name, error_text(errno))
                       : 0;
}

static int step_network(struct child *c)
{
        size_t n = 0;
        int r;

        if (!(c->plan->namespaces & CLONE_NEWNET))
                return 0; /* it is somebody else's */
        if (!net_plan_has_work(&c->plan->network)) {
                r = loopback_up();
                return r < 0 ? child_failed(c, r, "bring the loopback interface up") : 0;
        }
        r = receive(c, MSG_NETWORK, NULL, 0, &n);
        return r < 0 ? r : net_run_guest(&c->plan->network, &c->failure);
}

/* Nothing of who started us sticks to the payload: neither keys nor the audit session. */
static int step_session(struct child *c)
{
        /* Without the call there are no keys; who may not make a keyring (they count against a
         * quota) would keep the caller's. */
        if (syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, 0, 0, 0, 0) < 0 && errno != ENOSYS &&
            errno != EPERM && errno != EACCES)
                return child_failed(c, -errno, "start a session keyring");
        (void) write_file_at(AT_FDCWD, "/proc/self/loginuid", "4294967295");
        return setsid() < 0 ? child_failed(c, -errno, "start a session") : 0;
}

static int step_terminal(struct child *c)
{
        if (c->in->console_fd < 0)
                return 0;
        for (int i = 0; i < 3; i++)
                if (dup2(c->in->console_fd, i) < 0) /* standard streams are there to be inherited */
                        return child_failed(c, -errno, "connect the console");
        /* With the stub the payload, not the stub, gets it as its controlling terminal. An init wants
         * none, as on real hardware: ^C is not for it, and in a user namespace nobody can take the
         * terminal from it, so that there is no login on the console. */
        if (c->plan->start_mode == START_COMMAND && ioctl(0, TIOCSCTTY, 0) < 0)
                return child_failed(c, -errno, "take the console as controlling terminal");
        return 0;
}

static bool parse_limit(const char *text, rlim_t *ret)
{
        unsigned long value = 0;

        if (streq(text, "unlimited"))
                *ret = RLIM_INFINITY;
        else if (parse_ulong(text, 0, ULONG_MAX, &value) >= 0)
                *ret = value;
        else
                return false;
        return true;
}

/*
 * The limits that we have already, as /proc/self/limits lists them: lines of a name of 26 columns,
 * soft and hard limit, in the order of the kernel's numbers. One read instead of a call for each.
 * @known tells which of @have are filled in.
 */
static void read_limits(struct rlimit have[RLIM_NLIMITS], bool known[RLIM_NLIMITS])
{
        char text[4096];
        const char *line;

        if (read_text_at(AT_FDCWD, "/proc/self/limits", text, sizeof(text)) < 0)
                return;
        line = strchr(text, '\n');
        for (int i = 0; line && i < RLIM_NLIMITS; i++) {
                char soft[32] = "", hard[32] = "";

                line++;
                known[i] = strnlen(line, 26) == 26 &&
                           sscanf(line + 26, "%31s %31s", soft, hard) == 2 && /* NOLINT(cert-*) */
                           parse_limit(soft, &have[i].rlim_cur) &&
                           parse_limit(hard, &have[i].rlim_max);
                line = strchr(line, '\n');
        }
}

static int set_limit(int resource, struct rlimit want)
{
        struct rlimit have;

        if (setrlimit((__rlimit_resource_t) resource, &want) == 0)
                return 0;
        if (errno != EPERM || getrlimit((__rlimit_resource_t) resource, &have) < 0)
                return -errno;
        /* Nobody gets more open files than the kernel has for a process. */
        if (resource == RLIMIT_NOFILE) {
                char text[32];
                unsigned long most = 0;

                if (read_line_at(AT_FDCWD, "/proc/sys/fs/nr_open", text, sizeof(text)) >= 0 &&
                    parse_ulong(text, 1, ULONG_MAX, &most) >= 0 && want.rlim_max > most) {
                        want.rlim_max = most;
                        want.rlim_cur = MIN_OF(want.rlim_cur, want.rlim_max);
                        if (setrlimit((__rlimit_resource_t) resource, &want) == 0)
                                return 0;
                }
        }
        /* More than we may give: as much as we may. */
        want.rlim_max = MIN_OF(want.rlim_max, have.rlim_max);
        want.rlim_cur = MIN_OF(want.rlim_cur, want.rlim_max);
        return setrlimit((__rlimit_resource_t) resource, &want) < 0 ? -errno : 0;
}

static int step_limits(struct child *c)
{
        struct rlimit have[RLIM_NLIMITS];
        bool known[RLIM_NLIMITS] = { false };

        read_limits(have, known);
        for (int i = 0; i < RLIM_NLIMITS; i++) {
                const struct rlimit *want = &c->plan->limits[i];
                int r = 0;

                if (!known[i] || want->rlim_cur != have[i].rlim_cur ||
                    want->rlim_max != have[i].rlim_max)
                        r = set_limit(i, *want);
                if (r < 0)
                        return failure_set(&c->failure, r, "Cannot set the limit %s: %s.",
                                           limit_name(i), error_text(r));
        }
        return 0;
}

/* What the kernel keeps for a process, and children inherit. */
static int step_execution(struct child *c)
{
        const struct container_config *config = c->plan->config;
        struct cpu_mask mask;

        if (config->cpu_affinity) {
                int r = cpu_mask_from_list(config->cpu_affinity, &mask);

                if (r >= 0 && syscall(SYS_sched_setaffinity, 0, sizeof(mask), &mask) < 0)
                        r = -errno;
                if (r < 0)
                        return failure_set(&c->failure, r,
                                           "Cannot run on the CPUs %s (--cpu-affinity=): %s.%s",
                                           config->cpu_affinity, error_text(r),
                                           r == -EINVAL ? " The control group allows none of them."
                                                        : "");
        }
        if (config->personality && personality(config->personality_id) < 0)
                return failure_set(&c->failure, -errno,
                                   "Cannot take the personality '%s' (--personality=): %s.",
                                   config->personality, error_text(errno));
        return 0;
}

/* Users of the host are not in the container's files. */
static int take_bound_user(struct child *c)
{
        const struct bound_users *users = c->plan->users;
        uint32_t number = UINT32_MAX;

        (void) parse_uid(c->plan->user, &number);
        for (size_t i = 0; users && i < users->n; i++) {
                const struct bound_user *user = &users->list[i];

                if (!streq(user->name, c->plan->user) && user->inside != number)
                        continue;
                c->user = (struct user_entry){ .uid = user->inside,
                                               .gid = user->inside,
                                               .name = user->name,
                                               .n_groups = 1,
                                               .groups = { user->inside } };
                if (asprintf(&c->user.home, "/run/host/home/%s", user->name) < 0)
                        return child_failed(c, -ENOMEM, "become the user");
                c->has_user = true;
                return 1;
        }
        return 0;
}

static int step_user(struct child *c)
{
        int root_fd CLEANUP_FD = -1;
        int r;

        if (!c->plan->user || streq(c->plan->user, "root") || streq(c->plan->user, "0"))
                return 0;
        r = take_bound_user(c);
        if (r != 0)
                return MIN_OF(r, 0);
        root_fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
        r = root_fd < 0 ? -errno : user_lookup(root_fd, c->plan->user, &c->user);
        if (r == -ESRCH)
                return failure_set(&c->failure, r,
                                   "There is no user '%s' in the container's /etc/passwd.",
                                   c->plan->user);
        if (r < 0)
                return child_failed(c, r, "look the user up in the container");
        c->has_user = true;
        return 0;
}

static int set_variable(char ***list, const char *name, const char *value)
{
        char *text CLEANUP_FREE = NULL;

        return asprintf(&text, "%s=%s", name, value) < 0 ? -ENOMEM : strv_env_set(list, text);
}

static int step_environment(struct child *c)
{
        const char *home = c->has_user ? c->user.home : "/root";
        const char *name = c->has_user ? c->user.name : "root";
        int r = strv_add_all(&c->environment, c->plan->environment);

        if (r >= 0 && home)
                r = set_variable(&c->environment, "HOME", home);
        if (r >= 0 && name)
                r = set_variable(&c->environment, "USER", name);
        if (r >= 0 && name)
                r = set_variable(&c->environment, "LOGNAME", name);
        STRV_FOREACH(item, c->plan->config->environment)
        if (r >= 0)
                r = strv_env_set(&c->environment, *item);
        return r < 0 ? child_failed(c, r, "make the environment") : 0;
}

/*
 * From here on the kernel follows names of the tree alone, when it changes the directory and executes
 * the program, and a link there to /proc/self/fd/N leads out of the container if N is the host's. So
 * nothing of that kind is left open; also not in the stub, which is /proc/1 for its payload.
 */
static int step_descriptors(struct child *c)
{
        int first = 3 + (int) c->plan->config->n_listen_fds;
        int r;

        for (int fd = 3; fd < first; fd++)
                if (fcntl(fd, F_SETFD, 0) < 0)
                        return child_failed(c, -errno, "pass the sockets on");
        r = fd_close_others(first, c->in->channel_fd);
        return r < 0 ? child_failed(c, r, "close descriptors") : 0;
}

static int step_wait_for_go(struct child *c)
{
        size_t n = 0;

        return receive(c, MSG_GO, NULL, 0, &n);
}

static int step_signals(struct child *c)
{
        int r = process_reset_signals();

        return r < 0 ? child_failed(c, r, "reset the signals") : 0;
}

static int step_bounding(struct child *c)
{
        int r = caps_limit_bounding(c->plan->capabilities);

        return r < 0 ? child_failed(c, r, "limit the capabilities") : 0;
}

/* A kernel that has filters looks for the one that it is given here, and finds none (prctl(2)). */
static bool kernel_has_filters(void)
{
        return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, NULL, 0, 0) < 0 && errno == EFAULT;
}

/* For the program that is run next, and those that it starts. */
static int step_label(struct child *c)
{
        const char *label = c->plan->config->selinux_context;
        int r = label ? write_file_at(AT_FDCWD, "/proc/self/attr/exec", label) : 0;

        return r < 0 ? failure_set(&c->failure, r,
                                   "Cannot use the SELinux label '%s' (--selinux-context=): %s.",
                                   label, error_text(r))
                     : 0;
}

static int step_filter(struct child *c)
{
        int r = c->in->filter->length > 0
                        ? seccomp_program_install(c->in->filter, c->plan->config->log_filter)
                        : 0;

        /* A kernel without filters is an old friend of ours; anything else is a mistake. */
        if (r >= 0 || ((r == -ENOSYS || r == -EINVAL) && !kernel_has_filters()))
                return 0;
        return child_failed(c, r, "load the system call filter");
}

static int become_user(struct child *c)
{
        /* The console is the user's now, to be opened by name too; a caller's stream stays as it is. */
        if (c->in->console_fd >= 0 && fchown(STDIN_FILENO, c->user.uid, (gid_t) -1) < 0)
                return child_failed(c, -errno, "give the console to the user");
        /* Keeping the capabilities across setresuid() leaves the last word to caps_set(). */
        if (prctl(PR_SET_KEEPCAPS, 1) < 0 || setgroups(c->user.n_groups, c->user.groups) < 0 ||
            setresgid(c->user.gid, c->user.gid, c->user.gid) < 0 ||
            setresuid(c->user.uid, c->user.uid, c->user.uid) < 0 || prctl(PR_SET_KEEPCAPS, 0) < 0)
                return child_failed(c, -errno, "become the user");
        if (step_die_with_supervisor(c) < 0)
                return c->failure.error;
        /* Nothing waits for the supervisor after this: who died in between sends no signal. */
        if (channel_peer_is_gone(c->in->channel_fd))
                _exit(EXIT_FAILURE);
        return 0;
}

static int step_privileges(struct child *c)
{
        uint64_t ambient = c->plan->config->ambient_capabilities;
        uint64_t keep = c->plan->capabilities;
        int r = 0;

        if (c->has_user && c->user.uid != 0) {
                r = become_user(c);
                keep = ambient;
        }
        if (r >= 0)
                r = caps_set(keep, keep, keep);
        if (r >= 0 && ambient) {
                r = caps_raise_ambient(ambient);
                if (r == -EPERM)
                        return failure_set(&c->failure, r,
                                           "Cannot raise the ambient capabilities "
                                           "(--ambient-capability=): %s. The host lacks one of "
                                           "them itself.",
                                           error_text(r));
        }
        if (r >= 0 && c->plan->config->no_new_privileges &&
            prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
                r = -errno;
        return r < 0 ? child_failed(c, r, "drop privileges") : 0;
}

/* ---- the end: exec ----------------------------------------------------------------------- */

static const char *home_of(const struct child *c)
{
        return c->has_user && c->user.home ? c->user.home : "/root";
}

static int step_directory(struct child *c)
{
        bool shell = !c->plan->argv && c->plan->start_mode != START_BOOT;
        const char *path = c->plan->working_directory ? c->plan->working_directory
                           : shell                    ? home_of(c)
                                                      : "/";

        if (streq(path, "/"))
                return 0; /* there since the root was attached */
        if (chdir(path) == 0)
                return 0;
        /* A home directory may be missing; a directory that was asked for may not. */
        if (!c->plan->working_directory && chdir("/") == 0)
                return 0;
        return failure_set(&c->failure, -errno,
                           "Cannot change to the directory '%s' (--chdir=): %s.", path,
                           error_text(errno));
}

/* Why none of @paths could be started; @error is what the last one that is there said. */
static int explain_exec(struct child *c, const char *what, const char *const *paths, size_t n,
                        int error, const char *cure)
{
        char why[EXPLAIN_MAX] = "";
        size_t i = 0;

        while (i < n && access(paths[i], F_OK) < 0)
                i++;
        if (i < n)
                explain_program(paths[i], error, why);
        else
                (void) snprintf(why, sizeof(why), " %s", cure);
        return failure_set(&c->failure, error, "Cannot start %s: %s.%s", what, error_text(error),
                           why);
}

static int exec_init(struct child *c)
{
        static const char *const paths[] = { "/usr/lib/systemd/systemd", "/lib/systemd/systemd",
                                             "/sbin/init" };
        size_t n = strv_length(c->plan->argv);
        char **argv = calloc(n + 2, sizeof(char *));
        int error = -ENOENT;

        if (!argv)
                return child_failed(c, -ENOMEM, "start init");
        for (size_t i = 0; i < n; i++)
                argv[i + 1] = c->plan->argv[i];
        for (size_t i = 0; i < ARRAY_SIZE(paths) && error == -ENOENT; i++) {
                argv[0] = (char *) paths[i];
                (void) execve(paths[i], argv, c->environment);
                error = -errno;
        }
        free(argv);
        return explain_exec(c,
                            "an init of the tree (tried /usr/lib/systemd/systemd, "
                            "/lib/systemd/systemd and /sbin/init)",
                            paths, ARRAY_SIZE(paths), error,
                            "Install an init in the tree, or run a command without --boot.");
}

static int exec_shell(struct child *c)
{
        static const char *const paths[] = { "/bin/bash", "/bin/sh" };
        static const char *const names[] = { "-bash", "-sh" };
        int error = -ENOENT;

        for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
                char *argv[] = { (char *) names[i], NULL };

                (void) execve(paths[i], argv, c->environment);
                /* That of one that is there counts. */
                if (errno != ENOENT || error == -ENOENT)
                        error = -errno;
        }
        return explain_exec(c, "a shell of the tree (tried /bin/bash and /bin/sh)", paths,
                            ARRAY_SIZE(paths), error,
                            "Install one in the tree, or say which command to run.");
}

/* Tries @name in the folders of @path. @there gets one that is there and cannot be started, or "". */
static int exec_in_path(struct child *c, const char *name, const char *path, char *there,
                        size_t size)
{
        char **folders CLEANUP_STRV = NULL;
        int error = -ENOENT;

        if (strv_split(path, ":", &folders) < 0)
                return -ENOMEM;
        STRV_FOREACH(folder, folders)
        {
                char *full CLEANUP_FREE = NULL;

                if (asprintf(&full, "%s/%s", *folder, name) < 0)
                        return -ENOMEM;
                (void) execve(full, c->plan->argv, c->environment);
                if (errno == ENOENT || errno == ENOTDIR)
                        continue;
                error = -errno;
                (void) snprintf(there, size, "%s", full);
                if (errno != EACCES)
                        return error;
        }
        /* One that is there may miss what it needs itself. All has failed; this may take a while. */
        STRV_FOREACH(folder, folders)
        {
                if (there[0])
                        break;
                (void) snprintf(there, size, "%s/%s", *folder, name);
                if (access(there, F_OK) < 0)
                        there[0] = '\0';
        }
        return error;
}

/* As execvpe(3), with the payload's own PATH. */
static int exec_command(struct child *c)
{
        const char *name = c->plan->argv[0], *path = strv_env_get(c->environment, "PATH");
        char there[PATH_MAX] = "", why[EXPLAIN_MAX] = "";
        int error;

        path = path ? path : "/bin:/usr/bin";
        if (strchr(name, '/')) {
                (void) execve(name, c->plan->argv, c->environment);
                error = -errno;
                if (access(name, F_OK) == 0)
                        (void) snprintf(there, sizeof(there), "%s", name);
        } else
                error = exec_in_path(c, name, path, there, sizeof(there));
        if (error == -ENOMEM && !there[0])
                return child_failed(c, error, "start the command");
        if (there[0])
                explain_program(there, error, why);
        else if (error == -ENOENT && !strchr(name, '/'))
                (void) snprintf(why, sizeof(why),
                                " None of the folders of PATH (%.200s) has such a program.", path);
        return failure_set(&c->failure, error, "Cannot start '%s' in the container: %s.%s", name,
                           error_text(error), why);
}

static int step_exec(struct child *c)
{
        if (c->plan->start_mode == START_BOOT)
                return exec_init(c);
        return c->plan->argv ? exec_command(c) : exec_shell(c);
}

/* ---- the order --------------------------------------------------------------------------- */

struct step {
        int (*run)(struct child *c);
};

/* As the first process, and with all its privileges. */
static const struct step set_up_steps[] = {
        { step_die_with_supervisor },
        { step_time_namespace },      /* our files in /proc are ours until the ids change */
        { step_wait_for_namespaces }, /* before anything that needs an id or the final cgroup */
        { step_become_root },
        { step_cgroup_namespace }, /* its root is the group that we are in now; before cgroup2 */
        { step_mounts },           /* from here on every path is the container's */
        { step_names },
        { step_network },
        { step_session },
        { step_terminal }, /* after the mounts: the terminal is the container's own */
        { step_user },
        { step_environment },
        { step_execution },
        { step_limits },      /* late: some of them would limit us too */
        { step_descriptors }, /* nothing comes after it but GO and the payload's steps */
};

/* As the process that becomes the payload; with the stub that is its child. */
static const struct step payload_steps[] = {
        { step_label },    /* needs files and privileges, which the next rows may take away */
        { step_filter },   /* loading it needs CAP_SYS_ADMIN, which the next rows may drop */
        { step_bounding }, /* needs CAP_SETPCAP */
        { step_privileges },
        { step_directory }, /* as the user, who may not be able to look everywhere */
        { step_exec },      /* closes the channel, which carries every earlier failure */
};

static _Noreturn void tell_failure(const struct child *c)
{
        struct channel_message message = { .type = MSG_FAILED, .error = c->failure.error };

        (void) strncpy(message.text, c->failure.text, sizeof(message.text) - 1);
        (void) channel_send(c->in->channel_fd, &message, NULL, 0);
        _exit(EXIT_FAILURE);
}

static void run_steps(struct child *c, const struct step *steps, size_t n)
{
        for (size_t i = 0; i < n; i++)
                if (steps[i].run(c) < 0)
                        tell_failure(c);
}

/* The payload runs below us; we keep what a reboot needs, and nothing else. */
static void become_stub(struct child *c)
{
        char uuid[ID128_TEXT_SIZE];
        uint64_t keep = c->plan->capabilities;
        sigset_t all;
        pid_t pid;
        int r;

        (void) sigfillset(&all);
        (void) sigprocmask(SIG_SETMASK, &all, NULL);
        /* By this name the supervisor knows how to ask it, from the moment that the payload runs. */
        (void) prctl(PR_SET_NAME, STUB_INIT_NAME);
        pid = fork();
        if (pid < 0) {
                (void) child_failed(c, -errno, "start the payload");
                tell_failure(c);
        }
        if (pid == 0) {
                if (step_die_with_supervisor(c) < 0)
                        tell_failure(c);
                if (setsid() < 0 || (c->in->console_fd >= 0 && ioctl(0, TIOCSCTTY, 0) < 0)) {
                        (void) child_failed(c, -errno, "start a session");
                        tell_failure(c);
                }
                return;
        }
        if (step_bounding(c) < 0 || step_filter(c) < 0)
                tell_failure(c);
        r = caps_set(keep, keep, 0);
        if (r < 0) {
                (void) child_failed(c, r, "drop the privileges of the small init");
                tell_failure(c);
        }
        id128_to_plain(&c->plan->uuid, uuid);
        stub_init_hide_caller(c->in->host_argv, c->in->host_environment, c->plan->config->service,
                              uuid);
        /* It stays in the container as its first process, so nothing of the host's may. */
        if (syscall(SYS_close_range, 0U, ~0U, 0) < 0) {
                (void) child_failed(c, -errno, "close the small init's descriptors");
                tell_failure(c);
        }
        stub_init_run(pid);
}

_Noreturn void child_run(const struct child_inputs *in)
{
        struct child c = { .in = in, .plan = in->plan };

        run_steps(&c, set_up_steps, ARRAY_SIZE(set_up_steps));
        if (step_wait_for_go(&c) < 0)
                tell_failure(&c);
        if (c.plan->start_mode == START_AS_PID2)
                become_stub(&c);
        if (step_signals(&c) < 0)
                tell_failure(&c);
        run_steps(&c, payload_steps, ARRAY_SIZE(payload_steps));
        tell_failure(&c);
}
