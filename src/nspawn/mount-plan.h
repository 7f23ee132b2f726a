/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <sys/types.h>

#include "basic/mount-api.h"
#include "nspawn/config.h"
#include "nspawn/credentials.h"
#include "nspawn/facts.h"

/*
 * The mounts of a container as a list of operations, in the order in which they are attached. The
 * list is a pure function of the configuration and of facts about host and tree: it can be
 * printed, compared and tested without privileges. mount-run carries it out.
 */

enum mount_phase {
        PHASE_PREPARE, /* the supervisor, before the container exists: built detached */
        PHASE_MAPPED,  /* the supervisor, when the namespaces exist: needs the id map or them */
        PHASE_INSIDE,  /* the first process, in its namespaces */
};

enum mount_kind {
        MOUNT_ROOT,        /* the tree itself; becomes the root */
        MOUNT_OVERLAY,     /* the tree below a layer that takes all changes; becomes the root */
        MOUNT_TREE,        /* a part of the tree's root */
        MOUNT_OLD_ROOT,    /* the whole tree, of which the root is only a part */
        MOUNT_NEW,         /* a new file system */
        MOUNT_BIND,        /* a path of the host */
        MOUNT_BIND_INSIDE, /* a path of the container */
        MOUNT_CHANGE,      /* only attributes or propagation of what is at the target */
        MOUNT_LAYERS,      /* an overlay of directories that were asked for */
        MOUNT_HIDE,        /* a node that nobody can open, of the kind that the target has */
        MOUNT_DETACH,      /* take the mount at the target away, and its directory */
};

enum entry_kind {
        ENTRY_DIRECTORY,
        ENTRY_FILE,
        ENTRY_LINK,
        ENTRY_DEVICE,
        ENTRY_FIFO,
        ENTRY_SOCKET,         /* the notify socket */
        ENTRY_BYTES,          /* a file with .bytes */
        ENTRY_JOURNAL_SOCKET, /* what receives the journal listens on it */
};

/* What a new file system is filled with before anybody sees it. */
struct tree_entry {
        enum entry_kind kind;
        mode_t mode;
        dev_t device;
        char *path;                           /* below the file system's root */
        char *text;                           /* content of a file, target of a link */
        const struct credential_bytes *bytes; /* content of ENTRY_BYTES, borrowed */
};

enum mount_flags {
        MOUNT_OPTIONAL = 1 << 0,       /* a missing source is fine */
        MOUNT_TOLERATED = 1 << 1,      /* any failure is fine; the reason is in .why */
        MOUNT_UNLESS_MOUNTED = 1 << 2, /* not when the target is a mount point already */
        MOUNT_MAKE_TARGET = 1 << 3,    /* create the target if it is missing */
        MOUNT_NOFOLLOW = 1 << 4,       /* a link as target is not followed */
        MOUNT_INHERITS = 1 << 5,       /* the source's mount has these attributes already */
        MOUNT_OWN_TARGET = 1 << 6,     /* the target is inside a file system of an earlier row */
        MOUNT_AT_ONCE = 1 << 7, /* with MOUNT_NEW inside: mounted without being built detached */
        MOUNT_GIVE_TERMINALS = 1 << 8, /* what devpts makes for its mounter becomes the owner's */
        MOUNT_OR_OURS = 1 << 9,        /* of MOUNT_NEW: where that is refused, a copy of our own */
        MOUNT_SEALED = 1 << 10,        /* once filled nobody writes there, wherever it is mounted */
        MOUNT_MAP_TREE = 1 << 11,      /* layers from the tree get the container's id map */
        MOUNT_OF_FILE = 1 << 12,       /* a target that is made is a file */
};

struct mount_layer {
        enum source_place place;
        char *path; /* as that of a source */
};

/* The one user and group that a mount has, as it is stored and as it is shown; nobody else has any. */
struct mount_owner {
        bool is_set;
        uint32_t uid, gid;
        uint32_t shown_uid, shown_gid; /* as the host numbers them */
};

struct mount_op {
        enum mount_phase phase;
        enum mount_kind kind;
        unsigned flags;
        unsigned attributes; /* MOUNT_RDONLY | … to set */
        enum mount_propagation propagation;
        enum mount_depth depth;
        const char *type; /* file system type of MOUNT_NEW */
        char *source; /* MOUNT_BIND*: path; MOUNT_TREE: path in the tree; MOUNT_NEW, MOUNT_LAYERS:
                         name shown as the device */
        enum source_place
                place; /* of MOUNT_BIND; a temporary one is a name in the scratch folder */
        char *target;  /* absolute, in the container */
        char *options; /* of MOUNT_NEW, MOUNT_LAYERS; of the tmpfs for MOUNT_OVERLAY, which is a layer
                          on disk without; NULL: none */
        const char *label; /* SELinux's for all files of MOUNT_NEW, borrowed; NULL: none */
        char *why;         /* the option that asked for it, or what it is for */
        mode_t root_mode;  /* of the root directory, with MOUNT_SEALED */
        struct tree_entry *entries;
        size_t n_entries;
        struct mount_owner owner;   /* of MOUNT_BIND */
        struct mount_layer *layers; /* of MOUNT_LAYERS, the lowest first */
        size_t n_layers;
};

/* Where the payload finds its credentials. */
#define CREDENTIALS_FOLDER "/run/host/credentials"

struct mount_plan {
        struct mount_op *ops;
        size_t n_ops;
        size_t n_temporary; /* directories that are to be made for sources */
};

struct bound_users;
struct etc_plan;
struct journal_plan;

/* Decisions that the mounts depend on, made by plan_build(). */
struct mount_choices {
        const char *machine;
        const char *service;
        struct id128 uuid, boot_id;
        bool user_namespace;
        /* proc and sysfs are mounted by the supervisor */
        bool api_from_outside;
        enum ephemeral_method ephemeral;
        bool map_root;     /* the tree is mounted with the container's id map */
        uint32_t uid_base; /* owner of what is made for the container: its root */
        enum ownership ownership;
        const struct source_fact *sources;
        uint32_t tty_gid;                           /* group of terminals, as the host numbers it */
        bool named_hierarchy;                       /* in place of cgroup2 */
        bool pty;                                   /* a console terminal exists */
        const struct credential_bytes *credentials; /* beside the configuration's; NULL: not read */
        bool credentials_for_all;   /* a user who gets no privileges could not read them else */
        const struct etc_plan *etc; /* NULL: nothing of it by mounts */
        const struct bound_users *users;    /* NULL: none */
        const struct journal_plan *journal; /* NULL: none */
};

/* Returns 0 or a negative errno. */
int mount_plan_build(const struct container_config *c, const struct host_facts *host,
                     const struct tree_facts *tree, const struct mount_choices *choices,
                     struct mount_plan *ret);
void mount_plan_done(struct mount_plan *plan);

/* Whether the root directory is not the tree itself, but made for the container: then changes go
 * there, by the ids that the container is seen with. */
bool mount_plan_has_new_root(const struct mount_plan *plan);

/* Index of the first operation with this target, or -1. */
int mount_plan_find(const struct mount_plan *plan, const char *target);

/* Whether @op has an upper layer, which is written to. */
bool mount_op_has_upper(const struct mount_op *op);

const char *mount_phase_name(enum mount_phase phase);
const char *mount_kind_name(enum mount_kind kind);

/* "ro,nosuid,…" for people. @text has room for 96 bytes. */
void mount_attributes_to_text(unsigned attributes, char *text, size_t size);
