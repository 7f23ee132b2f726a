/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "basic/bpf-device.h"
#include "basic/strbuf.h"
#include "netsetup/net-plan.h"
#include "nspawn/bind-user.h"
#include "nspawn/config.h"
#include "nspawn/etc-files.h"
#include "nspawn/facts.h"
#include "nspawn/forward-journal.h"
#include "nspawn/ids.h"
#include "nspawn/journal-link.h"
#include "nspawn/mount-plan.h"
#include "nspawn/rootfs-plan.h"
#include "nspawn/seccomp.h"
#include "shared/host.h"
#include "shared/property.h"

/*
 * What will be done: a pure function of the configuration and of the facts. It is printed by
 * --dry-run and carried out by the executor, and constant in both.
 */
struct container_plan {
        const struct container_config *config; /* borrowed */
        const struct tree_facts *tree;         /* borrowed */
        enum host_kind host;
        char *machine;
        char *hostname;
        struct id128 uuid;    /* container_uuid */
        struct id128 boot_id; /* of the first boot; each reboot gets a new one */

        enum start_mode start_mode;
        char **argv;              /* NULL: a shell, or init with the words */
        char **environment;       /* of the first process, besides HOME and the like */
        char *user;               /* NULL: root */
        char *working_directory;  /* NULL: the user's home for a shell, else "/" */
        int kill_signal;          /* that was asked for; 0: the init's own way */
        int other_stop_signal;    /* for a first process of which nothing is known */
        uint64_t stop_timeout_us; /* from the request to the end; UINT64_MAX: no limit */
        enum console_mode console;
        const char *background; /* of the terminal, borrowed; NULL: as it is */
        bool title;             /* the terminal's title is the machine's name */

        bool user_namespace;
        struct idmap idmap;
        enum ownership ownership; /* auto: map where the file system can, else chown */
        bool named_hierarchy;     /* version 1 of control groups, for an old systemd */
        bool private_time;        /* uptime begins with the machine: a time namespace */
        uint64_t namespaces;      /* CLONE_NEW*, those that it is born in */
        uint64_t capabilities;
        char **filter_terms; /* of .filter */
        struct seccomp_spec filter;
        struct rlimit limits[RLIM_NLIMITS];

        struct ephemeral_plan ephemeral;
        struct etc_plan etc;
        struct journal_plan journal;
        struct net_plan network;
        const struct bound_users *users;               /* borrowed; NULL: none */
        const struct journal_receiver_facts *receiver; /* borrowed; NULL, or no program: none */
        struct mount_plan mounts;

        struct property_set properties;
        struct device_rule *devices;
        size_t n_devices;
        struct scope_spec scope;
        enum register_mode register_mode;
};

/* What is not a fact of host or tree: drawn or taken before the plan is made. */
struct plan_inputs {
        const struct container_config *config;
        const struct host_facts *host;
        const struct tree_facts *tree;
        const struct ids *ids;
        const struct source_fact *sources;             /* of all custom mounts, by their numbers */
        const struct credential_bytes *credentials;    /* one for each credential */
        const struct journal_facts *journal;           /* NULL: not looked at */
        const struct bound_users *users;               /* NULL: none */
        const struct journal_receiver_facts *receiver; /* NULL: not looked at */
        const struct ephemeral_facts *ephemeral;       /* NULL: it is no ephemeral start */
        const struct net_facts *network;               /* NULL: not looked at */
        const char *machine;
        struct id128 random_uuid; /* used if neither tree nor option has one */
        struct id128 boot_id;
        /* False until the first process was refused to mount proc or sysfs, as happens where parts of
         * ours are hidden: then the supervisor does it, who sees what lies below. */
        bool api_from_outside;
        bool root_is_mapped; /* with ownership auto: false once the map was refused */
};

int plan_build(const struct plan_inputs *in, struct container_plan *ret, struct failure *failure);
void plan_done(struct container_plan *plan);

/* The whole plan for people, and as one JSON object. */
void plan_print(const struct container_plan *plan, struct strbuf *out);
void plan_print_json(const struct container_plan *plan, struct strbuf *out);

/* The machine's name from --machine=, the directory, or the host for "/"; the caller frees it. */
int machine_name_decide(const struct container_config *c, const char *directory, char **ret,
                        struct failure *failure);
