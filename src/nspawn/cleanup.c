/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "nspawn/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "basic/fd.h"
#include "basic/log.h"
#include "basic/path.h"
#include "netsetup/keeper.h"
#include "netsetup/net-run.h"
#include "nspawn/rootfs.h"
#include "nspawn/tree-lock.h"
#include "shared/host.h"

struct cleanup {
        const struct container_config *config;
        char *machine;
        struct tree_facts tree; /* .fd is -1 if the tree is gone */
        struct tree_lock lock;
        unsigned n_removed, n_stayed;
};

static void cleanup_done(struct cleanup *c)
{
        tree_lock_release(&c->lock);
        tree_facts_done(&c->tree);
        free(c->machine);
}

static void removed(struct cleanup *c, const char *what)
{
        c->n_removed++;
        if (!c->config->quiet)
                log_message(LOG_LEVEL_INFO, "Removed %s of machine %s.", what, c->machine);
}

/* Who runs on the tree has its lock. With ours, the files of locks that nobody holds go, too. */
static int check_tree(struct cleanup *c, struct failure *failure)
{
        int fd = open(c->config->tree, O_PATH | O_DIRECTORY | O_CLOEXEC);

        if (fd < 0 && errno == ENOENT)
                return 0;
        if (fd < 0)
                return failure_set(failure, -errno, "Cannot open the root directory '%s': %s.",
                                   c->config->tree, error_text(errno));
        if (tree_facts_move(c->config, &c->tree, fd, failure) < 0)
                return failure->error;
        return tree_lock_take(&c->tree, LOCK_EXCLUSIVE, &c->lock, failure);
}

static int remove_group(struct cleanup *c, struct failure *failure)
{
        const char *slice = c->config->slice ? c->config->slice : "machine.slice";
        const struct scope_spec spec = { .machine = c->machine, .slice = slice };
        int r = scope_remove_leftover(host_detect(), &spec, failure);

        if (r > 0)
                removed(c, "the control group");
        return MIN_OF(r, 0);
}

static int remove_in(struct cleanup *c, int take_fd, const char *folder, struct failure *failure)
{
        int fd CLEANUP_FD = take_fd;
        const char *path = c->config->tree;
        const char *base = streq(path, "/") ? c->config->host_name : path_basename(path);
        int r;

        if (fd == -ENOENT)
                return 0;
        if (fd < 0)
                return failure_set(failure, fd, "Cannot open the directory '%s': %s.", folder,
                                   error_text(fd));
        r = leftovers_remove(fd, folder, base, c->machine, &c->n_stayed, failure);
        for (int i = 0; i < r; i++)
                removed(c, "a throw-away tree");
        return MIN_OF(r, 0);
}

static int open_folder(int dir_fd, const char *path)
{
        int fd = openat(dir_fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

        return fd < 0 ? -errno : fd;
}

/* All places in which a start of this tree may have left something. */
static int remove_trees(struct cleanup *c, struct failure *failure)
{
        const char *given = c->config->ephemeral_directory, *path = c->config->tree;
        char *beside CLEANUP_FREE =
                strndup(path, MAX_OF((size_t) (path_basename(path) - path), (size_t) 1));
        int r;

        if (!beside)
                return failure_set(failure, -ENOMEM, "Out of memory.");
        r = remove_in(c, open_folder(AT_FDCWD, beside), beside, failure);
        if (r >= 0 && given)
                r = remove_in(c, open_folder(AT_FDCWD, given), given, failure);
        if (r >= 0 && c->tree.fd >= 0 && mount_is_root(c->tree.fd) > 0)
                r = remove_in(c, open_folder(c->tree.fd, "."), path, failure);
        return r;
}

/* Interfaces that were moved in, bridges of zones, and what a killed keeper of the network changed. */
static int sweep_network(struct cleanup *c, struct failure *failure)
{
        int r = net_run_sweep(c->machine, failure);

        if (r > 0)
                removed(c, "the network");
        if (r >= 0)
                r = keeper_sweep(failure);
        if (r > 0)
                removed(c, "settings for the network");
        return MIN_OF(r, 0);
}

int container_cleanup(const struct container_config *config)
{
        struct cleanup c CLEANUP(cleanup_done) = {
                .config = config,
                .tree = { .fd = -1, .root_fd = -1, .layer_fd = -1 },
                .lock = TREE_LOCK_NULL,
        };
        struct failure failure = { .error = 0 };
        int r;

        if (geteuid() != 0)
                r = failure_set(&failure, -EPERM,
                                "Cleaning up after a container needs to be root. Use sudo or su.");
        else
                r = machine_name_decide(config,
                                        config->host_name ? config->host_name : config->tree,
                                        &c.machine, &failure);
        if (r >= 0)
                r = check_tree(&c, &failure);
        if (r >= 0)
                r = remove_group(&c, &failure);
        if (r >= 0)
                r = sweep_network(&c, &failure);
        if (r >= 0)
                r = remove_trees(&c, &failure);
        if (r >= 0 && leftovers_remove_machine(c.machine))
                removed(&c, "the folder for mounts");
        if (r < 0)
                return (log_error(r, "%s", failure.text), EXIT_FAILURE);
        if (c.n_stayed > 0)
                return EXIT_FAILURE;
        if (c.n_removed == 0 && !config->quiet)
                log_message(LOG_LEVEL_INFO, "Machine %s has left nothing.", c.machine);
        return EXIT_SUCCESS;
}
