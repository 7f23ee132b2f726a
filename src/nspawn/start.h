/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "basic/channel.h"
#include "basic/process.h"
#include "netsetup/net-run.h"
#include "nspawn/console.h"
#include "nspawn/plan.h"
#include "nspawn/scratch.h"
#include "shared/host-named.h"

/* Has a directory for each machine, through which mounts get in while it runs. */
#define PROPAGATE_FOLDER "/run/systemd/nspawn/propagate"

/* A container that is happening: the only part of a start that changes. */
struct container {
        const struct container_plan *plan; /* borrowed */
        struct scope scope;
        struct named_group named_group; /* empty, but for an old systemd */
        struct console console;
        pid_t leader;
        int leader_pidfd;
        int notify_fd;
        int channel_fd;
        struct journal_receiver receiver;
        int kmsg_fd; /* keeps the FIFO that stands for /proc/kmsg open */
        struct scratch scratch;
        struct net_run network;
        char *propagate; /* directory of the host for mounts added later */
};

#define CONTAINER_NULL                                                                             \
        {                                                                                          \
                .scope = SCOPE_NULL, .named_group = NAMED_GROUP_NULL, .console = CONSOLE_NULL,     \
                .leader_pidfd = -1, .notify_fd = -1, .channel_fd = -1, .kmsg_fd = -1,              \
                .receiver = JOURNAL_RECEIVER_NULL, .scratch = SCRATCH_NULL,                        \
                .network = NET_RUN_NULL                                                            \
        }

/* A root whose file system cannot be id-mapped, where the plan lets another way be tried. */
#define START_CANNOT_MAP (-EMEDIUMTYPE)

/* The first process may not mount proc or sysfs, where the plan lets us do it. */
#define START_API_REFUSED (-EMULTIHOP)

/*
 * Builds everything and starts the first process, up to the point where it may go on. On failure
 * nothing is left. Returns 0, START_CANNOT_MAP, or a negative errno with a sentence.
 */
int container_start(struct container *c, const struct container_plan *plan, char **host_argv,
                    char **host_environment, struct failure *failure);

/* What the message @m of the first process, which does not go on, means: a negative errno with a
 * sentence, or START_API_REFUSED. */
int container_failed(const struct channel_message *m, struct failure *failure);

/* Lets the payload run. May return START_API_REFUSED. */
int container_go(struct container *c, struct failure *failure);

/* Ends what still runs, and takes away all that container_start() made. Accepts an empty one. */
void container_done(struct container *c);
