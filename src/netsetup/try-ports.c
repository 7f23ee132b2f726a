/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <syslog.h>
#include <unistd.h>

#include "basic/log.h"
#include "basic/parse.h"
#include "basic/strv.h"
#include "netsetup/ifname.h"
#include "netsetup/port-service.h"

/*
 * Firewall and published ports without the rest, for tests:
 *
 *   try-ports MACHINE LINK MAC ADDRESS4 ADDRESS6 PORT…
 *
 * LINK is the host's end, "-" for none; an address is "-" for none, and then standard input is a
 * pidfd of the machine's leader. Says "ready" or a sentence. The end of standard output's reader
 * ends it.
 */

#define MAX_PORTS 64

static int parse_port(struct net_port *port, const char *text)
{
        char **parts CLEANUP_STRV = NULL;
        unsigned long host, guest;

        if (strv_split(text, ":", &parts) < 0 || strv_length(parts) != 3 ||
            parse_ulong(parts[1], 1, UINT16_MAX, &host) < 0 ||
            parse_ulong(parts[2], 1, UINT16_MAX, &guest) < 0)
                return -EINVAL;
        *port = (struct net_port){ .protocol = streq(parts[0], "udp") ? NET_UDP : NET_TCP,
                                   .host = (uint16_t) host,
                                   .guest = (uint16_t) guest };
        return 0;
}

static void ready(void *data, const struct failure *failure)
{
        (void) data;
        printf("%s\n", failure ? failure->text : "ready");
        (void) fflush(stdout);
}

static int parse(char **argv, struct firewall_member *m, struct net_port ports[MAX_PORTS])
{
        m->machine = argv[1];
        m->ports = ports;
        if (!streq(argv[2], "-"))
                (void) snprintf(m->link, sizeof(m->link), "%s", argv[2]);
        if (mac_parse(argv[3], m->mac) < 0 ||
            (!streq(argv[4], "-") && net_address_parse(argv[4], &m->address4) < 0) ||
            (!streq(argv[5], "-") && net_address_parse(argv[5], &m->address6) < 0))
                return -EINVAL;
        for (char **word = argv + 6; *word && m->n_ports < MAX_PORTS; word++)
                if (parse_port(&ports[m->n_ports++], *word) < 0)
                        return -EINVAL;
        return 0;
}

static int run(const struct firewall_member *m, struct failure *failure)
{
        struct port_service *service = NULL;
        struct firewall *fw = NULL;
        int r = firewall_open(&fw, failure);

        if (r >= 0 && m->link[0] && m->address4.family != AF_UNSPEC)
                r = firewall_add(fw, m, failure);
        if (r >= 0)
                r = port_service_open(fw, &service, failure);
        if (r >= 0)
                r = port_service_add(service, m, STDIN_FILENO, ready, NULL, failure);
        while (r >= 0) {
                struct pollfd fds[] = { { .fd = port_service_fd(service), .events = POLLIN },
                                        { .fd = STDOUT_FILENO } };

                (void) poll(fds, ARRAY_SIZE(fds), -1);
                if (fds[1].revents)
                        break;
                port_service_dispatch(service);
        }
        port_service_close(service);
        firewall_close(fw);
        return r;
}

int main(int argc, char **argv)
{
        struct net_port ports[MAX_PORTS];
        struct firewall_member m = { .machine = NULL };
        struct failure failure = { .error = 0 };

        /* What it says in the system log is read by the tests. */
        openlog("try-ports", LOG_PERROR, LOG_DAEMON);
        if (argc < 7 || parse(argv, &m, ports) < 0) {
                fprintf(stderr, "Usage: try-ports MACHINE LINK MAC ADDRESS4 ADDRESS6 PORT...\n");
                return EXIT_FAILURE;
        }
        if (run(&m, &failure) < 0) {
                printf("%s\n", failure.text);
                return EXIT_FAILURE;
        }
        return EXIT_SUCCESS;
}
