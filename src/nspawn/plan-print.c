/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <sched.h>
#include <stdio.h>

#include "basic/caps.h"
#include "basic/parse.h"
#include "basic/strv.h"
#include "nspawn/plan.h"

/*
 * One walk over the plan serves both forms: text gets "name: value" lines under headings, JSON an
 * object of strings, numbers and arrays.
 */
struct printer {
        struct strbuf *out;
        bool json;
        bool first; /* nothing was printed yet on this level of JSON */
};

static void separate(struct printer *p)
{
        if (p->json && !p->first)
                strbuf_add(p->out, ",");
        p->first = false;
}

static void print_key(struct printer *p, const char *key)
{
        separate(p);
        if (p->json) {
                strbuf_add_json(p->out, key);
                strbuf_add(p->out, ":");
        } else
                strbuf_addf(p->out, "%s: ", key);
}

static void print_string(struct printer *p, const char *key, const char *value)
{
        print_key(p, key);
        if (p->json) {
                if (value)
                        strbuf_add_json(p->out, value);
                else
                        strbuf_add(p->out, "null");
        } else
                strbuf_addf(p->out, "%s\n", value ? value : "-");
}

static void print_boolean(struct printer *p, const char *key, bool value)
{
        print_key(p, key);
        if (p->json)
                strbuf_add(p->out, value ? "true" : "false");
        else
                strbuf_addf(p->out, "%s\n", value ? "yes" : "no");
}

static void print_list(struct printer *p, const char *key, char *const *list)
{
        bool first = true;

        print_key(p, key);
        if (!p->json)
                strbuf_add(p->out, "\n");
        else
                strbuf_add(p->out, "[");
        STRV_FOREACH(item, list)
        {
                if (p->json) {
                        strbuf_add(p->out, first ? "" : ",");
                        strbuf_add_json(p->out, *item);
                } else
                        strbuf_addf(p->out, "  %s\n", *item);
                first = false;
        }
        if (p->json)
                strbuf_add(p->out, "]");
}

/* @lines: text with a line per item; in JSON an array. */
static void print_lines(struct printer *p, const char *key, const char *lines)
{
        char **list CLEANUP_STRV = NULL;

        if (strv_split(lines, "\n", &list) < 0)
                p->out->failed = true;
        print_list(p, key, list);
}

/* What the root directory is made of, if it is not simply the tree. */
static void print_origin(struct printer *p, const struct container_plan *plan)
{
        const struct container_config *c = plan->config;

        if (c->template_path)
                print_string(p, "template", c->template_path);
        if (plan->ephemeral.method != EPHEMERAL_NONE) {
                print_string(p, "ephemeral", ephemeral_method_name(plan->ephemeral.method));
                print_string(p, "ephemeral-reason", plan->ephemeral.reason);
                print_string(p, "ephemeral-place",
                             plan->ephemeral.place == EPHEMERAL_GIVEN
                                     ? c->ephemeral_directory
                                     : ephemeral_place_name(plan->ephemeral.place));
        }
        if (c->pivot_new)
                print_string(p, "pivot-root", c->pivot_new);
        if (c->pivot_old)
                print_string(p, "pivot-root-old", c->pivot_old);
}

static void print_identity(struct printer *p, const struct container_plan *plan)
{
        char uuid[ID128_TEXT_SIZE];

        id128_to_uuid(&plan->uuid, uuid);
        print_string(p, "machine", plan->machine);
        print_string(p, "directory", plan->tree->path);
        print_origin(p, plan);
        if (plan->config->settings_path)
                print_string(p, "settings", plan->config->settings_path);
        print_string(p, "hostname",
                     (plan->namespaces & CLONE_NEWUTS) ? plan->hostname : "the host's");
        /* A random id differs with every look, so it is not shown. */
        print_string(p, "machine-id",
                     plan->tree->machine_id_set || plan->config->uuid_set ? uuid : "random");
        print_string(p, "mode", start_mode_name(plan->start_mode));
        print_list(p, "command", plan->argv);
        print_string(p, "user", plan->user ? plan->user : "root");
        print_string(p, "working-directory",
                     plan->working_directory                        ? plan->working_directory
                     : plan->argv || plan->start_mode == START_BOOT ? "/"
                                                                    : "home");
        print_string(p, "console", console_mode_name(plan->console));
        if (plan->background)
                print_string(p, "background", plan->background);
        if (plan->title)
                print_boolean(p, "terminal-title", true);
        print_boolean(p, "read-only", plan->config->read_only);
        if (plan->config->volatile_mode != VOLATILE_NO)
                print_string(p, "volatile", volatile_mode_name(plan->config->volatile_mode));
}

static void print_environment(struct printer *p, const struct container_plan *plan)
{
        char **list CLEANUP_STRV = NULL;

        STRV_FOREACH(item, plan->environment)
        {
                bool random_id = startswith(*item, "container_uuid=") &&
                                 !plan->tree->machine_id_set && !plan->config->uuid_set;

                if (strv_add(&list, random_id ? "container_uuid=random" : *item) < 0)
                        p->out->failed = true;
        }
        STRV_FOREACH(item, plan->config->environment)
        if (strv_env_set(&list, *item) < 0)
                p->out->failed = true;
        print_list(p, "environment", list);
}

static void print_ids(struct printer *p, const struct container_plan *plan)
{
        struct strbuf text CLEANUP_STRBUF = STRBUF_NULL;

        if (plan->user_namespace)
                strbuf_addf(&text, "0 %u %u", plan->idmap.base, plan->idmap.count);
        print_string(p, "id-map", plan->user_namespace ? strbuf_text(&text) : "the host's ids");
        if (plan->config->userns_mode == USERNS_PICK)
                print_string(p, "id-map-note",
                             "first candidate; the next free range if it is taken");
        print_string(p, "ownership",
                     plan->ownership == OWNERSHIP_AUTO && !p->json
                             ? "auto: map where the file system can, else chown"
                             : ownership_name(plan->ownership));
}

static void print_network(struct printer *p, const struct net_plan *plan)
{
        struct strbuf text CLEANUP_STRBUF = STRBUF_NULL;

        if (!plan->private_network)
                return print_string(p, "network", "the host's");
        if (plan->namespace_path) {
                strbuf_addf(&text, "that of '%s'", plan->namespace_path);
                return print_string(p, "network", strbuf_text(&text));
        }
        print_string(p, "network", plan->n_links ? "private" : "private, with just a loopback");
        if (plan->n_links == 0 && plan->n_ports == 0)
                return;
        net_plan_print(plan, &text);
        print_lines(p, "links", strbuf_text(&text));
        print_string(p, "addresses-from", net_manager_name(plan->manager));
}

static void print_namespaces(struct printer *p, const struct container_plan *plan)
{
        static const struct {
                uint64_t flag;
                const char *name;
        } names[] = { { CLONE_NEWCGROUP, "cgroup" }, { CLONE_NEWIPC, "ipc" },
                      { CLONE_NEWNS, "mount" },      { CLONE_NEWNET, "network" },
                      { CLONE_NEWPID, "pid" },       { CLONE_NEWUSER, "user" },
                      { CLONE_NEWUTS, "uts" } };
        struct strbuf text CLEANUP_STRBUF = STRBUF_NULL;

        for (size_t i = 0; i < ARRAY_SIZE(names); i++)
                if ((plan->namespaces | CLONE_NEWCGROUP) & names[i].flag)
                        strbuf_addf(&text, "%s%s", text.length ? " " : "", names[i].name);
        if (plan->private_time)
                strbuf_add(&text, " time");
        print_string(p, "namespaces", strbuf_text(&text));
        print_network(p, &plan->network);
        if (plan->private_time)
                print_string(p, "uptime", "the machine's own");
}

static void print_stop_timeout(struct printer *p, uint64_t us)
{
        struct strbuf text CLEANUP_STRBUF = STRBUF_NULL;

        if (us == UINT64_MAX)
                strbuf_add(&text, "infinity");
        else if (us % 1000000)
                strbuf_addf(&text, "%lluus", (unsigned long long) us);
        else
                strbuf_addf(&text, "%llus", (unsigned long long) us / 1000000);
        print_string(p, "stop-timeout", strbuf_text(&text));
}

static void add_capabilities(struct strbuf *out, uint64_t set)
{
        const char *separator = "";

        for (unsigned i = 0; cap_name(i); i++) {
                if (!(set & UINT64_C(1) << i))
                        continue;
                strbuf_addf(out, "%s%s", separator, cap_name(i));
                separator = " ";
        }
}

/* Only what was asked for: else the payload has what we have. */
static void print_payload(struct printer *p, const struct container_config *c)
{
        struct strbuf text CLEANUP_STRBUF = STRBUF_NULL;
        struct strbuf credentials CLEANUP_STRBUF = STRBUF_NULL;
        char number[16];

        if (c->ambient_capabilities) {
                add_capabilities(&text, c->ambient_capabilities);
                print_string(p, "ambient-capabilities", strbuf_text(&text));
        }
        if (c->oom_score_adjust_set) {
                (void) snprintf(number, sizeof(number), "%d", c->oom_score_adjust);
                print_string(p, "oom-score-adjust", number);
        }
        if (c->cpu_affinity)
                print_string(p, "cpu-affinity", c->cpu_affinity);
        if (c->personality)
                print_string(p, "personality", c->personality);
        if (c->selinux_context)
                print_string(p, "selinux-context", c->selinux_context);
        for (size_t i = 0; i < c->n_credentials; i++)
                strbuf_addf(&credentials, "%s%s%s\n", c->credentials[i].id,
                            c->credentials[i].path ? " from " : "",
                            c->credentials[i].path ? c->credentials[i].path : "");
        if (c->n_credentials > 0)
                print_lines(p, "credentials", strbuf_text(&credentials));
}

static void print_confinement(struct printer *p, const struct container_plan *plan)
{
        struct strbuf text CLEANUP_STRBUF = STRBUF_NULL;
        struct strbuf filter CLEANUP_STRBUF = STRBUF_NULL;
        char *signal_name CLEANUP_FREE = NULL;

        add_capabilities(&text, plan->capabilities);
        print_string(p, "capabilities", strbuf_text(&text));
        print_boolean(p, "no-new-privileges", plan->config->no_new_privileges);
        if (plan->config->nesting)
                print_boolean(p, "nesting", true);
        seccomp_describe(&plan->filter, &filter);
        print_string(p, "system-call-filter",
                     plan->config->system_call_filter_off ? "off" : strbuf_text(&filter));
        if (plan->kill_signal)
                signal_name = signal_to_text(plan->kill_signal);
        print_string(p, "kill-signal", signal_name);
        print_stop_timeout(p, plan->stop_timeout_us);
        print_boolean(p, "notify-ready", plan->config->notify_ready);
        print_payload(p, plan->config);
}

static void add_limit(struct strbuf *out, rlim_t value)
{
        if (value == RLIM_INFINITY)
                strbuf_add(out, "infinity");
        else
                strbuf_addf(out, "%llu", (unsigned long long) value);
}

static void print_limits(struct printer *p, const struct container_plan *plan)
{
        struct strbuf text CLEANUP_STRBUF = STRBUF_NULL;

        for (int i = 0; i < RLIM_NLIMITS; i++) {
                bool from_host = (i == RLIMIT_NPROC || i == RLIMIT_SIGPENDING) &&
                                 !plan->config->limits[i].set;

                strbuf_addf(&text, "%s=", limit_name(i));
                if (from_host) /* PID 1's, which differs from host to host */
                        strbuf_add(&text, "the host's");
                else {
                        add_limit(&text, plan->limits[i].rlim_cur);
                        strbuf_add(&text, ":");
                        add_limit(&text, plan->limits[i].rlim_max);
                }
                strbuf_add(&text, "\n");
        }
        print_lines(p, "limits", strbuf_text(&text));
}

static void add_place(struct strbuf *out, enum source_place place, const char *path)
{
        if (place == SOURCE_TEMPORARY)
                strbuf_add(out, "a temporary directory");
        else
                strbuf_addf(out, "%s%s", place == SOURCE_TREE ? "+" : "", path);
}

static void add_layers(struct strbuf *out, const struct mount_op *op)
{
        strbuf_add(out, " of ");
        for (size_t i = 0; i < op->n_layers; i++) {
                strbuf_add(out, i == 0 ? "" : i + 1 == op->n_layers ? " below " : ", ");
                add_place(out, op->layers[i].place, op->layers[i].path);
        }
}

static void add_mount(struct strbuf *out, const struct mount_op *op)
{
        static const char *const propagations[] = { [PROPAGATION_KEEP] = "",
                                                    [PROPAGATION_PRIVATE] = " private",
                                                    [PROPAGATION_SLAVE] = " slave",
                                                    [PROPAGATION_SHARED] = " shared" };
        char attributes[96];

        mount_attributes_to_text(op->attributes, attributes, sizeof(attributes));
        strbuf_addf(out, "%s %s", mount_kind_name(op->kind), op->target);
        if (op->kind == MOUNT_NEW)
                strbuf_addf(out, " %s", op->type);
        else if (op->kind == MOUNT_LAYERS)
                add_layers(out, op);
        else if (op->source) {
                strbuf_add(out, " from ");
                add_place(out, op->place, op->source);
        }
        if (op->kind != MOUNT_DETACH && (op->kind != MOUNT_CHANGE || op->attributes))
                strbuf_addf(out, " %s", attributes);
        if (op->options)
                strbuf_addf(out, " %s", op->options);
        if (op->label)
                strbuf_addf(out, " context=%s", op->label);
        strbuf_addf(out, "%s%s%s", propagations[op->propagation],
                    op->depth == MOUNT_RECURSIVE ? " recursive" : "",
                    (op->phase == PHASE_MAPPED && op->kind != MOUNT_NEW) ||
                                    op->flags & MOUNT_MAP_TREE
                            ? " id-mapped"
                            : "");
        if (op->owner.is_set)
                strbuf_addf(out, " owner %u:%u to %u:%u", op->owner.uid, op->owner.gid,
                            op->owner.shown_uid, op->owner.shown_gid);
        strbuf_addf(out, " (%s)\n", op->why);
}

static void print_mounts(struct printer *p, const struct container_plan *plan)
{
        struct strbuf text CLEANUP_STRBUF = STRBUF_NULL;

        for (size_t i = 0; i < plan->mounts.n_ops; i++)
                add_mount(&text, &plan->mounts.ops[i]);
        print_lines(p, "mounts", strbuf_text(&text));
}

static void print_etc(struct printer *p, const struct container_plan *plan)
{
        print_string(p, "resolv.conf", etc_way_name(plan->etc.resolv_conf));
        if (plan->etc.resolv_conf_is_explicit && plan->etc.resolv_conf_source)
                print_string(p, "resolv.conf-source", plan->etc.resolv_conf_source);
        print_string(p, "localtime", etc_way_name(plan->etc.localtime));
        if (plan->config->link_journal != LINK_JOURNAL_DEFAULT || plan->journal.way != JOURNAL_OFF)
                print_string(p, "journal", journal_way_name(plan->journal.way));
}

static void print_receiver(struct printer *p, const struct container_plan *plan)
{
        struct strbuf text CLEANUP_STRBUF = STRBUF_NULL;
        const struct journal_receiver_facts *receiver = plan->receiver;

        if (!receiver || !receiver->program)
                return;
        strbuf_addf(&text, "%s writes %s %s as %u:%u", receiver->program,
                    receiver->is_directory ? "files in" : "the file", plan->config->forward_journal,
                    (unsigned) receiver->uid, (unsigned) receiver->gid);
        print_string(p, "journal-receiver", strbuf_text(&text));
        strbuf_done(&text);
        for (size_t i = 0; i < N_FORWARD_LIMITS; i++)
                if (plan->config->forward_limits[i].set)
                        strbuf_addf(&text, "%s=%llu\n",
                                    forward_limit_name((enum forward_limit_kind) i),
                                    (unsigned long long) plan->config->forward_limits[i].value);
        if (text.length > 0)
                print_lines(p, "journal-receiver-limits", strbuf_text(&text));
}

static void print_users(struct printer *p, const struct container_plan *plan)
{
        struct strbuf text CLEANUP_STRBUF = STRBUF_NULL;

        if (!plan->users || plan->users->n == 0)
                return;
        for (size_t i = 0; i < plan->users->n; i++) {
                const struct bound_user *user = &plan->users->list[i];

                strbuf_addf(&text, "%s: %u inside, %u on the host; %s\n", user->name,
                            (unsigned) user->inside, (unsigned) user->uid,
                            user->password ? "with a password" : "without a password");
        }
        print_lines(p, "bound-users", strbuf_text(&text));
}

static void print_scope(struct printer *p, const struct container_plan *plan)
{
        static const char *const modes[] = { [REGISTER_AUTO] = "if there is a registry",
                                             [REGISTER_YES] = "yes",
                                             [REGISTER_NO] = "no" };
        struct strbuf text CLEANUP_STRBUF = STRBUF_NULL;

        scope_describe(plan->host, &plan->scope, &text);
        print_lines(p, "cgroup", strbuf_text(&text));
        if (plan->named_hierarchy)
                print_string(p, "cgroup-version-1", "name=systemd");
        print_string(p, "register", modes[plan->register_mode]);
}

static void print_plan(struct printer *p, const struct container_plan *plan)
{
        print_identity(p, plan);
        print_environment(p, plan);
        print_ids(p, plan);
        print_namespaces(p, plan);
        print_confinement(p, plan);
        print_limits(p, plan);
        print_etc(p, plan);
        print_receiver(p, plan);
        print_users(p, plan);
        print_mounts(p, plan);
        print_scope(p, plan);
}

void plan_print(const struct container_plan *plan, struct strbuf *out)
{
        struct printer p = { .out = out };

        print_plan(&p, plan);
}

void plan_print_json(const struct container_plan *plan, struct strbuf *out)
{
        struct printer p = { .out = out, .json = true, .first = true };

        strbuf_add(out, "{");
        print_plan(&p, plan);
        strbuf_add(out, "}\n");
}
