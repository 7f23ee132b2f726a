/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "basic/failure.h"
#include "basic/idmap.h"
#include "nspawn/mount-plan.h"
#include "nspawn/scratch.h"

/*
 * Carries a mount plan out, in three phases: the supervisor builds what it can detached; once the
 * user namespace exists, what needs its id map; the first process attaches everything, in order.
 * Until it is attached nobody can see a mount, and if anybody dies before, the kernel takes it
 * away with the last descriptor.
 */

#define MOUNT_RUN_MAX 256

/* A device node of the host that stands for one that we may not make: its mount, and where. */
struct bound_node {
        size_t op;
        const char *path; /* below the operation's target; borrowed from the plan */
        int fd;
};

/* What the file systems' content depends on. */
struct mount_run_options {
        int tree_fd;       /* the whole tree */
        int root_fd;       /* what of it is shown as the root; written to, if no other is made */
        int layer_fd;      /* where the layer of an overlay is kept; -1: in memory */
        uid_t owner;       /* of everything made for the container */
        uid_t root_owner;  /* of directories made in the root: as stored, if it is the tree */
        int notify_fd;     /* unbound AF_UNIX datagram socket; -1: none */
        int journal_fd;    /* unbound AF_UNIX stream socket; -1: none */
        bool make_targets; /* create missing mount points in the root from outside */
        /* With its supervisor: nothing for the container to change. */
        bool shares_cgroup;
        struct scratch *scratch; /* where temporary sources are, and work directories are noted */
        struct idmap idmap;      /* of the container */
};

struct mount_run {
        const struct mount_plan *plan;
        struct mount_run_options options;
        struct bound_node nodes[N_STANDARD_NODES];
        size_t n_nodes;
        int fds[MOUNT_RUN_MAX];      /* detached mounts by operation; -1: none (yet) */
        int contexts[MOUNT_RUN_MAX]; /* what new ones were configured by; closed together */
};

#define CLEANUP_MOUNT_RUN CLEANUP(mount_run_done)

void mount_run_init(struct mount_run *run, const struct mount_plan *plan);
void mount_run_done(struct mount_run *run);

/* Builds what can be without the container. -EINVAL as with mount_run_map(). */
int mount_run_prepare(struct mount_run *run, const struct mount_run_options *options,
                      struct failure *failure);

/* Builds the mounts of PHASE_MAPPED. -EINVAL from the root's id map means that its file system
 * cannot be mapped; @failure is then not set, so that the caller may go another way. */
int mount_run_map(struct mount_run *run, int userns_fd, struct failure *failure);

/* A root directory that is made for the container, borrowed, to be written to from outside; -1 if
 * there is none, or not yet. */
int mount_run_new_root(const struct mount_run *run);

/* Builds proc and sysfs of PHASE_MAPPED, in the pid and network namespaces of @leader_pidfd. */
int mount_run_map_api(struct mount_run *run, int leader_pidfd, struct failure *failure);

/* The descriptors of PHASE_MAPPED in order, borrowed; and the other way round, taking them. */
size_t mount_run_get_mapped(const struct mount_run *run, int *fds, size_t max);
int mount_run_take_mapped(struct mount_run *run, const int *fds, size_t n);

/* proc or sysfs may not be mounted from inside. */
#define MOUNT_API_REFUSED 1

/* In the container's namespaces: attaches all, in order; the working directory and root directory
 * end up at the container's root. Returns 0, MOUNT_API_REFUSED or a negative errno. */
int mount_run_attach(struct mount_run *run, struct failure *failure);

/* The detached mount for @target, borrowed; -1 if the plan has none or it is attached already. */
int mount_run_fd(const struct mount_run *run, const char *target);
