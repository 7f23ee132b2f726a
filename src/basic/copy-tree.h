/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "basic/failure.h"

/* How the content of files is copied. */
enum copy_content {
        COPY_SHARED,          /* the copies share the blocks until one is changed, or it fails */
        COPY_SHARED_OR_BYTES, /* where the file system cannot share, all bytes */
};

struct copy_progress {
        uint64_t n_files, n_bytes;
};

struct copy_options {
        const char *path; /* of the source, for messages */
        enum copy_content content;
        void (*tell)(const struct copy_progress *progress, void *userdata); /* NULL: nobody asks */
        void *userdata;
};

/*
 * Copies the directory @source_fd (O_PATH will do) with all that is in it to the new directory @name
 * below @parent_fd, in which nobody else makes anything: owners, modes, times, extended attributes
 * with access lists, hard links, holes, devices and FIFOs. Sockets are left out, as nobody listens
 * on a copy; of what is mounted in it, the mount point is made, and no more. The source may be
 * somebody hostile's, who changes it meanwhile.
 *
 * Ends with -EINTR when the process is asked to end. On failure a part of the copy is left.
 */
int copy_tree(int source_fd, int parent_fd, const char *name, const struct copy_options *options,
              struct failure *failure);
