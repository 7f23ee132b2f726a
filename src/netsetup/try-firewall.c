/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdio.h>
#include <time.h>

#include "basic/log.h"
#include "basic/parse.h"
#include "basic/strv.h"
#include "netsetup/firewall.h"
#include "netsetup/ifname.h"

/*
 * The firewall without the rest, for tests. Each line of standard input is a command, and has one line of
 * answer: "ok …", or a sentence.
 *
 *   add MACHINE LINK BRIDGE MAC ADDRESS4 ADDRESS6 [isolate] [other=ADDRESS]... [tcp:HOST:GUEST]...
 *   remove LINK            ports LINK kernel|proxy        count LINK -> ok REDIRECTED FORWARDED
 *   limit on|off           many N                         -> milliseconds of the first and last 100 of N
 *
 * "-" is a bridge or an address that it does not have.
 */

#define MAX_PORTS 64
#define MAX_OTHERS 8

static bool set_name(char name[LINK_NAME_SIZE], const char *text)
{
        return snprintf(name, LINK_NAME_SIZE, "%s", streq(text, "-") ? "" : text) < LINK_NAME_SIZE;
}

static bool set_address(struct net_address *a, const char *text)
{
        *a = (struct net_address){ 0 };
        return streq(text, "-") || net_address_parse(text, a) == 0;
}

static bool set_port(struct net_port *port, const char *text)
{
        char **parts CLEANUP_STRV = NULL;
        unsigned long host, guest;

        if (strv_split(text, ":", &parts) < 0 || strv_length(parts) != 3 ||
            parse_ulong(parts[1], 1, UINT16_MAX, &host) < 0 ||
            parse_ulong(parts[2], 1, UINT16_MAX, &guest) < 0)
                return false;
        *port = (struct net_port){ .protocol = streq(parts[0], "udp") ? NET_UDP : NET_TCP,
                                   .host = (uint16_t) host,
                                   .guest = (uint16_t) guest };
        return true;
}

static int do_add(struct firewall *fw, char **words, struct failure *failure)
{
        struct net_port ports[MAX_PORTS];
        struct net_address others[MAX_OTHERS];
        struct firewall_member m = { .machine = words[1], .ports = ports, .others = others };
        const char *value;

        if (!set_name(m.link, words[2]) || !set_name(m.bridge, words[3]) ||
            mac_parse(words[4], m.mac) < 0 || !set_address(&m.address4, words[5]) ||
            !set_address(&m.address6, words[6]))
                return failure_set(failure, -1, "bad words");
        for (char **word = words + 7; *word; word++)
                if (streq(*word, "isolate"))
                        m.isolate = true;
                else if ((value = startswith(*word, "other=")) && m.n_others < MAX_OTHERS) {
                        if (!set_address(&others[m.n_others++], value))
                                return failure_set(failure, -1, "bad address");
                } else if (m.n_ports == MAX_PORTS || !set_port(&ports[m.n_ports++], *word))
                        return failure_set(failure, -1, "bad port");
        return firewall_add(fw, &m, failure);
}

static double milliseconds(void)
{
        struct timespec now;

        (void) clock_gettime(CLOCK_MONOTONIC, &now);
        return (double) now.tv_sec * 1e3 + (double) now.tv_nsec / 1e6;
}

/* Of links of their own and of one bridge in turns, each with two ports. */
static int do_many(struct firewall *fw, unsigned n, struct failure *failure)
{
        double first = 0, last = 0;

        for (unsigned i = 0; i < n; i++) {
                const struct net_port ports[] = {
                        { .protocol = NET_TCP, .host = (uint16_t) (2000 + i), .guest = 80 },
                        { .protocol = NET_UDP, .host = (uint16_t) (2000 + i), .guest = 53 },
                };
                struct firewall_member m = { .ports = ports, .n_ports = ARRAY_SIZE(ports) };
                char text[64];
                double begin;
                int r;

                (void) snprintf(m.link, sizeof(m.link), "%s-%u", i % 2 ? "vb" : "ve", i);
                (void) snprintf(m.bridge, sizeof(m.bridge), "%s", i % 2 ? "vz-many" : "");
                (void) snprintf(text, sizeof(text), "10.200.%u.%u", i / 200, i % 200 + 2);
                (void) net_address_parse(text, &m.address4);
                (void) snprintf(text, sizeof(text), "fd00:200::%x", i + 2);
                (void) net_address_parse(text, &m.address6);
                m.mac[0] = 2;
                m.mac[4] = (uint8_t) (i / 256);
                m.mac[5] = (uint8_t) i;
                begin = milliseconds();
                r = firewall_add(fw, &m, failure);
                if (r < 0)
                        return r;
                begin = milliseconds() - begin;
                first += i < 100 ? begin / 100 : 0;
                last += i >= n - 100 ? begin / 100 : 0;
                if (i < 2)
                        printf("number %u %.2f ms, ", i + 1, begin);
        }
        printf("first 100 %.2f ms, last 100 %.2f ms ", first, last);
        return 0;
}

static int do_line(struct firewall *fw, char **words, struct failure *failure)
{
        struct firewall_member m = { 0 };
        uint64_t redirected, forwarded;
        unsigned long n;
        size_t n_words = strv_length(words);
        int r;

        if (n_words >= 7 && streq(words[0], "add"))
                return do_add(fw, words, failure);
        if (n_words == 2 && streq(words[0], "limit"))
                return firewall_limit_forwarding(fw, streq(words[1], "on"), streq(words[1], "on"),
                                                 failure);
        if (n_words == 2 && streq(words[0], "many") && parse_ulong(words[1], 100, 10000, &n) == 0)
                return do_many(fw, (unsigned) n, failure);
        if (n_words < 2 || !set_name(m.link, words[1]))
                return failure_set(failure, -1, "bad words");
        if (streq(words[0], "remove"))
                return firewall_remove(fw, &m, failure);
        if (n_words == 3 && streq(words[0], "ports"))
                return firewall_set_ports(fw, &m, streq(words[2], "kernel"), failure);
        if (!streq(words[0], "count"))
                return failure_set(failure, -1, "bad words");
        r = firewall_look(fw);
        firewall_count_ports(fw, &m, &redirected, &forwarded);
        if (r < 0)
                return failure_set(failure, r, "cannot count: %s", error_text(r));
        printf("%llu %llu ", (unsigned long long) redirected, (unsigned long long) forwarded);
        return 0;
}

int main(void)
{
        struct firewall *fw = NULL;
        struct failure failure = { 0 };
        char line[4096];

        if (firewall_open(&fw, &failure) < 0)
                return printf("%s\n", failure.text) < 0 ? 2 : 1;
        printf("open\n");
        (void) fflush(stdout);
        while (fgets(line, sizeof(line), stdin)) {
                char **words CLEANUP_STRV = NULL;

                failure = (struct failure){ 0 };
                if (strv_split(line, " \n", &words) < 0)
                        break;
                if (do_line(fw, words, &failure) == 0)
                        printf("ok\n");
                else
                        printf("%s\n", failure.text);
                (void) fflush(stdout);
        }
        firewall_close(fw);
        return 0;
}
