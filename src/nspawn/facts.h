/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <sys/resource.h>
#include <sys/types.h>

#include "basic/failure.h"
#include "basic/id128.h"
#include "nspawn/config.h"
#include "shared/host.h"

/*
 * What the plan has to know about the host and the tree. It is read here, once, without changing
 * anything and without privileges where that is possible, and passed on as a constant; tests
 * write these structs by hand.
 */

enum localtime_kind { LOCALTIME_MISSING, LOCALTIME_FILE, LOCALTIME_LINK };

/* What the kernel shows for ids that do not exist in our user namespace. */
#define ID_NOBODY 65534U

/* Device nodes that every container gets, if the host has them. */
#define N_STANDARD_NODES 8
struct node_fact {
        const char *name; /* below /dev */
        bool exists;
        mode_t mode;
        dev_t device;
};

struct host_facts {
        enum host_kind host;
        bool user_namespaces; /* the kernel has them; looked at only when they are asked for */
        /* Our ids 0…N-1 exist in our own user namespace; 0: not looked at, or all. Only for pick. */
        uint32_t mapped_ids;
        /* Root of the machine as one of our ids; ID_NOBODY: it is none of them. Only for --nesting. */
        uid_t machines_root;
        bool stdin_is_terminal, stdout_is_terminal;
        struct node_fact nodes[N_STANDARD_NODES];
        bool has_kcore;
        bool in_user_namespace; /* our own root is not the kernel's; looked at only for overlays */
        const char *os_release_path;             /* NULL: the host has none */
        char **os_release_environment;           /* container_host_id=debian, … */
        struct rlimit nproc, sigpending;         /* PID 1's */
        const char *term, *colorterm, *no_color; /* the caller's; NULL if unset */
        bool has_resolv_conf;
        const char *resolv_conf_stub; /* systemd-resolved's file, NULL if it is not there */
        /* The host's servers for a network of ours; looked at only for one. NULL: it has none. */
        char *resolv_conf_upstream;
        enum localtime_kind localtime;
        char *localtime_zone; /* "Europe/Berlin", if the link leads into the zone database */
        bool selinux;         /* the kernel has it; looked at only when it is asked for */
        char *cpus;           /* that are online, as a list; NULL: nobody asked, or unknown */
        bool time_namespaces; /* the kernel has them; looked at only when one is wanted */
};

/* What is at a source of a custom mount; device nodes need a rule of the device policy. */
struct source_fact {
        bool exists;
        mode_t mode;
        dev_t device; /* of a device node */
        uid_t uid;
        gid_t gid;
        /* Only where the option owneridmap asks for it: the owner, on disk, of the destination in
         * the tree. */
        bool destination_exists;
        uid_t destination_uid;
        gid_t destination_gid;
};

struct tree_facts {
        char *path;   /* absolute, symbolic links resolved */
        int fd;       /* O_PATH, the tree's root directory */
        int root_fd;  /* O_PATH, what becomes the container's: .fd, or that of --pivot-root= */
        int layer_fd; /* has the layer that takes the changes of an ephemeral start; -1: none */
        dev_t device;
        ino_t inode;
        uid_t uid;
        gid_t gid;
        bool has_usr;
        bool bin_is_directory; /* this and the next are looked at only for a volatile root */
        unsigned usr_folders;  /* which of merged_usr_names are in /usr, a bit for each */
        bool has_os_release;
        bool has_old_systemd; /* that needs control groups of version 1 */
        bool has_host_zone;   /* the host's time zone exists inside */
        /* Where a link /etc/resolv.conf leads below /run; looked at only for a network of ours. */
        char *resolv_conf_link;
        bool machine_id_set;
        struct id128 machine_id;
};

void host_facts_done(struct host_facts *facts);
int host_facts_read(const struct container_config *c, struct host_facts *ret,
                    struct failure *failure);

void tree_facts_done(struct tree_facts *facts);

/* Opens the tree at @path and looks at what decides how it is run. Fails with a sentence when it
 * is missing or not a directory. */
int tree_facts_read(const struct container_config *c, const char *path,
                    const struct host_facts *host, struct tree_facts *ret, struct failure *failure);

/* From now on the tree is what @take_fd (O_PATH) refers to: a copy of it, which has the same content.
 * Takes @take_fd. */
int tree_facts_move(const struct container_config *c, struct tree_facts *facts, int take_fd,
                    struct failure *failure);

/* Facts about the sources of the configuration's custom mounts, by their numbers; the caller frees
 * the array. That one is missing is a fact; that it cannot be looked at is a failure. */
int source_facts_read(const struct container_config *c, const struct tree_facts *tree,
                      struct source_fact **ret, struct failure *failure);

/* The running kernel is new enough; else a sentence. */
int kernel_check(struct failure *failure);
