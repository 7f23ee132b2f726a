/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What is asked of the network, from options and from files, and the name servers that come of it. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "basic/fd.h"
#include "basic/io.h"
#include "basic/path.h"
#include "basic/remove-tree.h"
#include "basic/strbuf.h"
#include "basic/strv.h"
#include "netsetup/ifname.h"
#include "nspawn/etc-files.h"
#include "nspawn/options.h"
#include "nspawn/resolv-conf.h"
#include "nspawn/settings-load.h"

/* ---- help for the tests ------------------------------------------------------------------ */

static void scan(const char *line, struct settings *s)
{
        char **argv CLEANUP_STRV = NULL, **words CLEANUP_STRV = NULL;
        struct failure failure = { .error = 0 };

        assert_int_equal(strv_add(&argv, "nspawn"), 0);
        assert_int_equal(strv_split(line, "|", &words), 0);
        assert_int_equal(strv_add_all(&argv, words), 0);
        assert_int_equal(settings_add_argv(s, (int) strv_length(argv), argv, &failure), 0);
}

/* Options, the text of a settings file (or NULL), and all that is checked of them. */
static int apply(const char *line, const char *file, struct settings_rules rules,
                 struct container_config *c, struct failure *failure)
{
        struct settings s CLEANUP(settings_done) = { .n = 0 };
        struct settings_file parsed CLEANUP(settings_file_done) = { .n = 0 };
        int r = 0;

        config_init(c);
        scan(line, &s);
        if (file) {
                assert_int_equal(settings_file_parse("/a.nspawn", file, strlen(file),
                                                     settings_sections, &parsed, failure),
                                 0);
                r = settings_merge(&s, "/a.nspawn", &parsed, rules, failure);
        }
        if (r >= 0)
                r = settings_apply(&s, c, failure);
        return r < 0 ? r : config_validate(c, failure);
}

static void add_pairs(struct strbuf *b, const char *what, const struct net_pair *pairs, size_t n)
{
        for (size_t i = 0; i < n; i++)
                strbuf_addf(b, " %s=%s%s%s", what, pairs[i].host, pairs[i].guest ? ":" : "",
                            pairs[i].guest ? pairs[i].guest : "");
}

static void add_chosen(struct strbuf *b, const struct net_config *n)
{
        char text[NET_ADDRESS_TEXT_SIZE], mac[MAC_TEXT_SIZE];

        for (size_t i = 0; i < n->n_addresses; i++)
                strbuf_addf(b, " address=%s", net_address_prefix_text(&n->addresses[i], text));
        if (n->gateway4.family)
                strbuf_addf(b, " gateway=%s", net_address_text(&n->gateway4, text));
        if (n->gateway6.family)
                strbuf_addf(b, " gateway=%s", net_address_text(&n->gateway6, text));
        if (n->mac_set)
                strbuf_addf(b, " mac=%s", mac_text(n->mac, mac));
        if (n->mtu)
                strbuf_addf(b, " mtu=%u", n->mtu);
        if (n->name)
                strbuf_addf(b, " name=%s", n->name);
        if (n->setup != NET_SETUP_AUTO)
                strbuf_addf(b, " setup=%s", n->setup == NET_SETUP_YES ? "yes" : "no");
        if (n->isolate)
                strbuf_add(b, " isolate");
}

static char *describe(const struct net_config *n)
{
        struct strbuf b CLEANUP_STRBUF = STRBUF_NULL;

        strbuf_add(&b, net_config_is_private(n) ? "private" : "host");
        if (n->veth)
                strbuf_add(&b, " veth");
        if (n->bridge)
                strbuf_addf(&b, " bridge=%s", n->bridge);
        if (n->zone)
                strbuf_addf(&b, " zone=%s", n->zone);
        if (n->namespace_path)
                strbuf_addf(&b, " namespace=%s", n->namespace_path);
        add_pairs(&b, "extra", n->extras, n->n_extras);
        add_pairs(&b, "interface", n->interfaces, n->n_interfaces);
        add_pairs(&b, "macvlan", n->macvlans, n->n_macvlans);
        add_pairs(&b, "ipvlan", n->ipvlans, n->n_ipvlans);
        for (size_t i = 0; i < n->n_ports; i++)
                strbuf_addf(&b, " %s%u:%u", n->ports[i].protocol == NET_UDP ? "udp:" : "",
                            (unsigned) n->ports[i].host, (unsigned) n->ports[i].guest);
        add_chosen(&b, n);
        return strbuf_take(&b);
}

/* What is said to people goes away from the test's own output. */
static int quiet_begin(void)
{
        int null_fd CLEANUP_FD = open("/dev/null", O_WRONLY | O_CLOEXEC);
        int saved = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);

        (void) fflush(NULL);
        assert_true(dup2(null_fd, STDERR_FILENO) == STDERR_FILENO);
        return saved;
}

static void quiet_end(int saved)
{
        (void) fflush(NULL);
        (void) dup2(saved, STDERR_FILENO);
        (void) close(saved);
}

static const struct settings_rules trusted = { .trusted = true };
static const struct settings_rules untrusted = { .trusted = false };
static const struct settings_rules overriding = { .trusted = true, .override = true };

/* ---- options ----------------------------------------------------------------------------- */

static void test_good_options(void **state)
{
        static const struct {
                const char *line, *result;
        } rows[] = {
                { "", "host" },
                { "--private-network", "private" },
                { "-n", "private veth" },
                { "--network-veth|-n", "private veth" },
                { "--network-zone=lab", "private zone=lab" },
                { "--network-zone=abcdefghijkl", "private zone=abcdefghijkl" },
                { "--network-zone=a|--network-zone=b", "private zone=b" },
                { "--network-bridge=br-x", "private bridge=br-x" },
                { "--network-veth-extra=a|--network-veth-extra=b:c", "private extra=a extra=b:c" },
                { "--network-interface=eth1", "private interface=eth1" },
                { "--network-interface=eth1:lan|--network-interface=eth2:wan",
                  "private interface=eth1:lan interface=eth2:wan" },
                { "--network-macvlan=eth0|--network-macvlan=eth0:b",
                  "private macvlan=eth0 macvlan=eth0:b" },
                { "--network-ipvlan=eth0:abcdefghijklmno", "private ipvlan=eth0:abcdefghijklmno" },
                { "--network-namespace-path=/run/netns/x", "private namespace=/run/netns/x" },
                { "--network-namespace-path=/run//netns/./x|--private-network",
                  "private namespace=/run/netns/x" },
                { "-n|-p80", "private veth 80:80" },
                { "-n|-p|8080:80|--port=udp:53|-ptcp:53:1053",
                  "private veth 8080:80 udp:53:53 53:1053" },
                { "-n|-p1-3:11-13", "private veth 1:11 2:12 3:13" },
                { "-n|-pudp:65534-65535", "private veth udp:65534:65534 udp:65535:65535" },
                { "--private-network|-p80", "private 80:80" },
                { "-n|--network-address=10.0.0.7/24,fd00::7/64|--network-address=10.0.1.1/31",
                  "private veth address=10.0.0.7/24 address=fd00::7/64 address=10.0.1.1/31" },
                { "-n|--network-gateway=10.0.0.1", "private veth gateway=10.0.0.1" },
                { "-n|--network-gateway=fd00::1,10.0.0.1|--network-gateway=10.0.0.2",
                  "private veth gateway=10.0.0.2 gateway=fd00::1" },
                { "--network-bridge=b|--network-address=10.0.0.7/24|--network-gateway=10.0.0.1",
                  "private bridge=b address=10.0.0.7/24 gateway=10.0.0.1" },
                { "-n|--network-mac=02:00:00:AA:bb:cc", "private veth mac=02:00:00:aa:bb:cc" },
                { "-n|--network-mtu=1400", "private veth mtu=1400" },
                { "-n|--network-name=eth0", "private veth name=eth0" },
                { "--network-macvlan=e|--network-name=eth0", "private macvlan=e name=eth0" },
                { "-n|--network-setup=no", "private veth setup=no" },
                { "-n|--network-setup=1", "private veth setup=yes" },
                { "-n|--network-setup=no|--network-setup=auto", "private veth" },
                { "-n|--network-isolate", "private veth isolate" },
                { "-n|--network-isolate|--network-isolate=no", "private veth" },
        };

        (void) state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                struct container_config c CLEANUP(config_done);
                struct failure failure = { .error = 0 };
                char *result CLEANUP_FREE = NULL;

                if (apply(rows[i].line, NULL, trusted, &c, &failure) != 0)
                        fail_msg("'%s': %s", rows[i].line, failure.text);
                result = describe(&c.network);
                if (!streq(result, rows[i].result))
                        fail_msg("'%s' gives '%s', not '%s'", rows[i].line, result, rows[i].result);
        }
}

static void test_bad_options(void **state)
{
        static const struct {
                const char *line, *words; /* some of the sentence */
        } rows[] = {
                { "--network-zone=", "1 to 12" },
                { "--network-zone=abcdefghijklm", "1 to 12" },
                { "--network-zone=a/b", "1 to 12" },
                { "--network-bridge=", "1 to 15" },
                { "--network-bridge=abcdefghijklmnop", "1 to 15" },
                { "--network-bridge=lo", "loopback" },
                { "--network-veth-extra=a:b:c", "HOST or HOST:NAME" },
                { "--network-veth-extra=a:", "1 to 15" },
                { "--network-veth-extra=:a", "1 to 15" },
                { "--network-veth-extra=a:x|--network-veth-extra=a:y", "already" },
                { "--network-interface=", "1 to 15" },
                { "--network-interface=a b", "1 to 15" },
                { "--network-interface=12", "1 to 15" },
                { "--network-interface=a|--network-interface=a:b", "'--network-interface=a'" },
                { "--network-interface=a:lo", "loopback" },
                { "--network-macvlan=a:all", "1 to 15" },
                { "--network-ipvlan=a:b:c", "HOST or HOST:NAME" },
                { "--network-namespace-path=", "absolute path" },
                { "-n|-p", NULL },
                { "-n|-p0", "1 to 65535" },
                { "-n|-p65536", "1 to 65535" },
                { "-n|-p80:0", "1 to 65535" },
                { "-n|-p80:", "1 to 65535" },
                { "-n|-p:80", "1 to 65535" },
                { "-n|-p1:2:3", "1 to 65535" },
                { "-n|-pTCP:80", "1 to 65535" },
                { "-n|-psctp:80", "1 to 65535" },
                { "-n|-p+80", "1 to 65535" },
                { "-n|-p90-80", "1 to 65535" },
                { "-n|-p80-90:80", "same length" },
                { "-n|-p80-90:80-89", "same length" },
                { "-n|-p80-", "1 to 65535" },
                { "-n|-p1-1025", "1024" },
                { "-n|-p80|-ptcp:80:81", "'--port=80'" },
                { "-n|-p80-90|-p85", "'--port=80-90' publishes port 85" },
                { "-p80", "container's own" },
                { "-n|--network-address=", "ADDRESS/LENGTH" },
                { "-n|--network-address=10.0.0.7", "length" },
                { "-n|--network-address=10.0.0.7/0", "length" },
                { "-n|--network-address=10.0.0.7/33", "length" },
                { "-n|--network-address=10.0.0/24", "'10.0.0/24'" },
                { "-n|--network-address=10.0.0.7/24,", "ADDRESS/LENGTH" },
                { "-n|--network-address=10.0.0.0/24", "one machine" },
                { "-n|--network-address=10.0.0.255/24", "one machine" },
                { "-n|--network-address=127.0.0.1/8", "one machine" },
                { "-n|--network-address=224.0.0.1/24", "one machine" },
                { "-n|--network-address=0.0.0.7/24", "one machine" },
                { "-n|--network-address=::1/128", "one machine" },
                { "-n|--network-address=ff02::1/64", "one machine" },
                { "-n|--network-address=10.0.0.7/24,10.0.0.7/16", "already" },
                { "-n|--network-address=10.0.0.1/24,10.0.0.2/24,10.0.0.3/24,10.0.0.4/24,"
                  "10.0.0.5/24,10.0.0.6/24,10.0.0.7/24,10.0.0.8/24,10.0.0.9/24",
                  "at most 8" },
                { "-n|--network-gateway=10.0.0.1/24", "without a length" },
                { "-n|--network-gateway=x", "'x'" },
                { "-n|--network-gateway=", "ADDRESS[" },
                { "-n|--network-gateway=10.0.0.1,10.0.0.2", "one gateway" },
                { "-n|--network-setup=no|--network-gateway=10.0.0.1", "--network-address=" },
                { "--network-bridge=b|--network-gateway=fd00::1", "--network-address=" },
                { "-n|--network-mac=", "six bytes" },
                { "-n|--network-mac=01:00:00:00:00:01", "six bytes" },
                { "-n|--network-mtu=67", "68 to 65535" },
                { "-n|--network-mtu=65536", "68 to 65535" },
                { "-n|--network-mtu=", "68 to 65535" },
                { "-n|--network-name=", "1 to 15" },
                { "-n|--network-name=lo", "loopback" },
                { "-n|--network-setup=", "auto, yes or no" },
                { "-n|--network-setup=dhcp", "auto, yes or no" },
                { "-n|--network-isolate=x", "yes or no" },
                /* What does not go together. */
                { "--network-bridge=a|--network-zone=b", "one bridge" },
                { "--network-namespace-path=/x|-n", "options that add links" },
                { "--network-namespace-path=/x|--network-macvlan=a", "options that add links" },
                { "--network-namespace-path=/x|--network-mtu=1400", "--network-mtu=" },
                { "--network-address=10.0.0.7/24", "there is none" },
                { "--private-network|--network-name=eth0", "there is none" },
                { "--network-isolate", "there is none" },
                { "--network-setup=no", "there is none" },
                { "--network-macvlan=a:b|--network-name=c", "two names" },
                { "--network-ipvlan=a|--network-mac=02:00:00:00:00:01", "--network-macvlan=" },
                { "--network-bridge=a|--network-isolate", "--network-isolate needs" },
                { "-n|--network-setup=no|--network-isolate", "--network-isolate needs" },
                { "--network-bridge=a|--network-setup=yes", "--network-setup=yes needs" },
                { "--network-macvlan=a|--network-setup=yes", "--network-setup=yes needs" },
        };

        (void) state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                struct container_config c CLEANUP(config_done);
                struct failure failure = { .error = 0 };

                if (!rows[i].words)
                        config_init(&c); /* getopt's own */
                else if (apply(rows[i].line, NULL, trusted, &c, &failure) >= 0)
                        fail_msg("'%s' is taken", rows[i].line);
                else if (!strstr(failure.text, rows[i].words))
                        fail_msg("'%s': \"%s\"", rows[i].line, failure.text);
        }
}

/* ---- settings files ---------------------------------------------------------------------- */

static void test_files(void **state)
{
        static const struct {
                const char *argv, *file;
                const struct settings_rules *rules;
                const char *result; /* or, after "!", words of the sentence */
        } rows[] = {
                { "", "Private=yes", &trusted, "private" },
                { "", "Private=yes\nPrivate=", &trusted, "host" },
                { "", "VirtualEthernet=yes", &trusted, "private veth" },
                { "", "Private=no\nVirtualEthernet=yes", &trusted, "private veth" },
                { "", "VirtualEthernet=yes\nVirtualEthernet=", &trusted, "host" },
                { "", "VirtualEthernet=x", &trusted, "host" },
                { "", "Bridge=br0", &trusted, "private bridge=br0" },
                { "", "Bridge=br0\nBridge=", &trusted, "host" },
                { "", "Bridge=a/b", &trusted, "host" },
                { "", "Zone=lab", &trusted, "private zone=lab" },
                { "", "Zone=lab\nZone=", &trusted, "host" },
                { "", "Zone=abcdefghijklm", &trusted, "host" },
                { "", "VirtualEthernetExtra=a:b\nVirtualEthernetExtra=c", &trusted,
                  "private extra=a:b extra=c" },
                { "", "VirtualEthernetExtra=a:b:c", &trusted, "host" },
                { "", "Interface=a b:c\nInterface=d", &trusted,
                  "private interface=a interface=b:c interface=d" },
                { "", "Interface=a b\nInterface=\nInterface=c", &trusted, "private interface=c" },
                { "", "MACVLAN=a b:c", &trusted, "private macvlan=a macvlan=b:c" },
                { "", "IPVLAN=a b:c", &trusted, "private ipvlan=a ipvlan=b:c" },
                { "", "NamespacePath=/run/netns/a", &trusted, "private namespace=/run/netns/a" },
                { "", "NamespacePath=netns", &trusted, "host" },
                { "", "VirtualEthernet=yes\nPort=8080:80\nPort=udp:53", &trusted,
                  "private veth 8080:80 udp:53:53" },
                { "", "VirtualEthernet=yes\nPort=80\nPort=80:81", &trusted, "private veth 80:80" },
                { "", "VirtualEthernet=yes\nPort=0", &trusted, "private veth" },
                { "", "VirtualEthernet=yes\nPort=80\nPort=", &trusted, "private veth" },
                { "", "VirtualEthernet=yes\nAddress=10.0.0.7/24 fd00::7/64\nAddress=10.0.0.8/24",
                  &trusted,
                  "private veth address=10.0.0.7/24 address=fd00::7/64 address=10.0.0.8/24" },
                { "", "Zone=z\nAddress=10.0.0.7/24\nAddress=\nMTU=1400\nMTU=", &trusted,
                  "private zone=z" },
                { "", "Zone=z\nGateway=10.0.0.1,fd00::1\nMACAddress=02:00:00:00:00:01\nName=e0",
                  &trusted,
                  "private zone=z gateway=10.0.0.1 gateway=fd00::1 mac=02:00:00:00:00:01 name=e0" },
                { "", "Zone=z\nSetup=no\nIsolate=no", &trusted, "private zone=z setup=no" },
                { "", "Zone=z\nIsolate=yes", &trusted, "private zone=z isolate" },
                { "",
                  "Zone=z\nAddress=10.0.0.7\nGateway=x\nMACAddress=1\nMTU=1\nName=a/b\n"
                  "Setup=x\nIsolate=x",
                  &trusted, "private zone=z" },
                { "", "Address=10.0.0.7/24", &trusted, "!there is none" },
                { "", "Port=80", &trusted, "!container's own" },
                { "", "Bridge=a\nZone=b", &trusted, "!one bridge" },
                /* What does not fit here ends the start. */
                { "", "Interface=a:b:c", &trusted, "!/a.nspawn:2: Interface=a:b:c" },
                { "", "MACVLAN=good a/b", &trusted, "!/a.nspawn:2: MACVLAN=" },
                { "--private-network", "IPVLAN=1", &trusted, "!/a.nspawn:2: IPVLAN=1" },
                { "", "Interface=a:b:c", &untrusted, "host" },
                /* All of it takes trust. */
                { "",
                  "Private=yes\nVirtualEthernet=yes\nVirtualEthernetExtra=a\nInterface=a\n"
                  "MACVLAN=a\nIPVLAN=a\nBridge=a\nZone=a\nNamespacePath=/a\nPort=80\n"
                  "Address=10.0.0.7/24\nGateway=10.0.0.1\nMACAddress=02:00:00:00:00:01\n"
                  "MTU=1400\nName=a\nSetup=no\nIsolate=yes",
                  &untrusted, "host" },
                /* The command line hides the group; ports and choices are for themselves. */
                { "--private-network", "VirtualEthernet=yes\nPort=80", &trusted, "private 80:80" },
                { "-n|-p81", "Zone=z\nPort=80", &trusted, "private veth 81:81" },
                { "-n", "Address=10.0.0.7/24\nMTU=1400", &trusted,
                  "private veth address=10.0.0.7/24 mtu=1400" },
                { "-n|--network-mtu=1500", "Zone=z\nName=e0\nMTU=1400", &trusted,
                  "private veth mtu=1500 name=e0" },
                { "--network-mtu=1500", "Zone=z", &trusted, "private zone=z mtu=1500" },
                { "--private-network", "Zone=z\nAddress=10.0.0.7/24", &trusted, "private" },
                { "--network-namespace-path=/x", "Zone=z\nMTU=1400", &trusted,
                  "private namespace=/x" },
                /* The other way round. */
                { "-n", "Zone=z", &overriding, "private zone=z" },
                { "-n", "Private=no", &overriding, "host" },
                { "-n|-p80", "Address=10.0.0.7/24\nPort=81", &overriding,
                  "private veth 81:81 address=10.0.0.7/24" },
                { "--network-interface=a", "Interface=b", &overriding, "private interface=b" },
        };

        (void) state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                struct container_config c CLEANUP(config_done);
                struct failure failure = { .error = 0 };
                char *result CLEANUP_FREE = NULL, *file CLEANUP_FREE = NULL;
                int saved = quiet_begin(), r;

                assert_true(asprintf(&file, "[Network]\n%s\n", rows[i].file) > 0);
                r = apply(rows[i].argv, file, *rows[i].rules, &c, &failure);
                quiet_end(saved);
                result = describe(&c.network);
                if (rows[i].result[0] == '!') {
                        if (r >= 0 || !strstr(failure.text, rows[i].result + 1))
                                fail_msg("row %zu: %d, \"%s\"", i, r, failure.text);
                } else if (r < 0 || !streq(result, rows[i].result))
                        fail_msg("row %zu: '%s', not '%s' (%s)", i, result, rows[i].result,
                                 failure.text);
        }
}

/* ---- resolv.conf ------------------------------------------------------------------------- */

static void test_resolv_conf_text(void **state)
{
        static const struct {
                const char *text;
                bool nobody;
                size_t servers;
                const char *upstream;
        } rows[] = {
                { "", true, 0, "" },
                { "# nothing\n", true, 0, "" },
                { "nameserver 127.0.0.53\noptions edns0\nsearch a b\n", true, 0, "search a b\n" },
                { "nameserver ::1", true, 0, "" },
                { "nameserver 0.0.0.0\nnameserver ::ffff:127.0.0.1\n", true, 0, "" },
                { "nameserver\t192.0.2.1\r\n", false, 1, "nameserver\t192.0.2.1\n" },
                { "nameserver 2001:db8::1 # comment\n", false, 1,
                  "nameserver 2001:db8::1 # comment\n" },
                { "nameserver fe80::1%eth0\n", false, 0, "" },
                { "nameserver 2001:db8::1%eth0\n", false, 0, "" },
                { "nameserver 127.0.0.1\nnameserver 192.0.2.1\ndomain x\n", false, 1,
                  "nameserver 192.0.2.1\ndomain x\n" },
                { "nameserver\nnameservers 192.0.2.1\n nameserver 192.0.2.1\n", true, 0, "" },
                { "nameserver not-an-address\n", true, 0, "" },
                { "nameserver 1111111111111111111111111111111111111111111111111111111\n", true, 0,
                  "" },
                { "# nameserver 192.0.2.1\n;nameserver 192.0.2.1", true, 0, "" },
        };

        (void) state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                struct strbuf out CLEANUP_STRBUF = STRBUF_NULL;

                if (resolv_conf_names_nobody(rows[i].text) != rows[i].nobody)
                        fail_msg("row %zu", i);
                if (resolv_conf_add_upstream(&out, rows[i].text) != rows[i].servers ||
                    !streq(strbuf_text(&out), rows[i].upstream))
                        fail_msg("row %zu: \"%s\"", i, strbuf_text(&out));
        }
        assert_true(resolv_conf_is_ours(RESOLV_CONF_MARK "nameserver 192.0.2.1\n"));
        assert_false(resolv_conf_is_ours("nameserver 192.0.2.1\n" RESOLV_CONF_MARK));
}

struct tree {
        char path[64];
        int fd;
};

static struct tree make_tree(void)
{
        struct tree t = { .path = "/tmp/stead-test-network.XXXXXX" };

        assert_non_null(mkdtemp(t.path));
        t.fd = open(t.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        assert_true(t.fd >= 0);
        assert_int_equal(mkdirat(t.fd, "etc", 0755), 0);
        return t;
}

static void end_tree(struct tree *t)
{
        int parent CLEANUP_FD = open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

        (void) fd_close(t->fd);
        assert_int_equal(remove_tree(parent, path_basename(t->path)), 0);
}

static void test_resolv_conf_link(void **state)
{
        static const struct {
                const char *target, *result;
        } rows[] = {
                { NULL, NULL },
                { "../run/systemd/resolve/stub-resolv.conf", "systemd/resolve/stub-resolv.conf" },
                { "/run/resolvconf/resolv.conf", "resolvconf/resolv.conf" },
                { "/run/resolv.conf", "resolv.conf" },
                { "../../../run/../run/./x//y", "x/y" },
                { "/var/run/NetworkManager/resolv.conf", "NetworkManager/resolv.conf" },
                { "other", "there/resolv.conf" }, /* one more link */
                { "loop", NULL },
                { "resolv.conf", NULL },
                { "/run", NULL },
                { "/run/..", NULL },
                { "/", NULL },
                { "/run/host/resolv.conf", NULL }, /* what the launcher makes */
                { "/run/host", NULL },
                { "/var/lib/x", NULL },
                { "file", NULL },
                { "/etc", NULL },
        };
        struct tree t = make_tree();

        (void) state;
        assert_int_equal(symlinkat("/run/there/resolv.conf", t.fd, "etc/other"), 0);
        assert_int_equal(symlinkat("loop", t.fd, "etc/loop"), 0);
        assert_int_equal(create_file_at(t.fd, "etc/file", 0644, ""), 0);
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                char *result CLEANUP_FREE = NULL;

                (void) unlinkat(t.fd, "etc/resolv.conf", 0);
                if (rows[i].target)
                        assert_int_equal(symlinkat(rows[i].target, t.fd, "etc/resolv.conf"), 0);
                assert_int_equal(resolv_conf_read_link(t.fd, &result), 0);
                if (!streq(result ? result : "-", rows[i].result ? rows[i].result : "-"))
                        fail_msg("'%s' gives '%s'", rows[i].target, result);
        }
        end_tree(&t);
}

static void test_resolv_conf_ways(void **state)
{
        static const struct {
                const char *line;
                enum net_manager manager;
                bool resolver;
                const char *upstream, *link;
                enum etc_way way;
                bool stale;
        } rows[] = {
                { "", NET_MANAGER_NONE, false, NULL, NULL, ETC_COPY, false },
                { "--private-network", NET_MANAGER_NONE, false, NULL, NULL, ETC_OFF, true },
                { "-n", NET_MANAGER_NETWORKD, false, NULL, NULL, ETC_OFF, true },
                { "-n", NET_MANAGER_US, true, NULL, NULL, ETC_NETWORK, false },
                { "-n", NET_MANAGER_US, false, NULL, NULL, ETC_OFF, true },
                { "-n", NET_MANAGER_US, false, "nameserver 192.0.2.1\n", NULL, ETC_NETWORK, false },
                { "-n", NET_MANAGER_US, true, NULL, "a/b", ETC_NETWORK_RUN, false },
                { "-n|--read-only", NET_MANAGER_US, true, NULL, "a/b", ETC_NETWORK_RUN, false },
                { "-n|--read-only", NET_MANAGER_US, true, NULL, NULL, ETC_NETWORK_BIND, false },
                { "-n|--read-only", NET_MANAGER_NONE, true, NULL, NULL, ETC_OFF, false },
                { "-n|--volatile=overlay", NET_MANAGER_US, true, NULL, NULL, ETC_NETWORK, false },
                { "-n|--bind=/x:/", NET_MANAGER_US, true, NULL, "a/b", ETC_NETWORK_BIND, false },
                { "-n|--resolv-conf=off", NET_MANAGER_US, true, NULL, NULL, ETC_OFF, false },
                { "-n|--resolv-conf=copy-host", NET_MANAGER_US, true, NULL, NULL, ETC_COPY, false },
        };

        (void) state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                struct container_config c CLEANUP(config_done);
                struct failure failure = { .error = 0 };
                struct host_facts host = { .has_resolv_conf = true,
                                           .resolv_conf_upstream = (char *) rows[i].upstream };
                struct tree_facts tree = { .resolv_conf_link = (char *) rows[i].link };
                struct net_plan network = { .manager = rows[i].manager,
                                            .has_resolver = rows[i].resolver };
                struct etc_plan plan;

                assert_int_equal(net_address_parse("10.9.0.1/18", &network.lease.subnet.gateway4),
                                 0);
                assert_int_equal(apply(rows[i].line, NULL, trusted, &c, &failure), 0);
                plan = etc_plan_build(&c, &host, &tree, &network);
                if (plan.resolv_conf != rows[i].way || plan.resolv_conf_is_stale != rows[i].stale)
                        fail_msg("row %zu: %s", i, etc_way_name(plan.resolv_conf));
                if (plan.resolv_conf >= ETC_NETWORK &&
                    !streq(plan.resolv_conf_text,
                           rows[i].resolver ? RESOLV_CONF_MARK "nameserver 10.9.0.1\n"
                                            : RESOLV_CONF_MARK "nameserver 192.0.2.1\n"))
                        fail_msg("row %zu: \"%s\"", i, plan.resolv_conf_text);
        }
}

/* Nothing may be found there but what was there, or the new text. */
static void test_resolv_conf_files(void **state)
{
        static const char ours[] = RESOLV_CONF_MARK "nameserver 10.9.0.1\n";
        static const struct {
                const char *before; /* "-": missing; "->TARGET": a link */
                bool stale;         /* another network now */
                const char *after;
        } rows[] = {
                { "-", false, ours },
                { "", false, ours },
                { "nameserver 127.0.0.53\n", false, ours },
                { RESOLV_CONF_MARK "nameserver 10.8.0.1\n", false, ours },
                { ours, false, ours },
                { "nameserver 192.0.2.99\n", false, "nameserver 192.0.2.99\n" },
                { "->../../outside", false, "->../../outside" },
                { "-", true, "-" },
                { ours, true, "-" },
                { "nameserver 192.0.2.99\n", true, "nameserver 192.0.2.99\n" },
                { "nameserver 127.0.0.53\n", true, "nameserver 127.0.0.53\n" },
        };
        struct tree t = make_tree();

        (void) state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                struct etc_plan plan = { .resolv_conf = rows[i].stale ? ETC_OFF : ETC_NETWORK,
                                         .resolv_conf_is_stale = rows[i].stale };
                struct failure failure = { .error = 0 };
                char link[64] = "->";
                char *text CLEANUP_FREE = NULL;
                ssize_t n;

                memcpy(plan.resolv_conf_text, ours, sizeof(ours));
                (void) unlinkat(t.fd, "etc/resolv.conf", 0);
                if (startswith(rows[i].before, "->"))
                        assert_int_equal(symlinkat(rows[i].before + 2, t.fd, "etc/resolv.conf"), 0);
                else if (!streq(rows[i].before, "-"))
                        assert_int_equal(
                                create_file_at(t.fd, "etc/resolv.conf", 0644, rows[i].before), 0);
                assert_int_equal(etc_plan_run(&plan, t.fd, geteuid(), &failure), 0);
                n = readlinkat(t.fd, "etc/resolv.conf", link + 2, sizeof(link) - 3);
                if (n < 0)
                        (void) read_file_at(t.fd, "etc/resolv.conf", 4096, &text, NULL);
                if (!streq(n >= 0 ? link : text ? text : "-", rows[i].after))
                        fail_msg("row %zu: \"%s\"", i, n >= 0 ? link : text ? text : "-");
                assert_true(faccessat(t.fd, "etc/.#resolv.conf.stead", F_OK, 0) < 0);
        }
        end_tree(&t);
}

int main(void)
{
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_good_options),
                cmocka_unit_test(test_bad_options),
                cmocka_unit_test(test_files),
                cmocka_unit_test(test_resolv_conf_text),
                cmocka_unit_test(test_resolv_conf_link),
                cmocka_unit_test(test_resolv_conf_ways),
                cmocka_unit_test(test_resolv_conf_files),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
