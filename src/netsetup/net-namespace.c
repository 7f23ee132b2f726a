/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <linux/nsfs.h>
#include <sched.h>
#include <sys/ioctl.h>

#include "basic/fd.h"
#include "basic/log.h"
#include "netsetup/net-run.h"

int net_namespace_open(const char *path, int *ret_fd, struct failure *failure)
{
        int fd CLEANUP_FD = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
        int type;

        if (fd < 0)
                return failure_set(failure, -errno, "Cannot open the network namespace '%s': %s.",
                                   path, error_text(errno));
        type = ioctl(fd, NS_GET_NSTYPE);
        if (type != CLONE_NEWNET)
                return failure_set(failure, -EINVAL,
                                   "'%s' is not a network namespace. It is made by 'ip netns add "
                                   "NAME', as /run/netns/NAME.",
                                   path);
        *ret_fd = TAKE_FD(fd);
        return 0;
}
