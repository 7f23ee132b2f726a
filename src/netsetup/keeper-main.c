/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <syslog.h>
#include <unistd.h>

#include "basic/fd.h"
#include "basic/log.h"
#include "netsetup/keeper-server.h"
#include "netsetup/keeper.h"

/*
 * network-keeper: what it does is in keeper.h. It is started by keeper.c, without arguments, and with the
 * listening socket as KEEPER_LISTEN_FD.
 */

static bool is_listening_socket(int fd)
{
        int type = 0, listens = 0;
        socklen_t size = sizeof(type);

        return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) == 0 && type == SOCK_SEQPACKET &&
               getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &size) == 0 && listens;
}

int main(void)
{
        struct failure failure = { .error = 0 };
        int r = fd_fill_stdio();

        if (r < 0 || !is_listening_socket(KEEPER_LISTEN_FD)) {
                log_error(r, "network-keeper is started by nspawn, and not by hand.");
                return EXIT_FAILURE;
        }
        r = fd_cloexec_from(KEEPER_LISTEN_FD);
        if (r >= 0 && fcntl(KEEPER_LISTEN_FD, F_SETFL, O_NONBLOCK) < 0)
                r = -errno;
        /* There is nobody at its standard error. */
        openlog("network-keeper", LOG_PID, LOG_DAEMON);
        /* A connection for each machine, and more for those with ports. */
        (void) fd_raise_limit();
        if (r >= 0)
                r = keeper_run(KEEPER_LISTEN_FD, &failure);
        if (r < 0)
                syslog(LOG_ERR, "%s", failure.text);
        return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
