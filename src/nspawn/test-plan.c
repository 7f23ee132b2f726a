/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <linux/capability.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "basic/path.h"
#include "basic/strv.h"
#include "nspawn/options.h"
#include "nspawn/plan.h"
#include "nspawn/seccomp-groups.h"

/* ---- a world written by hand ------------------------------------------------------------- */

#define LOCKED (MOUNT_NOSUID | MOUNT_NODEV | MOUNT_NOEXEC)
#define BASE 524288U

/* All that a plan is made of; tests change what they are about. */
struct world {
        struct container_config config;
        struct host_facts host;
        struct tree_facts tree;
        struct ids ids;
        struct source_fact sources[8];
        struct plan_inputs inputs;
        struct failure failure;
        struct container_plan plan;
};

static char *host_environment[] = { (char *) "container_host_id=debian",
                                    (char *) "container_host_version_id=12", NULL };

/* A host with everything, an unshifted tree with an os-release, and @line as options. */
static void world_make(struct world *w, const char *line)
{
        static const struct node_fact nodes[N_STANDARD_NODES] = {
                { "null", true, 0666, 0 },    { "zero", true, 0666, 0 },
                { "full", true, 0666, 0 },    { "random", true, 0666, 0 },
                { "urandom", true, 0644, 0 }, { "tty", true, 0620, 0 },
                { "net/tun", true, 0666, 0 }, { "fuse", false, 0, 0 },
        };
        struct settings s CLEANUP(settings_done) = { .n = 0 };
        char **argv CLEANUP_STRV = NULL, **words CLEANUP_STRV = NULL;

        *w = (struct world){
                .host = { .host = HOST_NATIVE,
                          .user_namespaces = true,
                          .has_kcore = true,
                          .os_release_path = "/usr/lib/os-release",
                          .os_release_environment = host_environment,
                          .nproc = { 111, 222 },
                          .sigpending = { 333, 444 },
                          .term = "xterm",
                          .has_resolv_conf = true,
                          .localtime = LOCALTIME_LINK,
                          .localtime_zone = (char *) "Europe/Berlin" },
                .tree = { .path = (char *) "/srv/tree",
                          .fd = -1,
                          .has_usr = true,
                          .has_os_release = true,
                          .has_host_zone = true },
                .ids = IDS_NULL,
        };
        memcpy(w->host.nodes, nodes, sizeof(nodes));
        for (size_t i = 0; i < N_STANDARD_NODES; i++)
                w->host.nodes[i].device = makedev(1, 3 + (unsigned) i);
        config_init(&w->config);
        assert_int_equal(strv_add(&argv, "nspawn"), 0);
        assert_int_equal(strv_split(line, "|", &words), 0);
        assert_int_equal(strv_add_all(&argv, words), 0);
        assert_int_equal(settings_add_argv(&s, (int) strv_length(argv), argv, &w->failure), 0);
        if (settings_apply(&s, &w->config, &w->failure) != 0)
                fail_msg("'%s': %s", line, w->failure.text);
        w->config.service = strdup("systemd-nspawn");
        w->inputs = (struct plan_inputs){
                .config = &w->config,
                .host = &w->host,
                .tree = &w->tree,
                .ids = &w->ids,
                .sources = w->sources,
                .machine = "web",
                .root_is_mapped = true,
        };
        memset(&w->inputs.random_uuid, 0x11, sizeof(struct id128));
        memset(&w->inputs.boot_id, 0x22, sizeof(struct id128));
        if (w->config.userns_mode != USERNS_NO) {
                w->ids.user_namespace = true;
                w->ids.map = (struct idmap){ w->config.userns_mode == USERNS_IDENTITY ? 0 : BASE,
                                             65536 };
        }
}

static void world_done(struct world *w)
{
        plan_done(&w->plan);
        config_done(&w->config);
}

static void build(struct world *w)
{
        int r = plan_build(&w->inputs, &w->plan, &w->failure);

        if (r != 0)
                fail_msg("%d: %s", r, w->failure.text);
}

#define WORLD(w, line)                                                                             \
        struct world w CLEANUP(world_done);                                                        \
        world_make(&(w), (line))

static const struct mount_op *find(const struct world *w, const char *target)
{
        int i = mount_plan_find(&w->plan.mounts, target);

        if (i < 0)
                fail_msg("nothing is mounted on '%s'", target);
        return &w->plan.mounts.ops[i];
}

static int find_last(const struct world *w, const char *target)
{
        for (size_t i = w->plan.mounts.n_ops; i-- > 0;)
                if (streq(w->plan.mounts.ops[i].target, target))
                        return (int) i;
        return -1;
}

static int find_kind(const struct world *w, enum mount_kind kind, const char *target)
{
        for (size_t i = 0; i < w->plan.mounts.n_ops; i++)
                if (w->plan.mounts.ops[i].kind == kind &&
                    streq(w->plan.mounts.ops[i].target, target))
                        return (int) i;
        return -1;
}

static const struct tree_entry *find_entry(const struct mount_op *op, const char *path)
{
        for (size_t i = 0; i < op->n_entries; i++)
                if (streq(op->entries[i].path, path))
                        return &op->entries[i];
        return NULL;
}

/* ---- capabilities, console, environment, limits ------------------------------------------ */

static void test_capabilities(void **state)
{
        static const struct {
                const char *line;
                uint64_t set;
        } rows[] = {
                { "", 0xfdecafff },
                { "--private-network", 0xfdecbfff },
                { "--private-users", 0xfdecabff },
                { "-U", 0xfdecabff },
                { "--private-users=identity", 0xfdecafff },
                { "-U|--private-network", 0xfdecbfff },
                { "-U|--nesting", 0xfdecbfff },
                { "-U|--nesting|--private-network", 0xfdecbfff },
                { "-U|--nesting|--drop-capability=CAP_NET_ADMIN", 0xfdecafff },
                { "-b", 0xfdecafff },
                { "--capability=CAP_NET_ADMIN", 0xfdecbfff },
                { "--drop-capability=CAP_CHOWN", 0xfdecaffe },
                { "--capability=CAP_SYSLOG|--drop-capability=CAP_SYSLOG", 0xfdecafff },
                { "--private-network|--drop-capability=CAP_NET_ADMIN", 0xfdecafff },
                { "-U|--capability=CAP_NET_BIND_SERVICE", 0xfdecafff },
                { "--capability=all", UINT64_MAX },
                { "--drop-capability=all", 0 },
                { "--share-system", 0xfdacafff },
                { "--share-system|--capability=CAP_SYS_BOOT", 0xfdecafff },
                { "--capability=all|--drop-capability=CAP_CHOWN", UINT64_MAX - 1 },
                { "--capability=all|--drop-capability=all", 0 },
        };

        (void) state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                WORLD(w, rows[i].line);

                build(&w);
                if (w.plan.capabilities != rows[i].set)
                        fail_msg("'%s': %llx", rows[i].line,
                                 (unsigned long long) w.plan.capabilities);
                assert_true(w.plan.filter.retained_caps == rows[i].set);
        }
}

static void test_console(void **state)
{
        static const struct {
                const char *line;
                bool in, out;
                enum console_mode mode;
        } rows[] = {
                { "", true, true, CONSOLE_INTERACTIVE },
                { "", true, false, CONSOLE_READ_ONLY },
                { "", false, true, CONSOLE_READ_ONLY },
                { "", false, false, CONSOLE_READ_ONLY },
                { "--console=autopipe", true, true, CONSOLE_INTERACTIVE },
                { "--console=autopipe", true, false, CONSOLE_PIPE },
                { "--console=autopipe", false, true, CONSOLE_PIPE },
                { "--console=autopipe", false, false, CONSOLE_PIPE },
                { "--console=interactive", false, false, CONSOLE_INTERACTIVE },
                { "--console=read-only", true, true, CONSOLE_READ_ONLY },
                { "--console=passive", true, true, CONSOLE_PASSIVE },
                { "--pipe", true, true, CONSOLE_PIPE },
        };

        (void) state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                WORLD(w, rows[i].line);

                w.host.stdin_is_terminal = rows[i].in;
                w.host.stdout_is_terminal = rows[i].out;
                build(&w);
                if (w.plan.console != rows[i].mode)
                        fail_msg("row %zu: %s", i, console_mode_name(w.plan.console));
                /* The terminal's node is there if there is a terminal. */
                assert_int_equal(find_entry(find(&w, "/dev"), "console") != NULL,
                                 rows[i].mode != CONSOLE_PIPE);
        }
}

static char *join(char *const *list)
{
        struct strbuf b CLEANUP_STRBUF = STRBUF_NULL;

        STRV_FOREACH(item, list)
        strbuf_addf(&b, "%s|", *item);
        return strbuf_take(&b);
}

#define PATH_LINE "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin|"
#define UUID_LINE "container_uuid=11111111-1111-1111-1111-111111111111|"
#define HOST_LINES "container_host_id=debian|container_host_version_id=12|"

static void test_environment(void **state)
{
        static const struct {
                const char *line, *term, *colorterm, *no_color;
                unsigned n_fds;
                const char *environment;
        } rows[] = {
                { "", "xterm", NULL, NULL, 0,
                  PATH_LINE "container=systemd-nspawn|TERM=xterm|" UUID_LINE
                            "NOTIFY_SOCKET=/run/host/notify|LANG=C.UTF-8|" HOST_LINES },
                { "-a", NULL, NULL, NULL, 0,
                  PATH_LINE "container=systemd-nspawn|" UUID_LINE
                            "NOTIFY_SOCKET=/run/host/notify|LANG=C.UTF-8|" HOST_LINES },
                { "-b", "xterm", "truecolor", "1", 0,
                  PATH_LINE
                  "container=systemd-nspawn|TERM=xterm|COLORTERM=truecolor|NO_COLOR=1|" UUID_LINE
                  "NOTIFY_SOCKET=/run/host/notify|" HOST_LINES },
                { "", NULL, NULL, NULL, 3,
                  PATH_LINE "container=systemd-nspawn|" UUID_LINE "LISTEN_FDS=3|LISTEN_PID=1|"
                            "NOTIFY_SOCKET=/run/host/notify|LANG=C.UTF-8|" HOST_LINES },
        };

        (void) state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                WORLD(w, rows[i].line);
                char *environment CLEANUP_FREE = NULL;

                w.host.term = rows[i].term;
                w.host.colorterm = rows[i].colorterm;
                w.host.no_color = rows[i].no_color;
                w.config.n_listen_fds = rows[i].n_fds;
                build(&w);
                environment = join(w.plan.environment);
                assert_string_equal(environment, rows[i].environment);
        }
}

/* Words of a boot that a kernel would make variables of. */
static void test_boot_words(void **state)
{
        static const struct {
                const char *line;
                const char *argv, *variables;
        } rows[] = {
                { "-b", "", "" },
                { "-b|single|3", "single|3|", "" },
                { "-b|A=1|x|b-c=d=e", "x|", "A=1|b_c=d=e" },
                { "-b|TERM=vt220|A=1|A=2", "", "TERM=vt220|A=2" },
                { "-b|systemd.unit=a.target|a.b=c", "systemd.unit=a.target|a.b=c|", "" },
                { "-b|x|--unit=x|--log-level=debug|-z=1", "x|--unit=x|--log-level=debug|-z=1|",
                  "" },
                { "-b|=x|1a=2|a b=c|\xc3\xa4=1|a", "=x|1a=2|a b=c|\xc3\xa4=1|a|", "" },
                { "-b|-EA=3|A=1", "", "A=1" },
                { "A=1|b", "A=1|b|", "" },
                { "-a|A=1", "A=1|", "" },
        };

        (void) state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                WORLD(w, rows[i].line);
                char *argv CLEANUP_FREE = NULL, **variables CLEANUP_STRV = NULL;

                build(&w);
                argv = w.plan.argv ? join(w.plan.argv) : strdup("");
                if (!streq(argv, rows[i].argv))
                        fail_msg("row %zu: '%s'", i, argv);
                assert_int_equal(strv_split(rows[i].variables, "|", &variables), 0);
                STRV_FOREACH(variable, variables)
                if (!strv_contains(w.plan.environment, *variable))
                        fail_msg("row %zu: no %s", i, *variable);
        }
}

static void test_limits(void **state)
{
        static const struct {
                int resource;
                rlim_t soft, hard;
        } rows[] = {
                { RLIMIT_AS, RLIM_INFINITY, RLIM_INFINITY },
                { RLIMIT_CORE, 0, RLIM_INFINITY },
                { RLIMIT_CPU, RLIM_INFINITY, RLIM_INFINITY },
                { RLIMIT_DATA, RLIM_INFINITY, RLIM_INFINITY },
                { RLIMIT_FSIZE, RLIM_INFINITY, RLIM_INFINITY },
                { RLIMIT_LOCKS, RLIM_INFINITY, RLIM_INFINITY },
                { RLIMIT_MEMLOCK, 8388608, 8388608 },
                { RLIMIT_MSGQUEUE, 819200, 819200 },
                { RLIMIT_NICE, 0, 0 },
                { RLIMIT_NOFILE, 1024, 524288 },
                { RLIMIT_NPROC, 111, 222 },
                { RLIMIT_RSS, RLIM_INFINITY, RLIM_INFINITY },
                { RLIMIT_RTPRIO, 0, 0 },
                { RLIMIT_RTTIME, RLIM_INFINITY, RLIM_INFINITY },
                { RLIMIT_SIGPENDING, 333, 444 },
                { RLIMIT_STACK, 8388608, RLIM_INFINITY },
        };
        WORLD(w, "");
        WORLD(v, "--rlimit=NPROC=5:6|--rlimit=CORE=infinity|--rlimit=AS=1G");

        (void) state;
        static_assert(ARRAY_SIZE(rows) == RLIM_NLIMITS, "a row for each limit");
        build(&w);
        build(&v);
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                const struct rlimit *limit = &w.plan.limits[rows[i].resource];

                if (limit->rlim_cur != rows[i].soft || limit->rlim_max != rows[i].hard)
                        fail_msg("%s", limit_name(rows[i].resource));
        }
        assert_int_equal(v.plan.limits[RLIMIT_NPROC].rlim_cur, 5);
        assert_int_equal(v.plan.limits[RLIMIT_NPROC].rlim_max, 6);
        assert_true(v.plan.limits[RLIMIT_CORE].rlim_cur == RLIM_INFINITY);
        assert_int_equal(v.plan.limits[RLIMIT_AS].rlim_max, 1 << 30);
        assert_int_equal(v.plan.limits[RLIMIT_SIGPENDING].rlim_cur, 333);
}

/* ---- identity, ownership, refusals ------------------------------------------------------- */

static void test_identity(void **state)
{
        static const struct {
                const char *line;
                bool in_tree;
                uint8_t first; /* byte of the id */
                const char *hostname;
                int kill_signal; /* relative to SIGRTMIN with --boot */
        } rows[] = {
                { "", false, 0x11, "web", 0 },
                { "", true, 0x33, "web", 0 },
                { "--uuid=44444444444444444444444444444444", false, 0x44, "web", 0 },
                { "--uuid=44444444444444444444444444444444", true, 0x33, "web", 0 },
                { "--hostname=other", false, 0x11, "other", 0 },
                { "-a", false, 0x11, "web", 0 },
                { "--kill-signal=TERM", false, 0x11, "web", SIGTERM },
                { "-b|--kill-signal=TERM", false, 0x11, "web", SIGTERM },
                { "-b", false, 0x11, "web", 0 },
        };
        WORLD(boot, "-b|x|y");

        (void) state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                WORLD(w, rows[i].line);

                w.tree.machine_id_set = rows[i].in_tree;
                memset(&w.tree.machine_id, 0x33, sizeof(struct id128));
                build(&w);
                if (w.plan.uuid.bytes[0] != rows[i].first ||
                    w.plan.kill_signal != rows[i].kill_signal)
                        fail_msg("row %zu", i);
                assert_string_equal(w.plan.hostname, rows[i].hostname);
                assert_string_equal(w.plan.machine, "web");
                assert_string_equal(w.plan.scope.machine, "web");
                assert_int_equal(w.plan.boot_id.bytes[0], 0x22);
                if (w.plan.kill_signal)
                        assert_int_equal(w.plan.scope.kill_signal, w.plan.kill_signal);
        }
        build(&boot);
        assert_int_equal(boot.plan.scope.kill_signal, SIGRTMIN + 3);
        assert_int_equal(boot.plan.other_stop_signal, SIGRTMIN + 3);
        assert_int_equal(boot.plan.stop_timeout_us, 90000000);
        assert_int_equal(boot.plan.start_mode, START_BOOT);
        assert_string_equal(boot.plan.argv[0], "x");
        assert_string_equal(boot.plan.argv[1], "y");
        assert_null(boot.plan.argv[2]);
}

static void test_machine_names(void **state)
{
        static const struct {
                const char *line, *directory;
                int r;
                const char *name;
        } rows[] = {
                { "", "/srv/web", 0, "web" },          { "", "/srv/my_web", 0, "myweb" },
                { "-Mother", "/srv/web", 0, "other" }, { "-Mother", "/", 0, "other" },
                { "", "/srv/___", -EINVAL, NULL },
        };

        (void) state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                WORLD(w, rows[i].line);
                char *name CLEANUP_FREE = NULL;

                assert_int_equal(
                        machine_name_decide(&w.config, rows[i].directory, &name, &w.failure),
                        rows[i].r);
                if (rows[i].name)
                        assert_string_equal(name, rows[i].name);
                else
                        assert_non_null(strstr(w.failure.text, "--machine="));
        }
}

static void test_ownership(void **state)
{
        static const struct {
                const char *line;
                uid_t tree_uid;
                bool mapped; /* false: the kernel has refused to map once */
                enum ownership ownership;
                enum mount_phase root;
        } rows[] = {
                { "", 0, true, OWNERSHIP_OFF, PHASE_PREPARE },
                { "--private-users-ownership=chown", 0, true, OWNERSHIP_OFF, PHASE_PREPARE },
                { "--private-users=524288", 0, true, OWNERSHIP_OFF, PHASE_PREPARE },
                { "--private-users=yes", BASE, true, OWNERSHIP_OFF, PHASE_PREPARE },
                { "--private-users=identity", 0, true, OWNERSHIP_OFF, PHASE_PREPARE },
                { "--private-users=pick", 0, true, OWNERSHIP_AUTO, PHASE_MAPPED },
                { "-U", 0, true, OWNERSHIP_AUTO, PHASE_MAPPED },
                { "-U", 0, false, OWNERSHIP_CHOWN, PHASE_PREPARE },
                { "-U", BASE, true, OWNERSHIP_CHOWN, PHASE_PREPARE },
                { "-U", 65536, true, OWNERSHIP_CHOWN, PHASE_PREPARE },
                { "-U", 1000, true, OWNERSHIP_AUTO, PHASE_MAPPED },
                { "-U|--private-users-ownership=map", 0, true, OWNERSHIP_MAP, PHASE_MAPPED },
                { "-U|--private-users-ownership=off", BASE, true, OWNERSHIP_OFF, PHASE_PREPARE },
                { "-U|--private-users-ownership=chown", 0, true, OWNERSHIP_CHOWN, PHASE_PREPARE },
                { "--private-users=524288|--private-users-ownership=auto", 0, true, OWNERSHIP_AUTO,
                  PHASE_MAPPED },
        };

        (void) state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                WORLD(w, rows[i].line);

                w.tree.uid = w.tree.gid = rows[i].tree_uid;
                w.inputs.root_is_mapped = rows[i].mapped;
                build(&w);
                if (w.plan.ownership != rows[i].ownership)
                        fail_msg("row %zu: %s", i, ownership_name(w.plan.ownership));
                assert_int_equal(w.plan.mounts.ops[0].phase, rows[i].root);
                assert_int_equal(w.plan.scope.owner, w.ids.map.base);
        }
}

static void break_usr(struct world *w)
{
        w->tree.has_usr = false;
}

static void break_os_release(struct world *w)
{
        w->tree.has_os_release = false;
}

static void break_os_release_unchecked(struct world *w)
{
        w->tree.has_os_release = false;
        w->config.check_os_release = false;
}

static void shift_tree(struct world *w)
{
        w->tree.uid = BASE;
}

static void no_userns(struct world *w)
{
        w->host.user_namespaces = false;
}

/* As ids_take() answers for -U on such a kernel. */
static void no_userns_and_no_ids(struct world *w)
{
        w->host.user_namespaces = false;
        w->ids = (struct ids) IDS_NULL;
}

static char two_cpus[] = "0-1";

/* Facts own what they have; this one is a constant, which nobody frees here. */
static void has_two_cpus(struct world *w)
{
        w->host.cpus = two_cpus;
}

static void shift_tree_elsewhere(struct world *w)
{
        w->tree.uid = BASE + 65536;
}

static void bin_is_a_directory(struct world *w)
{
        w->tree.bin_is_directory = true;
}

static void has_selinux(struct world *w)
{
        w->host.selinux = true;
}

static void root_is_nobody(struct world *w)
{
        w->host.machines_root = ID_NOBODY;
}

static void root_is_a_user(struct world *w)
{
        w->host.machines_root = 1000;
}

static void test_refusals(void **state)
{
        static const struct {
                const char *line;
                void (*spoil)(struct world *w);
                int r;
                const char *words;
        } rows[] = {
                { "", break_usr, -EINVAL, "'/usr'" },
                { "-b", break_usr, -EINVAL, "'/srv/tree'" },
                { "-b", break_os_release, -EINVAL, "os-release" },
                { "-b", break_os_release_unchecked, 0, NULL },
                { "", break_os_release, 0, NULL },
                { "-a", break_os_release, 0, NULL },
                { "--volatile", bin_is_a_directory, -EISDIR, "--volatile=overlay" },
                { "--volatile=overlay", bin_is_a_directory, 0, NULL },
                { "--volatile=state|-U", shift_tree, 0, NULL },
                { "--volatile=state|-U", shift_tree_elsewhere, -EINVAL, "belong to a range" },
                { "--volatile=state|-U|--private-users-ownership=off", shift_tree, 0, NULL },
                { "-U|--private-users-ownership=map", shift_tree, -EINVAL, "=chown" },
                { "--private-users-ownership=map", shift_tree, 0, NULL },
                { "-U", shift_tree, 0, NULL },
                { "--private-users=5", no_userns, -EOPNOTSUPP, "user namespaces" },
                { "", no_userns, 0, NULL },
                { "-U", no_userns_and_no_ids, 0, NULL },
                { "--time=private", NULL, -EOPNOTSUPP, "--time=private" },
                { "-b|--time=host", NULL, 0, NULL },
                { "--nesting|-U", NULL, 0, NULL },
                { "--nesting|-U", root_is_a_user, 0, NULL },
                { "--nesting|-U", no_userns_and_no_ids, -EOPNOTSUPP, "--nesting needs" },
                { "--nesting|--private-users=identity", NULL, -EINVAL, "host's root" },
                { "--nesting|--private-users=identity", root_is_a_user, -EINVAL, "host's root" },
                { "--nesting|--private-users=identity", root_is_nobody, 0, NULL },
                { "--property=MemoryMax=x", NULL, -EINVAL, "MemoryMax" },
                { "--property=NoSuchThing=1", NULL, -EINVAL, "NoSuchThing" },
                { "--ambient-capability=CAP_CHOWN", NULL, 0, NULL },
                { "--ambient-capability=CAP_SYS_TIME", NULL, -EINVAL, "CAP_SYS_TIME" },
                { "--ambient-capability=CAP_CHOWN|--drop-capability=all", NULL, -EINVAL,
                  "--capability=CAP_CHOWN" },
                { "--ambient-capability=CAP_BPF|--capability=CAP_BPF", NULL, 0, NULL },
                { "-Za", NULL, -EOPNOTSUPP, "--selinux-context=" },
                { "-La", NULL, -EOPNOTSUPP, "--selinux-apifs-context=" },
                { "-La|-Zb", has_selinux, 0, NULL },
                { "-U|--share-system", NULL, -EINVAL, "-U" },
                { "-U|--share-system", no_userns_and_no_ids, 0, NULL },
                { "--cpu-affinity=7", NULL, 0, NULL },
                { "--cpu-affinity=7", has_two_cpus, -EINVAL, "0-1" },
                { "--cpu-affinity=1-7", has_two_cpus, 0, NULL },
        };

        (void) state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                WORLD(w, rows[i].line);
                int r;

                if (rows[i].spoil)
                        rows[i].spoil(&w);
                r = plan_build(&w.inputs, &w.plan, &w.failure);
                if (r != rows[i].r)
                        fail_msg("row %zu ('%s'): %d, %s", i, rows[i].line, r, w.failure.text);
                if (r < 0) {
                        assert_non_null(strstr(w.failure.text, rows[i].words));
                        assert_null(w.plan.machine); /* nothing changes on failure */
                }
        }
}

static void test_old_systemd(void **state)
{
        static const struct {
                const char *line;
                enum cgroups_mode mode;
                bool old, expected;
        } rows[] = {
                { "-b", CGROUPS_AUTO, false, false },
                { "-b", CGROUPS_AUTO, true, true },
                { "-b", CGROUPS_UNIFIED, true, false },
                { "-b", CGROUPS_NAMED, false, true },
                { "true", CGROUPS_NAMED, false, true },
                { "-b|-U", CGROUPS_AUTO, true, true },
                { "-b|--private-network", CGROUPS_AUTO, true, true },
        };

        (void) state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                WORLD(w, rows[i].line);

                w.config.cgroups = rows[i].mode;
                w.tree.has_old_systemd = rows[i].old;
                build(&w);
                assert_int_equal(w.plan.named_hierarchy, rows[i].expected);
                assert_string_equal(find(&w, "/sys/fs/cgroup")->type,
                                    rows[i].expected ? "tmpfs" : "cgroup2");
                if (!rows[i].expected) {
                        assert_int_equal(mount_plan_find(&w.plan.mounts, "/sys/fs/cgroup/systemd"),
                                         -1);
                        continue;
                }
                assert_string_equal(find(&w, "/sys/fs/cgroup/systemd")->type, "cgroup");
                assert_string_equal(find(&w, "/sys/fs/cgroup/systemd")->options,
                                    "none,name=systemd");
                assert_true(mount_plan_find(&w.plan.mounts, "/sys") <
                            mount_plan_find(&w.plan.mounts, "/sys/fs/cgroup"));
        }
}

static void test_time(void **state)
{
        static const struct {
                const char *line;
                bool kernel, expected;
        } rows[] = {
                { "-b", true, true },
                { "-b", false, false },
                { "-b|--time=host", true, false },
                { "-b|--time=auto", true, true },
                { "true", false, false },
                { "--time=private", true, true },
                { "-a|--time=private|true", true, true },
                { "-b|-U|--time=private", true, true },
        };

        (void) state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                WORLD(w, rows[i].line);

                w.host.time_namespaces = rows[i].kernel;
                build(&w);
                if (w.plan.private_time != rows[i].expected)
                        fail_msg("'%s'", rows[i].line);
                /* The first process makes it, not the clone, which would start its clocks. */
                assert_false(w.plan.namespaces & 0x80);
        }
}

/* All file systems in memory and of terminals have the label, and no other. */
static void test_labels(void **state)
{
        WORLD(w, "-La:b|--private-network|--tmpfs=/t");

        (void) state;
        w.host.selinux = true;
        build(&w);
        for (size_t i = 0; i < w.plan.mounts.n_ops; i++) {
                const struct mount_op *op = &w.plan.mounts.ops[i];
                bool wants = op->kind == MOUNT_NEW &&
                             (streq(op->type, "tmpfs") || streq(op->type, "devpts"));

                if (wants != (op->label && streq(op->label, "a:b")))
                        fail_msg("'%s'", op->target);
        }
}

static void test_looks(void **state)
{
        static const struct {
                const char *line;
                bool terminal;
                const char *term;
                bool by_default, title;
                enum colors colors;
                const char *background;
                bool has_title;
        } rows[] = {
                { "", true, "xterm", false, false, COLORS_AUTO, NULL, false },
                { "", true, "xterm", true, true, COLORS_AUTO, "44", true },
                { "--background=41", true, "xterm", false, false, COLORS_AUTO, "41", false },
                { "--background=41", true, "xterm", true, true, COLORS_NO, NULL, true },
                { "--background=", true, "xterm", true, false, COLORS_YES, NULL, false },
                { "--background=41", false, "xterm", true, true, COLORS_YES, NULL, false },
                { "--background=41", true, "dumb", true, true, COLORS_YES, NULL, false },
                { "--background=41", true, NULL, true, true, COLORS_YES, NULL, false },
                { "--background=41|--pipe", true, "xterm", true, true, COLORS_YES, NULL, false },
                { "--background=41|--console=passive", true, "xterm", true, true, COLORS_YES, NULL,
                  false },
                { "--background=41|--console=read-only", true, "xterm", false, true, COLORS_YES,
                  "41", true },
        };

        (void) state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                WORLD(w, rows[i].line);

                w.host.stdin_is_terminal = w.host.stdout_is_terminal = rows[i].terminal;
                w.host.term = rows[i].term;
                w.config.tint_by_default = rows[i].by_default;
                w.config.adjust_title = rows[i].title;
                w.config.colors = rows[i].colors;
                build(&w);
                if (w.plan.title != rows[i].has_title ||
                    !w.plan.background != !rows[i].background ||
                    (rows[i].background && !streq(w.plan.background, rows[i].background)))
                        fail_msg("row %zu: %s", i, w.plan.background);
        }
}

static void test_namespaces(void **state)
{
        static const struct {
                const char *line;
                uint64_t more;
        } rows[] = {
                { "", 0 },
                { "--private-network", CLONE_NEWNET },
                { "-U", CLONE_NEWUSER },
                { "-U|--private-network", CLONE_NEWUSER | CLONE_NEWNET },
        };

        (void) state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                WORLD(w, rows[i].line);

                build(&w);
                assert_true(w.plan.namespaces == (CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWPID |
                                                  CLONE_NEWUTS | rows[i].more));
        }
        WORLD(shared, "--share-system|--private-network");
        build(&shared);
        assert_true(shared.plan.namespaces == (CLONE_NEWNS | CLONE_NEWNET));
}

static void test_scope(void **state)
{
        WORLD(w, "");
        WORLD(v, "-S|mine|--keep-unit|-U|--register=yes");
        WORLD(p, "--property=MemoryMax=1G|--property=TasksMax=5");

        (void) state;
        build(&w);
        assert_string_equal(w.plan.scope.slice, "machine.slice");
        assert_false(w.plan.scope.keep_unit);
        assert_true(w.plan.scope.device_policy);
        assert_ptr_equal(w.plan.scope.properties, &w.plan.properties);
        assert_ptr_equal(w.plan.scope.devices, w.plan.devices);
        assert_int_equal(w.plan.scope.owner, 0);
        assert_int_equal(w.plan.register_mode, REGISTER_AUTO);
        build(&v);
        assert_string_equal(v.plan.scope.slice, "mine.slice");
        assert_true(v.plan.scope.keep_unit);
        assert_false(v.plan.scope.device_policy);
        assert_int_equal(v.plan.scope.owner, BASE);
        assert_int_equal(v.plan.register_mode, REGISTER_YES);
        build(&p);
        assert_int_equal(p.plan.properties.n, 2);
        assert_int_equal(property_set_find(&p.plan.properties, PROPERTY_MEMORY_MAX)->number,
                         1 << 30);
}

/* ---- devices ----------------------------------------------------------------------------- */

static unsigned access_of(const struct world *w, char type, int major_number, int minor_number)
{
        unsigned access = 0;

        for (size_t i = 0; i < w->plan.n_devices; i++) {
                const struct device_rule *d = &w->plan.devices[i];

                if (d->type == type && d->major == major_number && d->minor == minor_number)
                        access |= d->access;
        }
        return access;
}

static void test_devices(void **state)
{
        static const struct {
                char type;
                int major, minor;
                unsigned access;
        } rows[] = {
                { 'c', 1, 3, DEVICE_ALL },
                { 'c', 1, 5, DEVICE_ALL },
                { 'c', 1, 7, DEVICE_ALL },
                { 'c', 1, 8, DEVICE_ALL },
                { 'c', 1, 9, DEVICE_ALL },
                { 'c', 5, 0, DEVICE_ALL },
                { 'c', 5, 2, DEVICE_ALL },
                { 'c', 136, -1, DEVICE_READ | DEVICE_WRITE },
                { 'c', 10, 200, DEVICE_ALL },
                { 'c', 10, 229, DEVICE_ALL },
                /* Never: memory, ports, the console, disks. */
                { 'c', 1, 1, 0 },
                { 'c', 1, 4, 0 },
                { 'c', 1, 11, 0 },
                { 'c', 5, 1, 0 },
                { 'b', 8, 0, 0 },
                { 'b', 7, 0, 0 },
        };
        WORLD(w, "");

        (void) state;
        build(&w);
        assert_int_equal(w.plan.n_devices, 10);
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
                if (access_of(&w, rows[i].type, rows[i].major, rows[i].minor) != rows[i].access)
                        fail_msg("%c %d:%d", rows[i].type, rows[i].major, rows[i].minor);
}

/* Nodes that are bound in may be used, read-only ones just be read; none may be made. */
static void test_bound_devices(void **state)
{
        WORLD(w, "--bind=/dev/sda|--bind-ro=/dev/sdb:/dev/x|--bind=/dev/snd|--bind=/dev/gone|"
                 "--bind=/dev/kvm|--tmpfs=/t|--bind-ro=/dev/ttyS0|--bind=+/dev/disk:/x");

        (void) state;
        w.sources[0] = (struct source_fact){ .exists = true,
                                             .mode = S_IFBLK | 0660,
                                             .device = makedev(8, 0) };
        w.sources[1] = (struct source_fact){ .exists = true,
                                             .mode = S_IFBLK | 0660,
                                             .device = makedev(8, 16) };
        w.sources[2] = (struct source_fact){ .exists = true,
                                             .mode = S_IFDIR | 0755,
                                             .device = makedev(0, 0) };
        w.sources[3] = (struct source_fact){ .exists = false,
                                             .mode = S_IFBLK | 0660,
                                             .device = makedev(9, 9) };
        w.sources[4] = (struct source_fact){ .exists = true,
                                             .mode = S_IFCHR | 0666,
                                             .device = makedev(10, 232) };
        w.sources[5] = (struct source_fact){ .exists = true,
                                             .mode = S_IFCHR | 0660,
                                             .device = makedev(4, 64) };
        w.sources[6] = (struct source_fact){ .exists = true,
                                             .mode = S_IFBLK | 0660,
                                             .device = makedev(7, 7) };
        build(&w);
        assert_int_equal(w.plan.n_devices, 14);
        assert_int_equal(access_of(&w, 'b', 8, 0), DEVICE_READ | DEVICE_WRITE);
        assert_int_equal(access_of(&w, 'b', 8, 16), DEVICE_READ);
        assert_int_equal(access_of(&w, 'c', 10, 232), DEVICE_READ | DEVICE_WRITE);
        assert_int_equal(access_of(&w, 'c', 4, 64), DEVICE_READ);
        assert_int_equal(access_of(&w, 'b', 9, 9), 0);
        assert_int_equal(access_of(&w, 'b', 7, 7), 0); /* the tree's maker is not believed */
}

/* ---- mounts ------------------------------------------------------------------------------ */

/* The table of the default mounts, as the payload is to see it. */
static void test_mount_table(void **state)
{
        static const struct {
                const char *line, *target;
                enum mount_kind kind;
                const char *type, *options;
                unsigned attributes;
        } rows[] = {
                { "", "/tmp", MOUNT_NEW, "tmpfs", "mode=01777,size=10%,nr_inodes=400k",
                  MOUNT_NOSUID | MOUNT_NODEV | MOUNT_STRICTATIME },
                { "", "/sys", MOUNT_NEW, "sysfs", NULL, MOUNT_RDONLY | LOCKED },
                { "--private-network", "/sys", MOUNT_NEW, "tmpfs", "mode=0555,size=4m,nr_inodes=1k",
                  LOCKED },
                { "", "/dev", MOUNT_NEW, "tmpfs", "mode=0755,size=4m,nr_inodes=64k",
                  MOUNT_NOSUID | MOUNT_STRICTATIME },
                { "", "/dev/shm", MOUNT_NEW, "tmpfs", "mode=01777,size=10%,nr_inodes=400k",
                  MOUNT_NOSUID | MOUNT_NODEV | MOUNT_STRICTATIME },
                { "", "/dev/pts", MOUNT_NEW, "devpts", "ptmxmode=0666,mode=0620,gid=5",
                  MOUNT_NOSUID | MOUNT_NOEXEC },
                { "", "/dev/mqueue", MOUNT_NEW, "mqueue", NULL, LOCKED },
                { "", "/run", MOUNT_NEW, "tmpfs", "mode=0755,size=20%,nr_inodes=800k",
                  MOUNT_NOSUID | MOUNT_NODEV | MOUNT_STRICTATIME },
                { "", "/run/host", MOUNT_BIND_INSIDE, NULL, NULL, MOUNT_RDONLY | LOCKED },
                { "", "/run/host/os-release", MOUNT_BIND, NULL, NULL, MOUNT_RDONLY | LOCKED },
                { "", "/run/host/incoming", MOUNT_BIND, NULL, NULL, MOUNT_RDONLY },
                { "", "/proc", MOUNT_NEW, "proc", NULL, LOCKED },
                { "", "/proc/sys", MOUNT_BIND_INSIDE, NULL, NULL, MOUNT_RDONLY | LOCKED },
                { "--private-network", "/proc/sys/net", MOUNT_BIND_INSIDE, NULL, NULL, LOCKED },
                { "", "/proc/kallsyms", MOUNT_BIND_INSIDE, NULL, NULL, MOUNT_RDONLY | LOCKED },
                { "", "/proc/kcore", MOUNT_BIND_INSIDE, NULL, NULL, MOUNT_RDONLY | LOCKED },
                { "", "/proc/keys", MOUNT_BIND_INSIDE, NULL, NULL, MOUNT_RDONLY | LOCKED },
                { "", "/proc/sysrq-trigger", MOUNT_BIND_INSIDE, NULL, NULL, MOUNT_RDONLY | LOCKED },
                { "", "/proc/timer_list", MOUNT_BIND_INSIDE, NULL, NULL, MOUNT_RDONLY | LOCKED },
                { "", "/proc/acpi", MOUNT_BIND_INSIDE, NULL, NULL, MOUNT_RDONLY | LOCKED },
                { "", "/proc/apm", MOUNT_BIND_INSIDE, NULL, NULL, MOUNT_RDONLY | LOCKED },
                { "", "/proc/asound", MOUNT_BIND_INSIDE, NULL, NULL, MOUNT_RDONLY | LOCKED },
                { "", "/proc/bus", MOUNT_BIND_INSIDE, NULL, NULL, MOUNT_RDONLY | LOCKED },
                { "", "/proc/fs", MOUNT_BIND_INSIDE, NULL, NULL, MOUNT_RDONLY | LOCKED },
                { "", "/proc/irq", MOUNT_BIND_INSIDE, NULL, NULL, MOUNT_RDONLY | LOCKED },
                { "", "/proc/scsi", MOUNT_BIND_INSIDE, NULL, NULL, MOUNT_RDONLY | LOCKED },
                { "", "/proc/sys/kernel/random/boot_id", MOUNT_BIND_INSIDE, NULL, NULL,
                  MOUNT_RDONLY | LOCKED },
                { "", "/proc/kmsg", MOUNT_BIND_INSIDE, NULL, NULL, MOUNT_NOSUID | MOUNT_NODEV },
                { "", "/sys/fs/cgroup", MOUNT_NEW, "cgroup2", NULL, LOCKED },
                { "", "/", MOUNT_ROOT, NULL, NULL, 0 },
                { "--read-only", "/", MOUNT_ROOT, NULL, NULL, MOUNT_RDONLY },
                { "--volatile=state", "/", MOUNT_ROOT, NULL, NULL, MOUNT_RDONLY },
                { "--volatile=state", "/var", MOUNT_NEW, "tmpfs", "mode=0755,size=25%,nr_inodes=1m",
                  MOUNT_STRICTATIME },
                { "--volatile", "/", MOUNT_NEW, "tmpfs", "mode=0755,size=25%,nr_inodes=1m",
                  MOUNT_STRICTATIME },
                { "--volatile", "/usr", MOUNT_TREE, NULL, NULL, MOUNT_RDONLY },
                { "--volatile=overlay", "/", MOUNT_OVERLAY, NULL, "mode=0755,size=25%,nr_inodes=1m",
                  0 },
                { "--tmpfs=/t", "/t", MOUNT_NEW, "tmpfs", "mode=0755",
                  MOUNT_NODEV | MOUNT_STRICTATIME },
                { "--tmpfs=/t:size=1m", "/t", MOUNT_NEW, "tmpfs", "size=1m",
                  MOUNT_NODEV | MOUNT_STRICTATIME },
                { "--bind=/a:/b", "/b", MOUNT_BIND, NULL, NULL, 0 },
                { "--bind-ro=/a:/b", "/b", MOUNT_BIND, NULL, NULL, MOUNT_RDONLY },
                /* What is made for a container with ids of its own belongs to its root. */
                /* What its first process makes itself does so without saying. */
                { "-U", "/dev", MOUNT_NEW, "tmpfs",
                  "mode=0755,size=4m,nr_inodes=64k,uid=524288,gid=524288",
                  MOUNT_NOSUID | MOUNT_STRICTATIME },
                { "-U", "/dev/pts", MOUNT_NEW, "devpts", "ptmxmode=0666,mode=0620,gid=524293",
                  MOUNT_NOSUID | MOUNT_NOEXEC },
                { "-U", "/run", MOUNT_NEW, "tmpfs",
                  "mode=0755,size=20%,nr_inodes=800k,uid=524288,gid=524288",
                  MOUNT_NOSUID | MOUNT_NODEV | MOUNT_STRICTATIME },
                { "-U|--tmpfs=/t:size=1m", "/t", MOUNT_NEW, "tmpfs",
                  "size=1m,uid=524288,gid=524288", MOUNT_NODEV | MOUNT_STRICTATIME },
        };

        (void) state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                WORLD(w, rows[i].line);
                const struct mount_op *op;

                build(&w);
                op = find(&w, rows[i].target);
                if (op->kind != rows[i].kind)
                        fail_msg("row %zu: %s is of kind %s", i, op->target,
                                 mount_kind_name(op->kind));
                if (op->attributes != rows[i].attributes)
                        fail_msg("row %zu: %s has attributes %x", i, op->target, op->attributes);
                if (rows[i].type)
                        assert_string_equal(op->type, rows[i].type);
                if (!op->options != !rows[i].options)
                        fail_msg("row %zu: options of %s", i, op->target);
                if (op->options)
                        assert_string_equal(op->options, rows[i].options);
        }
}

/*
 * What is made for a container with ids of its own belongs to its root: by options if we make it,
 * by itself if the first process does, whose ids are the container's.
 */
static void test_tmpfs_owners(void **state)
{
        static const char *const lines[] = { "-U", "-U|--private-network|--tmpfs=/t", "" };

        (void) state;
        for (size_t l = 0; l < ARRAY_SIZE(lines); l++) {
                WORLD(w, lines[l]);
                size_t n = 0;

                build(&w);
                for (size_t i = 0; i < w.plan.mounts.n_ops; i++) {
                        const struct mount_op *op = &w.plan.mounts.ops[i];
                        bool owned;

                        if (op->kind != MOUNT_NEW || !streq(op->type, "tmpfs"))
                                continue;
                        n++;
                        owned = endswith(op->options, ",uid=524288,gid=524288") != NULL;
                        if (owned != (w.plan.user_namespace && op->phase == PHASE_PREPARE))
                                fail_msg("'%s': %s has '%s'", lines[l], op->target, op->options);
                }
                assert_true(n >= 4);
        }
}

static void check_order(const struct world *w, const char *line)
{
        static const struct {
                const char *first, *then;
        } rows[] = {
                { "/proc/sys", "/proc/sys/net" },
                { "/proc/sys", "/proc/sys/kernel/random/boot_id" },
                { "/run/host/os-release", "/proc" },
                { "/dev", "/dev/mqueue" },
                { "/sys", "/sys/fs/cgroup" },
                { "/tmp", "/sys" },
                { "/sys", "/dev" },
                { "/dev", "/dev/shm" },
                { "/dev/shm", "/dev/pts" },
                { "/dev/pts", "/run" },
                { "/run", "/run/host" },
        };
        const struct mount_plan *m = &w->plan.mounts;
        bool inside = false;

        assert_int_equal(m->ops[0].kind, MOUNT_ROOT);
        assert_string_equal(m->ops[0].target, "/");
        assert_string_equal(m->ops[0].source, "/srv/tree");
        for (size_t i = 0; i < m->n_ops; i++) {
                const struct mount_op *op = &m->ops[i];

                assert_non_null(op->why);
                assert_true(path_is_absolute(op->target));
                if (op->kind == MOUNT_ROOT)
                        assert_int_equal(i, 0);
                if (op->kind == MOUNT_NEW)
                        assert_non_null(op->type);
                if (op->kind == MOUNT_BIND_INSIDE && op->phase != PHASE_INSIDE)
                        fail_msg("'%s': %s of the container before there is one", line, op->target);
                /* Once the container's own mounts begin, those of the host are attached, but for
                 * the ones that lie in /proc or /sys. Self-binds of /run are the exception. */
                if (inside && op->phase != PHASE_INSIDE && !path_is_below(op->target, "/proc") &&
                    !path_is_below(op->target, "/sys"))
                        fail_msg("'%s': %s comes too late", line, op->target);
                inside = inside || streq(op->target, "/proc");
        }
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                int first = mount_plan_find(m, rows[i].first),
                    then = mount_plan_find(m, rows[i].then);

                if (first >= 0 && then >= 0 && first >= then)
                        fail_msg("'%s': %s before %s", line, rows[i].then, rows[i].first);
        }
        /* Shared first, then the tunnel's way back is closed: the very last two. */
        assert_int_equal(m->ops[m->n_ops - 2].kind, MOUNT_CHANGE);
        assert_string_equal(m->ops[m->n_ops - 2].target, "/");
        assert_int_equal(m->ops[m->n_ops - 2].propagation, PROPAGATION_SHARED);
        assert_int_equal(m->ops[m->n_ops - 2].depth, MOUNT_RECURSIVE);
        assert_int_equal(m->ops[m->n_ops - 1].kind, MOUNT_CHANGE);
        assert_string_equal(m->ops[m->n_ops - 1].target, "/run/host/incoming");
        assert_int_equal(m->ops[m->n_ops - 1].propagation, PROPAGATION_SLAVE);
}

/* What is mounted later on a parent hides what was mounted below it. */
static void check_parents(const struct world *w, const char *line)
{
        const struct mount_plan *m = &w->plan.mounts;

        for (size_t i = 0; i < m->n_ops; i++) {
                const struct mount_op *op = &m->ops[i];

                /* A bind of a directory onto itself takes nothing away that is recursive or was
                 * not there, and changes attach nothing. */
                if (op->kind == MOUNT_CHANGE || op->kind == MOUNT_DETACH ||
                    op->kind == MOUNT_BIND_INSIDE)
                        continue;
                for (size_t k = 0; k < i; k++)
                        if (!streq(m->ops[k].target, op->target) &&
                            path_is_below(m->ops[k].target, op->target))
                                fail_msg("'%s': %s hides %s", line, op->target, m->ops[k].target);
        }
}

static void test_mount_order(void **state)
{
        static const char *const lines[] = {
                "",
                "-b",
                "-P",
                "--read-only",
                "--private-network",
                "-U",
                "-U|--private-network",
                "-U|--private-users-ownership=chown",
                "--bind=/a:/proc/a|--bind=/b:/b|--tmpfs=/sys/t",
                "--bind=/a:/dev/a|--bind=/b:/run/b|--tmpfs=/var|--tmpfs=/etc",
                "--tmpfs=/a|--bind=/x:/a/b|--bind=/x:/a/b/c",
                "--private-network|--read-only|--bind=/a:/proc/a|--bind-ro=/b:/sys/b",
        };

        (void) state;
        for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
                WORLD(w, lines[i]);

                build(&w);
                check_order(&w, lines[i]);
                check_parents(&w, lines[i]);
        }
}

/* Parents come first in whatever order the options were given. */
static void test_custom_mounts_are_sorted(void **state)
{
        static const char *const lines[] = {
                "--bind=/x:/a/b|--tmpfs=/a",
                "--bind=/x:/a/b/c|--bind=/x:/a/b|--bind=/x:/a",
                "--bind=/x:/proc/a/b|--tmpfs=/proc/a",
        };

        (void) state;
        for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
                WORLD(w, lines[i]);

                build(&w);
                check_parents(&w, lines[i]);
        }
}

static void test_custom_mounts(void **state)
{
        static const struct {
                const char *line, *target;
                enum mount_phase phase;
                enum mount_depth depth;
                unsigned flags;
        } rows[] = {
                { "--bind=/a:/b", "/b", PHASE_PREPARE, MOUNT_RECURSIVE, MOUNT_MAKE_TARGET },
                { "--bind=/a:/b:norbind", "/b", PHASE_PREPARE, MOUNT_ONE, MOUNT_MAKE_TARGET },
                { "--bind=/a:/b:idmap", "/b", PHASE_PREPARE, MOUNT_RECURSIVE, MOUNT_MAKE_TARGET },
                { "-U|--bind=/a:/b", "/b", PHASE_PREPARE, MOUNT_RECURSIVE, MOUNT_MAKE_TARGET },
                { "-U|--bind=/a:/b:idmap", "/b", PHASE_MAPPED, MOUNT_RECURSIVE, MOUNT_MAKE_TARGET },
                { "-U|--bind=/a:/b:idmap,noidmap", "/b", PHASE_PREPARE, MOUNT_RECURSIVE,
                  MOUNT_MAKE_TARGET },
                { "--tmpfs=/t", "/t", PHASE_PREPARE, MOUNT_ONE, MOUNT_MAKE_TARGET },
        };

        (void) state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                WORLD(w, rows[i].line);
                const struct mount_op *op;

                build(&w);
                op = find(&w, rows[i].target);
                assert_int_equal(op->phase, rows[i].phase);
                assert_int_equal(op->depth, rows[i].depth);
                assert_int_equal(op->flags, rows[i].flags);
                if (op->kind == MOUNT_BIND) {
                        assert_int_equal(op->propagation, PROPAGATION_SLAVE);
                        assert_string_equal(op->source, "/a");
                        assert_non_null(startswith(op->why, "--bind="));
                }
        }
}

/* Where sources are, and whose ids they show. */
static void test_custom_sources(void **state)
{
        static const struct {
                const char *line;
                enum mount_phase phase;
                enum source_place place;
                const char *source;
                struct mount_owner owner;
        } rows[] = {
                { "--bind=/a:/b", PHASE_PREPARE, SOURCE_HOST, "/a", { .is_set = false } },
                { "--bind=+/a:/b", PHASE_PREPARE, SOURCE_TREE, "/a", { .is_set = false } },
                { "--bind=:/b", PHASE_PREPARE, SOURCE_TEMPORARY, "0", { .is_set = false } },
                /* The tree's part shows the ids that the tree shows. */
                { "-U|--bind=+/a:/b", PHASE_MAPPED, SOURCE_TREE, "/a", { .is_set = false } },
                { "-U|--private-users-ownership=chown|--bind=+/a:/b",
                  PHASE_PREPARE,
                  SOURCE_TREE,
                  "/a",
                  { .is_set = false } },
                { "-U|--bind=:/b:idmap",
                  PHASE_PREPARE,
                  SOURCE_TEMPORARY,
                  "0",
                  { .is_set = false } },
                { "-U|--bind=:/b:rootidmap",
                  PHASE_PREPARE,
                  SOURCE_TEMPORARY,
                  "0",
                  { .is_set = false } },
                { "--bind=/a:/b:rootidmap",
                  PHASE_PREPARE,
                  SOURCE_HOST,
                  "/a",
                  { true, 1000, 100, 0, 0 } },
                { "-U|--bind=/a:/b:rootidmap",
                  PHASE_PREPARE,
                  SOURCE_HOST,
                  "/a",
                  { true, 1000, 100, BASE, BASE } },
                { "-U|--bind=+/a:/b:rootidmap",
                  PHASE_PREPARE,
                  SOURCE_TREE,
                  "/a",
                  { true, 1000, 100, BASE, BASE } },
                { "--bind=/a:/b:owneridmap",
                  PHASE_PREPARE,
                  SOURCE_HOST,
                  "/a",
                  { true, 1000, 100, 33, 70034 } },
                { "-U|--bind=/a:/b:owneridmap",
                  PHASE_PREPARE,
                  SOURCE_HOST,
                  "/a",
                  { true, 1000, 100, BASE + 33, BASE } },
                { "-U|--private-users-ownership=chown|--bind=/a:/b:owneridmap",
                  PHASE_PREPARE,
                  SOURCE_HOST,
                  "/a",
                  { true, 1000, 100, BASE + 33, BASE + 70034 - 65536 } },
                { "-U|--private-users-ownership=off|--bind=/a:/b:owneridmap",
                  PHASE_PREPARE,
                  SOURCE_HOST,
                  "/a",
                  { true, 1000, 100, 33, 70034 } },
        };

        (void) state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                WORLD(w, rows[i].line);
                const struct mount_op *op;

                w.sources[0] =
                        (struct source_fact){ true, S_IFDIR | 0755, 0, 1000, 100, true, 33, 70034 };
                build(&w);
                op = find(&w, "/b");
                assert_int_equal(op->phase, rows[i].phase);
                assert_int_equal(op->place, rows[i].place);
                assert_string_equal(op->source, rows[i].source);
                assert_int_equal(op->owner.is_set, rows[i].owner.is_set);
                assert_int_equal(op->owner.uid, rows[i].owner.uid);
                assert_int_equal(op->owner.gid, rows[i].owner.gid);
                assert_int_equal(op->owner.shown_uid, rows[i].owner.shown_uid);
                assert_int_equal(op->owner.shown_gid, rows[i].owner.shown_gid);
                assert_int_equal(w.plan.mounts.n_temporary, rows[i].place == SOURCE_TEMPORARY);
        }
}

/* A destination that is not there is going to be root's. */
static void test_owner_of_missing_destination(void **state)
{
        WORLD(w, "-U|--bind=/a:/b:owneridmap");

        (void) state;
        w.sources[0] = (struct source_fact){ .exists = true, .uid = 7, .gid = 8 };
        build(&w);
        assert_int_equal(find(&w, "/b")->owner.shown_uid, BASE);
        assert_int_equal(find(&w, "/b")->owner.shown_gid, BASE);
}

static void test_overlays(void **state)
{
        static const struct {
                const char *line;
                size_t n_layers, n_temporary;
                bool has_upper, mapped;
                const char *printed;
        } rows[] = {
                { "--overlay=/x:/b", 2, 0, true, false, "overlay /b of /x below /b rw (" },
                { "--overlay=/x:/y:/z:/b", 3, 0, true, false,
                  "overlay /b of /x, /y below /z rw (" },
                { "--overlay-ro=/x:/y:/b", 2, 0, false, false, "overlay /b of /x below /y ro (" },
                { "--overlay=+/x::/b", 2, 1, true, false,
                  "overlay /b of +/x below a temporary directory rw (" },
                { "-U|--overlay=+/x::/b", 2, 1, true, true, " id-mapped (--overlay=" },
                { "-U|--overlay=/x:+/y:/b", 2, 0, true, true, " id-mapped (--overlay=" },
                { "-U|--overlay=/x:/y:/b", 2, 0, true, false, " rw (--overlay=" },
                { "-U|--private-users-ownership=chown|--overlay=+/x:/y:/b", 2, 0, true, false,
                  " rw (--overlay=" },
        };

        (void) state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                WORLD(w, rows[i].line);
                struct strbuf text CLEANUP_STRBUF = STRBUF_NULL;
                const struct mount_op *op;

                build(&w);
                op = find(&w, "/b");
                assert_int_equal(op->kind, MOUNT_LAYERS);
                assert_int_equal(op->phase, PHASE_PREPARE);
                assert_int_equal(op->n_layers, rows[i].n_layers);
                assert_int_equal(mount_op_has_upper(op), rows[i].has_upper);
                assert_int_equal(!!(op->flags & MOUNT_MAP_TREE), rows[i].mapped);
                assert_int_equal(w.plan.mounts.n_temporary, rows[i].n_temporary);
                assert_null(op->options);
                plan_print(&w.plan, &text);
                if (!strstr(strbuf_text(&text), rows[i].printed))
                        fail_msg("%s: %s", rows[i].line, strbuf_text(&text));
        }
}

/* Attributes that only the kernel's own root may set are not for others. */
static void test_overlay_in_user_namespace(void **state)
{
        WORLD(w, "--overlay=/x:/b");

        (void) state;
        w.host.in_user_namespace = true;
        build(&w);
        assert_string_equal(find(&w, "/b")->options, "userxattr");
}

static void test_inaccessible(void **state)
{
        WORLD(w, "--inaccessible=/b|--inaccessible=/proc/b|--bind=/a:/b/c");
        const struct mount_op *op;

        (void) state;
        build(&w);
        op = find(&w, "/b");
        assert_int_equal(op->kind, MOUNT_HIDE);
        assert_int_equal(op->phase, PHASE_INSIDE);
        assert_int_equal(op->attributes, MOUNT_RDONLY | LOCKED);
        assert_true(mount_plan_find(&w.plan.mounts, "/b") >
                    mount_plan_find(&w.plan.mounts, "/run"));
        assert_true(mount_plan_find(&w.plan.mounts, "/proc/b") >
                    mount_plan_find(&w.plan.mounts, "/proc"));
}

/* What is mounted on "/" takes the tree's place, and the tree is not written to. */
static void test_custom_root(void **state)
{
        static const struct {
                const char *line;
                enum mount_kind kind;
                unsigned attributes;
                size_t n_entries;
        } rows[] = {
                { "--bind=/a:/", MOUNT_BIND, 0, 0 },
                { "--tmpfs=/|--bind-ro=/a:/", MOUNT_BIND, MOUNT_RDONLY, 0 },
                { "--read-only|--overlay=+/::/", MOUNT_LAYERS, 0, 0 },
                { "--bind=/a:/b|--tmpfs=/", MOUNT_NEW, MOUNT_NODEV | MOUNT_STRICTATIME, 12 },
        };

        (void) state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                WORLD(w, rows[i].line);
                const struct mount_op *op;

                w.tree.usr_folders = 15;
                build(&w);
                op = &w.plan.mounts.ops[0];
                assert_string_equal(op->target, "/");
                assert_int_equal(op->kind, rows[i].kind);
                assert_true(mount_plan_has_new_root(&w.plan.mounts));
                assert_int_equal(op->attributes, rows[i].attributes);
                assert_int_equal(op->n_entries, rows[i].n_entries);
                for (size_t k = 1; k < w.plan.mounts.n_ops; k++)
                        assert_true(!streq(w.plan.mounts.ops[k].target, "/") ||
                                    w.plan.mounts.ops[k].kind == MOUNT_CHANGE);
                assert_false(w.plan.etc.base_directories);
                assert_int_equal(w.plan.etc.resolv_conf, ETC_BIND);
        }
}

/* The order of the options counts for what lies on one another, and the default comes first. */
static void test_custom_mounts_on_defaults(void **state)
{
        WORLD(w, "--tmpfs=/tmp:size=1m|--bind=/x:/proc/x|--bind=/y:/dev/y|--bind=/z:/run/host/z|"
                 "--bind=/s:/sys/s");
        int tmp, last;

        (void) state;
        build(&w);
        tmp = mount_plan_find(&w.plan.mounts, "/tmp");
        last = find_last(&w, "/tmp");
        assert_true(tmp >= 0 && last > tmp);
        assert_string_equal(w.plan.mounts.ops[last].options, "size=1m");
        assert_int_equal(w.plan.mounts.ops[last].flags & MOUNT_UNLESS_MOUNTED, 0);
        assert_true(mount_plan_find(&w.plan.mounts, "/proc/x") >
                    mount_plan_find(&w.plan.mounts, "/proc/kmsg"));
        assert_true(mount_plan_find(&w.plan.mounts, "/sys/s") >
                    mount_plan_find(&w.plan.mounts, "/sys/fs/cgroup"));
        assert_true(mount_plan_find(&w.plan.mounts, "/dev/y") >
                    mount_plan_find(&w.plan.mounts, "/dev"));
        assert_true(mount_plan_find(&w.plan.mounts, "/run/host/z") >
                    mount_plan_find(&w.plan.mounts, "/run/host"));
        assert_int_equal(mount_plan_find(&w.plan.mounts, "/nothing"), -1);
}

static void test_private_network(void **state)
{
        static const char *const parts[] = { "block", "bus", "class", "dev", "devices", "kernel" };
        static const char *const lines[] = { "--private-network", "-U|--private-network" };

        (void) state;
        for (size_t l = 0; l < ARRAY_SIZE(lines); l++) {
                WORLD(w, lines[l]);
                const struct mount_op *sys, *net;
                int full, detach, change;

                build(&w);
                sys = find(&w, "/sys");
                assert_int_equal(sys->phase, PHASE_PREPARE);
                assert_non_null(find_entry(sys, "full"));
                assert_non_null(find_entry(sys, "fs/cgroup"));
                full = find_kind(&w, MOUNT_NEW, "/sys/full");
                detach = find_kind(&w, MOUNT_DETACH, "/sys/full");
                change = find_kind(&w, MOUNT_CHANGE, "/sys");
                assert_true(full > 0 && detach > full && change > detach);
                assert_int_equal(w.plan.mounts.ops[full].phase, PHASE_INSIDE);
                assert_string_equal(w.plan.mounts.ops[full].type, "sysfs");
                assert_int_equal(w.plan.mounts.ops[change].attributes, MOUNT_RDONLY);
                for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
                        char target[32], source[32];
                        int part;

                        (void) snprintf(target, sizeof(target), "/sys/%s", parts[i]);
                        (void) snprintf(source, sizeof(source), "/sys/full/%s", parts[i]);
                        part = find_kind(&w, MOUNT_BIND_INSIDE, target);
                        assert_true(part > full && part < detach);
                        assert_string_equal(w.plan.mounts.ops[part].source, source);
                        assert_int_equal(w.plan.mounts.ops[part].attributes, MOUNT_RDONLY | LOCKED);
                        assert_non_null(find_entry(sys, parts[i]));
                }
                net = find(&w, "/proc/sys/net");
                assert_int_equal(net->attributes & MOUNT_RDONLY, 0);
                assert_int_equal(w.plan.etc.resolv_conf, ETC_OFF);
        }
}

static void test_nesting(void **state)
{
        WORLD(without, "-U");
        WORLD(with, "-U|--nesting|--system-call-filter=~ptrace");

        (void) state;
        build(&without);
        assert_int_equal(mount_plan_find(&without.plan.mounts, "/run/host/nesting/proc"), -1);
        assert_null(without.plan.filter.terms);
        build(&with);
        /* All of it is to be seen, so nothing lies on it and it can be written to. */
        assert_int_equal(find(&with, "/run/host/nesting/proc")->attributes & MOUNT_RDONLY, 0);
        assert_int_equal(find(&with, "/run/host/nesting/proc")->phase, PHASE_INSIDE);
        assert_int_equal(find(&with, "/run/host/nesting/sys")->phase, PHASE_PREPARE);
        assert_string_equal(with.plan.filter.terms[0], SECCOMP_NESTING_TERM);
        assert_string_equal(with.plan.filter.terms[1], "~ptrace");
        /* What a container sees without it, it sees with it. */
        for (size_t i = 0; i < without.plan.mounts.n_ops; i++)
                (void) find(&with, without.plan.mounts.ops[i].target);
}

static void test_api_from_outside(void **state)
{
        static const char *const targets[] = { "/proc", "/sys/full", "/run/host/nesting/proc",
                                               "/run/host/nesting/sys" };
        WORLD(w, "-U|--nesting|--private-network");
        WORLD(plain, "");

        (void) state;
        w.inputs.api_from_outside = true;
        build(&w);
        for (size_t i = 0; i < ARRAY_SIZE(targets); i++)
                assert_int_equal(find(&w, targets[i])->phase, PHASE_MAPPED);
        assert_true(w.plan.scope.tried_before);
        /* Without a user namespace the first process needs nobody else. */
        plain.inputs.api_from_outside = true;
        build(&plain);
        assert_int_equal(find(&plain, "/proc")->phase, PHASE_INSIDE);
}

static void test_host_network(void **state)
{
        WORLD(w, "");

        (void) state;
        build(&w);
        assert_int_equal(mount_plan_find(&w.plan.mounts, "/sys/full"), -1);
        assert_int_equal(mount_plan_find(&w.plan.mounts, "/proc/sys/net"), -1);
        assert_int_equal(find_kind(&w, MOUNT_CHANGE, "/sys"), -1);
}

/* SYSTEMD_NSPAWN_API_VFS_WRITABLE= and SYSTEMD_NSPAWN_TMPFS_TMP= */
static void test_api_vfs(void **state)
{
        WORLD(writable, "");
        WORLD(network, "");
        WORLD(tmp, "");

        (void) state;
        writable.config.api_vfs = API_VFS_WRITABLE;
        build(&writable);
        assert_int_equal(find(&writable, "/sys")->attributes, LOCKED);
        assert_int_equal(find(&writable, "/proc")->attributes, LOCKED);
        assert_int_equal(mount_plan_find(&writable.plan.mounts, "/proc/sys"), -1);
        assert_int_equal(mount_plan_find(&writable.plan.mounts, "/proc/kcore"), -1);
        assert_int_equal(mount_plan_find(&writable.plan.mounts, "/proc/bus"), -1);
        assert_non_null(find(&writable, "/proc/kmsg"));
        network.config.api_vfs = API_VFS_NETWORK;
        build(&network);
        assert_string_equal(find(&network, "/sys")->type, "tmpfs");
        assert_int_equal(find(&network, "/proc/sys")->attributes, MOUNT_RDONLY | LOCKED);
        assert_int_equal(find(&network, "/proc/sys/net")->attributes & MOUNT_RDONLY, 0);
        assert_non_null(find(&network, "/proc/kcore"));
        tmp.config.tmpfs_on_tmp = false;
        build(&tmp);
        assert_int_equal(mount_plan_find(&tmp.plan.mounts, "/tmp"), -1);
}

static void test_etc_binds(void **state)
{
        static const struct {
                const char *line;
                enum localtime_kind localtime;
                bool resolv_conf, zone_in_tree, bind_resolv, bind_localtime;
        } rows[] = {
                { "", LOCALTIME_LINK, true, true, false, false },
                { "--read-only", LOCALTIME_LINK, true, true, true, true },
                { "--read-only", LOCALTIME_FILE, false, true, false, true },
                { "--read-only", LOCALTIME_MISSING, true, true, true, false },
                { "--read-only|--private-network", LOCALTIME_LINK, true, true, false, true },
                { "", LOCALTIME_LINK, true, false, false, true },
                { "", LOCALTIME_FILE, true, false, false, false },
        };

        (void) state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                WORLD(w, rows[i].line);
                const unsigned want = MOUNT_RDONLY | MOUNT_NOSUID | MOUNT_NODEV;
                int resolv, localtime_op;

                w.host.localtime = rows[i].localtime;
                w.host.has_resolv_conf = rows[i].resolv_conf;
                w.tree.has_host_zone = rows[i].zone_in_tree;
                build(&w);
                resolv = mount_plan_find(&w.plan.mounts, "/etc/resolv.conf");
                localtime_op = mount_plan_find(&w.plan.mounts, "/etc/localtime");
                if ((resolv >= 0) != rows[i].bind_resolv ||
                    (localtime_op >= 0) != rows[i].bind_localtime)
                        fail_msg("row %zu: %d, %d", i, resolv, localtime_op);
                if (resolv >= 0) {
                        const struct mount_op *op = &w.plan.mounts.ops[resolv];

                        assert_int_equal(op->attributes, want);
                        assert_int_equal(op->flags,
                                         MOUNT_TOLERATED | MOUNT_MAKE_TARGET | MOUNT_NOFOLLOW);
                }
                if (localtime_op >= 0) {
                        const struct mount_op *op = &w.plan.mounts.ops[localtime_op];

                        assert_int_equal(op->attributes, want);
                        assert_string_equal(op->source, "/etc/localtime");
                }
        }
}

/* ---- what the new file systems hold ------------------------------------------------------ */

static void test_entries(void **state)
{
        static const struct {
                const char *mount, *path;
                enum entry_kind kind;
                mode_t mode;
                const char *text; /* NULL: not looked at */
        } rows[] = {
                { "/dev", "null", ENTRY_DEVICE, S_IFCHR | 0666, NULL },
                { "/dev", "urandom", ENTRY_DEVICE, S_IFCHR | 0644, NULL },
                { "/dev", "tty", ENTRY_DEVICE, S_IFCHR | 0620, NULL },
                { "/dev", "net/tun", ENTRY_DEVICE, S_IFCHR | 0666, NULL },
                { "/dev", "char/1:3", ENTRY_LINK, 0, "../null" },
                { "/dev", "char/1:9", ENTRY_LINK, 0, "../net/tun" },
                { "/dev", "fd", ENTRY_LINK, 0, "/proc/self/fd" },
                { "/dev", "stdin", ENTRY_LINK, 0, "/proc/self/fd/0" },
                { "/dev", "stdout", ENTRY_LINK, 0, "/proc/self/fd/1" },
                { "/dev", "stderr", ENTRY_LINK, 0, "/proc/self/fd/2" },
                { "/dev", "ptmx", ENTRY_LINK, 0, "pts/ptmx" },
                { "/dev", "core", ENTRY_LINK, 0, "/proc/kcore" },
                { "/dev", "console", ENTRY_LINK, 0, "pts/0" },
                { "/dev", "shm", ENTRY_DIRECTORY, 0755, NULL },
                { "/dev", "mqueue", ENTRY_DIRECTORY, 0755, NULL },
                { "/dev", "pts", ENTRY_DIRECTORY, 0755, NULL },
                { "/run", "host", ENTRY_DIRECTORY, 0755, NULL },
                { "/run", "host/container-manager", ENTRY_FILE, 0444, "systemd-nspawn\n" },
                { "/run", "host/container-uuid", ENTRY_FILE, 0444,
                  "11111111-1111-1111-1111-111111111111\n" },
                { "/run", "host/proc-sys-kernel-random-boot-id", ENTRY_FILE, 0444,
                  "22222222-2222-2222-2222-222222222222\n" },
                { "/run", "host/os-release", ENTRY_FILE, 0444, NULL },
                { "/run", "host/incoming", ENTRY_DIRECTORY, 0600, NULL },
                { "/run", "host/inaccessible", ENTRY_DIRECTORY, 0755, NULL },
                { "/run", "host/inaccessible/reg", ENTRY_FILE, 0, NULL },
                { "/run", "host/inaccessible/dir", ENTRY_DIRECTORY, 0, NULL },
                { "/run", "host/inaccessible/fifo", ENTRY_FIFO, 0, NULL },
                { "/run", "host/inaccessible/sock", ENTRY_DEVICE, S_IFSOCK, NULL },
                { "/run", "host/inaccessible/chr", ENTRY_DEVICE, S_IFCHR, NULL },
                { "/run", "host/inaccessible/blk", ENTRY_DEVICE, S_IFBLK, NULL },
                { "/run", "host/notify", ENTRY_SOCKET, 0200, NULL },
                { "/run", "host/proc-kmsg", ENTRY_FIFO, 0600, NULL },
        };
        WORLD(w, "");

        (void) state;
        build(&w);
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                const struct tree_entry *e = find_entry(find(&w, rows[i].mount), rows[i].path);

                if (!e)
                        fail_msg("no %s/%s", rows[i].mount, rows[i].path);
                if (e->kind != rows[i].kind || e->mode != rows[i].mode)
                        fail_msg("%s/%s: %d, %o", rows[i].mount, rows[i].path, (int) e->kind,
                                 e->mode);
                if (rows[i].text)
                        assert_string_equal(e->text, rows[i].text);
        }
        assert_true(find_entry(find(&w, "/dev"), "null")->device == makedev(1, 3));
        assert_null(find_entry(find(&w, "/dev"), "fuse")); /* the host has none */
        assert_null(find_entry(find(&w, "/dev"), "kmsg"));
        assert_null(find_entry(find(&w, "/dev"), "loop-control"));
}

/* An entry's directory is made before it. */
static void test_entries_have_parents(void **state)
{
        static const char *const lines[] = { "", "--private-network" };

        (void) state;
        for (size_t l = 0; l < ARRAY_SIZE(lines); l++) {
                WORLD(w, lines[l]);

                build(&w);
                for (size_t i = 0; i < w.plan.mounts.n_ops; i++) {
                        const struct mount_op *op = &w.plan.mounts.ops[i];

                        for (size_t k = 0; k < op->n_entries; k++) {
                                char parent[256];
                                const struct tree_entry *e;
                                char *slash;

                                (void) snprintf(parent, sizeof(parent), "%s", op->entries[k].path);
                                slash = strrchr(parent, '/');
                                if (!slash)
                                        continue;
                                *slash = '\0';
                                e = find_entry(op, parent);
                                if (!e || e >= &op->entries[k] || e->kind != ENTRY_DIRECTORY)
                                        fail_msg("%s/%s has no parent", op->target,
                                                 op->entries[k].path);
                        }
                }
        }
}

static void test_fewer_facts(void **state)
{
        WORLD(w, "-b");

        (void) state;
        w.host.has_kcore = false;
        w.host.os_release_path = NULL;
        w.host.os_release_environment = NULL;
        w.host.term = NULL;
        for (size_t i = 0; i < N_STANDARD_NODES; i++)
                w.host.nodes[i].exists = false;
        build(&w);
        assert_null(find_entry(find(&w, "/dev"), "core"));
        assert_null(find_entry(find(&w, "/dev"), "null"));
        assert_int_equal(mount_plan_find(&w.plan.mounts, "/run/host/os-release"), -1);
        assert_null(strv_env_get(w.plan.environment, "TERM"));
        assert_null(strv_env_get(w.plan.environment, "LANG"));
}

static void test_attribute_words(void **state)
{
        static const struct {
                unsigned attributes;
                const char *text;
        } rows[] = {
                { 0, "rw" },
                { MOUNT_RDONLY, "ro" },
                { MOUNT_RDONLY | LOCKED, "ro,nosuid,nodev,noexec" },
                { MOUNT_NOSUID | MOUNT_STRICTATIME, "rw,nosuid,strictatime" },
                { MOUNT_RDONLY | LOCKED | MOUNT_STRICTATIME | MOUNT_NOSYMFOLLOW,
                  "ro,nosuid,nodev,noexec,strictatime,nosymfollow" },
        };

        (void) state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                char text[96];

                mount_attributes_to_text(rows[i].attributes, text, sizeof(text));
                assert_string_equal(text, rows[i].text);
        }
        for (int i = PHASE_PREPARE; i <= PHASE_INSIDE; i++)
                assert_non_null(mount_phase_name((enum mount_phase) i));
        for (int i = MOUNT_ROOT; i <= MOUNT_DETACH; i++)
                assert_non_null(mount_kind_name((enum mount_kind) i));
}

/* ---- printing ---------------------------------------------------------------------------- */

/* A reader of JSON (RFC 8259) that gives the end of the value at @s, or NULL. */
static const char *skip_json(const char *s, unsigned depth);

static const char *skip_string(const char *s)
{
        if (*s++ != '"')
                return NULL;
        for (; *s != '"'; s++) {
                if ((unsigned char) *s < 0x20)
                        return NULL;
                if (*s == '\\') {
                        s++;
                        if (*s == 'u') {
                                if (strspn(s + 1, "0123456789abcdefABCDEF") < 4)
                                        return NULL;
                                s += 4;
                        } else if (*s == '\0' || !strchr("\"\\/bfnrt", *s))
                                return NULL;
                }
        }
        return s + 1;
}

static const char *skip_members(const char *s, char end, unsigned depth)
{
        if (*s == end)
                return s + 1;
        for (;;) {
                if (end == '}') {
                        s = skip_string(s);
                        if (!s || *s++ != ':')
                                return NULL;
                }
                s = skip_json(s, depth - 1);
                if (!s)
                        return NULL;
                if (*s == end)
                        return s + 1;
                if (*s++ != ',')
                        return NULL;
        }
}

static const char *skip_json(const char *s, unsigned depth)
{
        static const char *const words[] = { "true", "false", "null" };

        if (depth == 0)
                return NULL;
        if (*s == '{' || *s == '[')
                return skip_members(s + 1, *s == '{' ? '}' : ']', depth);
        if (*s == '"')
                return skip_string(s);
        for (size_t i = 0; i < ARRAY_SIZE(words); i++)
                if (startswith(s, words[i]))
                        return s + strlen(words[i]);
        return strspn(s, "0123456789") > 0 ? s + strspn(s, "0123456789") : NULL;
}

static void test_json_reader(void **state)
{
        static const struct {
                const char *text;
                bool valid;
        } rows[] = {
                { "{}", true },       { "[1,\"a\",null]", true }, { "{\"a\":[{}]}", true },
                { "{", false },       { "{\"a\"}", false },       { "[1,]", false },
                { "\"a\n\"", false }, { "\"\\x\"", false },       { "{\"a\":1 \"b\":2}", false },
        };

        (void) state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                const char *end = skip_json(rows[i].text, 8);

                if ((end && *end == '\0') != rows[i].valid)
                        fail_msg("%s", rows[i].text);
        }
}

static void test_print(void **state)
{
        static const struct {
                const char *line;
                const char *words[6]; /* in the text form */
        } rows[] = {
                { "",
                  { "machine: web\n", "directory: /srv/tree\n", "machine-id: random\n",
                    "mode: command\n", "id-map: the host's ids\n" } },
                { "-b|--bind=/a\"b:/c\\d|--private-network",
                  { "mode: boot\n", "(--bind=/a\"b:/c\\d)", "network: private",
                    "kill-signal: -\nstop-timeout: 90s\n", "working-directory: /\n" } },
                { "-U|--uuid=44444444444444444444444444444444|-EA=x\ny|-EZ=\xff\x01",
                  { "id-map: 0 524288 65536\n", "ownership: auto: map", "id-mapped",
                    "machine-id: 44444444-4444-4444-4444-444444444444\n", "A=x" } },
                { "--property=MemoryMax=1G|--property=Description=a \"b\"|-S|mine|ls|a b",
                  { "mine.slice", "MemoryMax", "  ls\n  a b\n", "register: if there is a registry",
                    "console: read-only\n" } },
                { "-P|--keep-unit|--register=no|-u|joe|--rlimit=CORE=5",
                  { "console: pipe\n", "user: joe\n", "CORE=5:5\n", "register: no\n",
                    "NPROC=the host's\n", "stop-timeout: 10s\n" } },
                { "--kill-signal=USR1|--stop-timeout=1500ms",
                  { "kill-signal: SIGUSR1\nstop-timeout: 1500000us\n" } },
                { "-b|--stop-timeout=infinity", { "stop-timeout: infinity\n" } },
        };

        (void) state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
                for (int k = 0; k < 2; k++) {
                        struct strbuf text CLEANUP_STRBUF = STRBUF_NULL;
                        struct strbuf json CLEANUP_STRBUF = STRBUF_NULL;
                        const char *end;
                        WORLD(w, rows[i].line);

                        w.host.host = k ? HOST_SYSTEMD : HOST_NATIVE;
                        build(&w);
                        plan_print(&w.plan, &text);
                        assert_true(strbuf_ok(&text));
                        for (size_t j = 0; j < ARRAY_SIZE(rows[i].words) && rows[i].words[j]; j++)
                                if (!strstr(strbuf_text(&text), rows[i].words[j]))
                                        fail_msg("row %zu: no '%s' in:\n%s", i, rows[i].words[j],
                                                 strbuf_text(&text));
                        plan_print_json(&w.plan, &json);
                        assert_true(strbuf_ok(&json));
                        end = skip_json(strbuf_text(&json), 8);
                        if (!end || !streq(end, "\n"))
                                fail_msg("row %zu: bad JSON: %s", i, strbuf_text(&json));
                        assert_non_null(startswith(strbuf_text(&json), "{\"machine\":\"web\","));
                }
}

/* Neither form shows what is drawn anew with each look, so that two looks are equal. */
static void test_print_is_stable(void **state)
{
        struct strbuf first CLEANUP_STRBUF = STRBUF_NULL, second CLEANUP_STRBUF = STRBUF_NULL;
        WORLD(a, "");
        WORLD(b, "");

        (void) state;
        memset(&b.inputs.random_uuid, 0x77, sizeof(struct id128));
        memset(&b.inputs.boot_id, 0x78, sizeof(struct id128));
        b.host.nproc = (struct rlimit){ 1, 2 };
        build(&a);
        build(&b);
        plan_print(&a.plan, &first);
        plan_print(&b.plan, &second);
        assert_string_equal(strbuf_text(&first), strbuf_text(&second));
        assert_non_null(strstr(strbuf_text(&first), "container_uuid=random"));
}

/* --setenv= is applied last and beats what is built in. */
static void test_print_environment(void **state)
{
        struct strbuf text CLEANUP_STRBUF = STRBUF_NULL;
        WORLD(w, "-EPATH=/x|-ELANG=de|-EA=1");

        (void) state;
        build(&w);
        plan_print(&w.plan, &text);
        assert_non_null(strstr(strbuf_text(&text), "  PATH=/x\n"));
        assert_null(strstr(strbuf_text(&text), "  PATH=/usr"));
        assert_non_null(strstr(strbuf_text(&text), "  LANG=de\n"));
        assert_non_null(strstr(strbuf_text(&text), "  A=1\n"));
}

int main(void)
{
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_capabilities),
                cmocka_unit_test(test_console),
                cmocka_unit_test(test_environment),
                cmocka_unit_test(test_boot_words),
                cmocka_unit_test(test_limits),
                cmocka_unit_test(test_identity),
                cmocka_unit_test(test_machine_names),
                cmocka_unit_test(test_ownership),
                cmocka_unit_test(test_refusals),
                cmocka_unit_test(test_labels),
                cmocka_unit_test(test_looks),
                cmocka_unit_test(test_namespaces),
                cmocka_unit_test(test_time),
                cmocka_unit_test(test_old_systemd),
                cmocka_unit_test(test_scope),
                cmocka_unit_test(test_devices),
                cmocka_unit_test(test_bound_devices),
                cmocka_unit_test(test_mount_table),
                cmocka_unit_test(test_tmpfs_owners),
                cmocka_unit_test(test_mount_order),
                cmocka_unit_test(test_custom_mounts_are_sorted),
                cmocka_unit_test(test_custom_mounts),
                cmocka_unit_test(test_custom_sources),
                cmocka_unit_test(test_owner_of_missing_destination),
                cmocka_unit_test(test_overlays),
                cmocka_unit_test(test_overlay_in_user_namespace),
                cmocka_unit_test(test_inaccessible),
                cmocka_unit_test(test_custom_root),
                cmocka_unit_test(test_custom_mounts_on_defaults),
                cmocka_unit_test(test_private_network),
                cmocka_unit_test(test_nesting),
                cmocka_unit_test(test_api_from_outside),
                cmocka_unit_test(test_host_network),
                cmocka_unit_test(test_api_vfs),
                cmocka_unit_test(test_etc_binds),
                cmocka_unit_test(test_entries),
                cmocka_unit_test(test_entries_have_parents),
                cmocka_unit_test(test_fewer_facts),
                cmocka_unit_test(test_attribute_words),
                cmocka_unit_test(test_json_reader),
                cmocka_unit_test(test_print),
                cmocka_unit_test(test_print_is_stable),
                cmocka_unit_test(test_print_environment),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
