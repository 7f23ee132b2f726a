/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <sys/resource.h>
#include <sys/types.h>

#include "basic/failure.h"
#include "basic/id128.h"
#include "basic/idmap.h"
#include "basic/macro.h"
#include "netsetup/net-config.h"

/*
 * What was asked for: options and settings, each checked and in its type. Setters fill it, once
 * the machine's name is known and every source was read; config_validate() looks across options;
 * from then on it is const.
 */

enum start_mode { START_COMMAND, START_AS_PID2, START_BOOT };

enum userns_mode {
        USERNS_NO,        /* the host's ids */
        USERNS_FROM_ROOT, /* base is the owner of the root directory */
        USERNS_PICK,      /* a free range, from the name's hash first */
        USERNS_IDENTITY,  /* 0…65535 to themselves: capabilities are confined, ids are not */
        USERNS_FIXED,     /* base and count as given */
};

enum ownership {
        OWNERSHIP_DEFAULT, /* auto with pick, else off */
        OWNERSHIP_OFF,
        OWNERSHIP_CHOWN,
        OWNERSHIP_MAP,
        OWNERSHIP_AUTO,
};

/* What becomes of /etc/resolv.conf. The three ways with a source have the same order of sources. */
enum resolv_conf_mode {
        RESOLV_CONF_AUTO,
        RESOLV_CONF_OFF,
        RESOLV_CONF_DELETE,
        RESOLV_CONF_COPY_HOST,
        RESOLV_CONF_COPY_STATIC,
        RESOLV_CONF_COPY_UPLINK,
        RESOLV_CONF_COPY_STUB,
        RESOLV_CONF_REPLACE_HOST,
        RESOLV_CONF_REPLACE_STATIC,
        RESOLV_CONF_REPLACE_UPLINK,
        RESOLV_CONF_REPLACE_STUB,
        RESOLV_CONF_BIND_HOST,
        RESOLV_CONF_BIND_STATIC,
        RESOLV_CONF_BIND_UPLINK,
        RESOLV_CONF_BIND_STUB,
};

/* What becomes of /etc/localtime. */
enum timezone_mode {
        TIMEZONE_AUTO,
        TIMEZONE_OFF,
        TIMEZONE_COPY,
        TIMEZONE_BIND,
        TIMEZONE_SYMLINK,
        TIMEZONE_DELETE,
};

/* Where the container's journal is kept. */
enum link_journal_mode {
        LINK_JOURNAL_DEFAULT, /* auto with --boot, else no */
        LINK_JOURNAL_NO,
        LINK_JOURNAL_HOST,
        LINK_JOURNAL_GUEST,
        LINK_JOURNAL_AUTO,
};

/* Limits of a received journal: bytes, bytes, bytes, a number. */
enum forward_limit_kind {
        FORWARD_MAX_USE,
        FORWARD_KEEP_FREE,
        FORWARD_MAX_FILE_SIZE,
        FORWARD_MAX_FILES,
        N_FORWARD_LIMITS,
};

struct forward_limit {
        bool set;
        uint64_t value;
};

enum console_mode {
        CONSOLE_DEFAULT, /* interactive if stdin and stdout are terminals, else read-only */
        CONSOLE_INTERACTIVE,
        CONSOLE_READ_ONLY,
        CONSOLE_PASSIVE,
        CONSOLE_PIPE,
        CONSOLE_AUTOPIPE,
};

enum time_mode {
        TIME_AUTO, /* private for a system, where the kernel can */
        TIME_HOST,
        TIME_PRIVATE,
};

enum register_mode { REGISTER_AUTO, REGISTER_YES, REGISTER_NO };

/* Which changes are forgotten at the end. */
enum volatile_mode {
        VOLATILE_NO,
        VOLATILE_YES,     /* all but /usr is a new tmpfs, and /usr is read-only */
        VOLATILE_STATE,   /* the tree is read-only, and /var a new tmpfs */
        VOLATILE_OVERLAY, /* everything can be changed, in a layer that is a tmpfs */
};

/* How the tree of an ephemeral start is kept as it is. */
enum ephemeral_method {
        EPHEMERAL_NONE,
        EPHEMERAL_AUTO,
        EPHEMERAL_VIEW,     /* the tree itself, read-only; decided, not asked for */
        EPHEMERAL_SNAPSHOT, /* of a btrfs subvolume */
        EPHEMERAL_OVERLAY,  /* the tree below a layer on disk that takes all changes */
        EPHEMERAL_REFLINK,  /* a copy that shares the tree's blocks */
        EPHEMERAL_COPY,     /* a full copy */
};

enum api_vfs_mode { API_VFS_PROTECTED, API_VFS_WRITABLE, API_VFS_NETWORK };

/* Which control groups the payload sees. */
enum cgroups_mode {
        CGROUPS_AUTO, /* as the init of the tree needs them */
        CGROUPS_UNIFIED,
        CGROUPS_NAMED, /* the hierarchy "name=systemd" of version 1, without controllers */
};

enum custom_mount_type { CUSTOM_BIND, CUSTOM_TMPFS, CUSTOM_OVERLAY, CUSTOM_INACCESSIBLE };

enum bind_idmap {
        BIND_IDMAP_NONE,  /* ids as on the host: nobody, inside a user namespace */
        BIND_IDMAP_ALL,   /* 0…65535 inside are 0…65535 of the source */
        BIND_IDMAP_ROOT,  /* the source's owner is root inside */
        BIND_IDMAP_OWNER, /* the source's owner is the destination's owner */
};

/* Where a source is. */
enum source_place {
        SOURCE_HOST,      /* an absolute path of the host */
        SOURCE_TREE,      /* "+": an absolute path that is looked up below the tree's root */
        SOURCE_TEMPORARY, /* empty: a new directory that goes with the container */
};

struct custom_source {
        enum source_place place;
        char *path; /* NULL: temporary */
};

struct custom_mount {
        enum custom_mount_type type;
        struct custom_source *sources; /* bind: one; overlay: its layers, the lowest first */
        size_t n_sources;
        size_t first_source; /* number of the first one among the sources of all mounts */
        char *destination;
        char *options; /* tmpfs: for the file system; NULL: the default */
        bool read_only;
        bool recursive;
        enum bind_idmap idmap;
        char *origin; /* what asked for it, for messages and the plan */
};

struct limit_setting {
        bool set;
        struct rlimit value;
};

/* A credential: its bytes, or where they are to be read. */
struct credential {
        char *id;
        char *bytes; /* NULL: at .path */
        size_t size;
        char *path; /* absolute, or the name of a file in our own $CREDENTIALS_DIRECTORY */
};

#define BACKGROUND_MAX 32 /* characters */

/* Whether the caller's terminal may get colours. */
enum colors { COLORS_AUTO, COLORS_NO, COLORS_YES };

/* Which settings files are read, who wins, and which are trusted. */
enum settings_mode { SETTINGS_YES, SETTINGS_NO, SETTINGS_OVERRIDE, SETTINGS_TRUSTED };

enum config_action { ACTION_RUN, ACTION_DRY_RUN, ACTION_HELP, ACTION_VERSION, ACTION_CLEANUP };

struct container_config {
        enum config_action action;
        bool json;
        bool quiet;

        enum settings_mode settings;
        char *settings_path; /* the file that was read; NULL: none */

        char *directory; /* as given; NULL: found by the machine's name, or the working directory */
        char *tree;      /* the root directory: this one */
        char *machine;   /* as given, or derived later */
        char *host_name; /* names the machine whose tree is "/"; else NULL */
        bool read_only;
        enum volatile_mode volatile_mode;
        bool ephemeral;
        bool ephemeral_is_another; /* its name gets a random end, unless one was given */
        enum ephemeral_method ephemeral_method;
        char *ephemeral_directory;
        char *template_path;         /* what a missing tree is made from */
        char *pivot_new, *pivot_old; /* in the tree: what becomes "/", and where the old "/" is */

        enum start_mode start_mode;
        char **parameters;
        char **environment; /* NAME=VALUE of --setenv */
        char *user;
        char *working_directory;
        int kill_signal;          /* 0: none was asked for */
        uint64_t stop_timeout_us; /* UINT64_MAX: no limit; 0: none was asked for */
        bool notify_ready;
        enum time_mode time_mode;

        char *hostname;
        struct id128 uuid;
        bool uuid_set;

        char *slice;
        char **properties; /* NAME=VALUE */
        enum register_mode register_mode;
        bool keep_unit;

        enum userns_mode userns_mode;
        struct idmap userns_range; /* of USERNS_FIXED */
        enum ownership ownership;
        bool userns_if_possible; /* -U: does nothing on kernels without user namespaces */

        struct net_config network;

        uint64_t capabilities_added, capabilities_dropped;
        bool no_new_privileges;
        bool nesting;                /* containers inside */
        char *selinux_context;       /* of the payload */
        char *selinux_apifs_context; /* of the files on file systems made for it */
        bool suppress_sync;
        char **address_families;   /* words of families.h */
        char **system_call_filter; /* words in the order given; '~' before those denied */
        struct limit_setting limits[RLIM_NLIMITS];
        uint64_t ambient_capabilities; /* CAPS_ALL: was asked for, and is refused */
        bool oom_score_adjust_set;
        int oom_score_adjust;
        char *cpu_affinity;           /* a list in the kernel's form; NULL: as we have it */
        const char *personality;      /* the word, a constant; NULL: as we have it */
        unsigned long personality_id; /* PER_* */

        struct custom_mount *custom_mounts;
        size_t n_custom_mounts;
        size_t n_custom_sources; /* of all of them */

        enum console_mode console_mode;
        char *background; /* parameters of the terminal's SGR sequence; "": none; NULL: by default */
        bool tint_by_default;
        bool adjust_title;
        enum colors colors;

        struct credential *credentials;
        size_t n_credentials;
        enum resolv_conf_mode resolv_conf;
        enum timezone_mode timezone;
        enum link_journal_mode link_journal;
        bool link_journal_try; /* host and guest: if that is possible */

        char *forward_journal; /* where the journal that the container sends goes; NULL: nowhere */
        struct forward_limit forward_limits[N_FORWARD_LIMITS];

        char **bind_users;         /* each once */
        char *bind_user_shell;     /* a path; NULL: as the next one says */
        bool bind_user_shell_host; /* the shell that each has on the host; else none is told */
        char **bind_user_groups;   /* of the container, each once */

        /* From the environment of the launcher. */
        bool tmpfs_on_tmp;
        bool lock_tree;
        bool check_os_release;
        bool system_call_filter_off;
        uint64_t shared_namespaces; /* of CLONE_NEWIPC, CLONE_NEWPID and CLONE_NEWUTS: the host's */
        bool log_filter;            /* what the filter refuses goes to the kernel's log */
        enum api_vfs_mode api_vfs;
        enum cgroups_mode cgroups;
        unsigned n_listen_fds; /* sockets passed on, from number 3 (sd_listen_fds(3)) */
        char *service;         /* name towards the guest and the registry */
};

/* Frees, and leaves nothing of the bytes in memory. */
void credential_done(struct credential *credential);

/* Sets the defaults. */
void config_init(struct container_config *c);
void config_done(struct container_config *c);

/*
 * Looks across options, with nothing but what is in the config. Returns 0, or a negative errno
 * and a sentence.
 */
int config_validate(const struct container_config *c, struct failure *failure);

/* Whether the container may rule over its network: it is not the host's, nor, without an explicit
 * --private-network, one that somebody else made. */
bool config_network_is_own(const struct net_config *n);

/* Whether the first link gets its addresses from us, if nobody else of the host gives them. */
bool config_network_is_ours(const struct net_config *n);

/* The part of it that looks at the network. */
int config_validate_network(const struct net_config *n, struct failure *failure);

/* Whether the tree on disk stays as it is, whatever happens inside. */
bool config_tree_is_read_only(const struct container_config *c);

/* Whether the container's root directory can be written to, to wherever that goes. */
bool config_root_is_writable(const struct container_config *c);

/* What is a link into /usr in the root directory of a tree with a merged /usr. */
#define N_MERGED_USR_NAMES 4
extern const char *const merged_usr_names[N_MERGED_USR_NAMES];

/* Frees what @m owns. */
void custom_mount_done(struct custom_mount *m);

/* The mount that stands for the tree as the root directory, or NULL: the last one on "/". */
const struct custom_mount *config_root_mount(const struct container_config *c);

/* The words for the enums, used by options, plan and messages. */
const char *console_mode_name(enum console_mode mode);
const char *ownership_name(enum ownership ownership);
const char *start_mode_name(enum start_mode mode);
const char *ephemeral_method_name(enum ephemeral_method method);
const char *volatile_mode_name(enum volatile_mode mode);
const char *resolv_conf_mode_name(enum resolv_conf_mode mode);
const char *timezone_mode_name(enum timezone_mode mode);
const char *forward_limit_name(enum forward_limit_kind kind); /* as in journal-remote.conf(5) */
const char *limit_name(int resource);  /* "NOFILE"; NULL if there is no such limit */
int limit_from_name(const char *name); /* with or without RLIMIT_; -EINVAL */
