/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "netsetup/netsetup.h"

#include <errno.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "basic/fd.h"

int loopback_up(void)
{
        /* One ioctl (netdevice(7)) instead of a netlink conversation: this is paid by every start
         * with a network of its own. */
        int fd CLEANUP_FD = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        struct ifreq request = { .ifr_name = "lo", .ifr_flags = IFF_UP };

        if (fd < 0)
                return -errno;
        return ioctl(fd, SIOCSIFFLAGS, &request) < 0 ? -errno : 0;
}
