/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "nspawn/mount-run.h"

/* The sources of mounts that were asked for, and overlays made of several. */

/* Opens a source (O_PATH); what is in the tree is looked up below its root. */
int source_open(enum source_place place, const char *path, const struct mount_run_options *o);

/* Maps one id of the detached mount @fd. @failure gets a sentence. */
int source_map_owner(int fd, const struct mount_op *op, const struct mount_run_options *o,
                     struct failure *failure);

/* Says that the file system of a source cannot be mapped. Returns @error. */
int source_map_failed(const struct mount_op *op, const struct mount_run_options *o, int error,
                      struct failure *failure);

/*
 * The overlay of @op as a detached mount; what it needs beside it is noted in @o->scratch. Returns
 * its descriptor. -EINVAL without a sentence: the tree's file system cannot be mapped.
 */
int layers_build(const struct mount_op *op, const struct mount_run_options *o, int *ret_context,
                 struct failure *failure);
