/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include <errno.h>

#include "basic/strbuf.h"
#include "netsetup/ifname.h"
#include "netsetup/keeper-message.h"
#include "netsetup/names-config.h"

static const char whole[] = "MACHINE=web\nNETWORK=zone-lab\nLINK=vb-web\nBRIDGE=vz-lab\n"
                            "MAC=02:00:00:aa:bb:cc\nADDRESS4=10.0.0.2/22\nADDRESS6=fd00::2/64\n"
                            "PREFIX4=10.0.0.0/22\nPREFIX6=fd00::/64\nGATEWAY4=10.0.0.1/22\n"
                            "GATEWAY6=fd00::1/64\nOTHERS=\"10.0.0.7/22 fd00::7/64\"\nISOLATE=yes\n"
                            "PORTS=\"tcp:8080:80 udp:53:5353\"\n";

static int parse(const char *text, struct keeper_request *ret)
{
        struct failure failure = { .error = 0 };
        int r = keeper_request_parse(text, strlen(text), ret, &failure);

        assert_true((r < 0) == (failure.text[0] != '\0'));
        return r;
}

static void requests_come_back_as_they_were(void **state)
{
        struct keeper_request q CLEANUP_KEEPER_REQUEST = { .ports = NULL };
        struct strbuf text CLEANUP_STRBUF = STRBUF_NULL;
        char mac[MAC_TEXT_SIZE];

        (void) state;
        assert_int_equal(parse(whole, &q), 0);
        assert_string_equal(q.machine, "web");
        assert_string_equal(q.network, "zone-lab");
        assert_string_equal(q.bridge, "vz-lab");
        assert_string_equal(mac_text(q.mac, mac), "02:00:00:aa:bb:cc");
        assert_true(q.has_mac && q.isolate);
        assert_int_equal(q.address6.family, AF_INET6);
        assert_int_equal(q.subnet.prefix4.prefix, 22);
        assert_int_equal(q.n_others, 2);
        assert_int_equal(q.n_ports, 2);
        assert_int_equal(q.ports[1].protocol, NET_UDP);
        assert_int_equal(q.ports[1].guest, 5353);
        assert_int_equal(keeper_request_print(&q, &text), 0);
        assert_string_equal(strbuf_text(&text), whole);
}

static void what_is_not_there_is_left_out(void **state)
{
        struct keeper_request q CLEANUP_KEEPER_REQUEST = { .ports = NULL };
        struct strbuf text CLEANUP_STRBUF = STRBUF_NULL;

        (void) state;
        assert_int_equal(parse("# a comment\nMACHINE=web\nLATER=x\n", &q), 0);
        assert_int_equal(keeper_request_print(&q, &text), 0);
        assert_string_equal(strbuf_text(&text), "MACHINE=web\n");
}

static void bad_requests_are_refused(void **state)
{
        static const char *const bad[] = {
                "",
                "NETWORK=host\n",
                "MACHINE=\n",
                "MACHINE=..\n",
                "MACHINE=a/b\n",
                "MACHINE=.a\n",
                "MACHINE=a..b\n",
                "MACHINE=\"a b\"\n",
                "MACHINE=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n",
                "MACHINE=a\nNETWORK=../x\n",
                "MACHINE=a\nNETWORK=host\nLINK=ve-a\n",
                "MACHINE=a\nBRIDGE=vz-x\n",
                "MACHINE=a\nLINK=ve-averylongnamethatisnone\n",
                "MACHINE=a\nLINK=ve/a\n",
                "MACHINE=a\nMAC=00:00:00:00:00:00\n",
                "MACHINE=a\nMAC=02:00\n",
                "MACHINE=a\nADDRESS4=fd00::1\n",
                "MACHINE=a\nADDRESS6=10.0.0.1\n",
                "MACHINE=a\nADDRESS4=10.0.0.1/33\n",
                "MACHINE=a\nISOLATE=maybe\n",
                "MACHINE=a\nOTHERS=\"10.0.0.1/8  10.0.0.2/8\"\n",
                "MACHINE=a\nOTHERS=\"1.1.1.1 1.1.1.1 1.1.1.1 1.1.1.1 1.1.1.1 1.1.1.1 1.1.1.1 "
                "1.1.1.1 "
                "1.1.1.1\"\n",
                "MACHINE=a\nPORTS=tcp:80\n",
                "MACHINE=a\nPORTS=sctp:80:80\n",
                "MACHINE=a\nPORTS=tcp:0:80\n",
                "MACHINE=a\nPORTS=tcp:80:65536\n",
                "MACHINE=a\nPORTS=tcp:80:80:80\n",
                "MACHINE=a\nPORTS=\n",
        };

        (void) state;
        for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
                struct keeper_request q CLEANUP_KEEPER_REQUEST = { .ports = NULL };

                if (parse(bad[i], &q) >= 0)
                        fail_msg("accepted: %s", bad[i]);
        }
}

static void the_plan_becomes_a_request(void **state)
{
        struct net_link link = { .kind = LINK_VETH,
                                 .host = "vb-web",
                                 .master = "vz-lab",
                                 .master_is_zone = true,
                                 .has_macs = true,
                                 .guest_mac = { 2, 0, 0, 0xaa, 0xbb, 0xcc },
                                 .n_addresses = 4 };
        const struct net_port ports[] = { { .protocol = NET_TCP, .host = 8080, .guest = 80 },
                                          { .protocol = NET_UDP, .host = 53, .guest = 5353 } };
        struct net_plan plan = { .links = &link,
                                 .n_links = 1,
                                 .network = "zone-lab",
                                 .isolate = true,
                                 .ports = ports,
                                 .n_ports = 2,
                                 .machine = "web" };
        static const char *const addresses[] = { "10.0.0.2/22", "fd00::2/64", "10.0.0.7/22",
                                                 "fd00::7/64" };
        struct strbuf text CLEANUP_STRBUF = STRBUF_NULL;

        (void) state;
        for (size_t i = 0; i < ARRAY_SIZE(addresses); i++)
                assert_int_equal(net_address_parse(addresses[i], &link.addresses[i]), 0);
        (void) net_address_parse("10.0.0.0/22", &plan.lease.subnet.prefix4);
        (void) net_address_parse("fd00::/64", &plan.lease.subnet.prefix6);
        (void) net_address_parse("10.0.0.1/22", &plan.lease.subnet.gateway4);
        (void) net_address_parse("fd00::1/64", &plan.lease.subnet.gateway6);
        assert_int_equal(keeper_request_print_plan(&plan, &text), 0);
        assert_string_equal(strbuf_text(&text), whole);
}

/* ---- dnsmasq ----------------------------------------------------------------------------- */

static struct net_subnet subnet(void)
{
        struct net_subnet s = { .prefix4 = { .family = 0 } };

        (void) net_address_parse("10.1.64.0/18", &s.prefix4);
        (void) net_address_parse("10.1.64.1/18", &s.gateway4);
        (void) net_address_parse("fd00:1::/64", &s.prefix6);
        (void) net_address_parse("fd00:1::1/64", &s.gateway6);
        return s;
}

static bool says(const struct names_config *config, const char *line)
{
        struct strbuf text CLEANUP_STRBUF = STRBUF_NULL;
        const char *found;

        names_config_print(config, &text);
        found = strstr(strbuf_text(&text), line);
        return found && (found == strbuf_text(&text) || found[-1] == '\n') &&
               found[strlen(line)] == '\n';
}

static void dnsmasq_is_told(void **state)
{
        struct net_subnet s = subnet();
        char domain[] = "machine", resolver[] = "192.0.2.53#5353";
        char *resolvers[] = { resolver, NULL };
        struct net_pools pools = { .domain = domain };
        struct names_config config = { .network = "host",
                                       .interface = "ve-*",
                                       .hosts_folder = "/run/h",
                                       .dhcp_folder = "/run/d",
                                       .subnet = &s,
                                       .pools = &pools };

        (void) state;
        assert_true(says(&config, "interface=ve-*"));
        assert_true(says(&config, "except-interface=lo"));
        assert_true(says(&config, "hostsdir=/run/h"));
        assert_true(says(&config, "dhcp-hostsdir=/run/d"));
        assert_true(says(&config, "dhcp-range=10.1.64.0,static,255.255.192.0,12h"));
        assert_true(says(&config, "dhcp-range=fd00:1::,static,off-link,64,12h"));
        assert_true(says(&config, "local=/machine/"));
        assert_false(says(&config, "no-resolv"));
        pools.resolvers = resolvers;
        assert_true(says(&config, "no-resolv"));
        assert_true(says(&config, "server=192.0.2.53#5353"));
        config.interface = "vz-lab";
        assert_true(says(&config, "dhcp-range=fd00:1::,static,64,12h"));
        config.no_dns = true;
        assert_true(says(&config, "port=0"));
        assert_false(says(&config, "hostsdir=/run/h"));
        config.no_dhcp = true;
        assert_false(says(&config, "dhcp-hostsdir=/run/d"));
        config.no_dhcp = false;
        s.prefix6.family = 0;
        assert_false(says(&config, "enable-ra"));
}

static void files_of_machines(void **state)
{
        struct strbuf hosts CLEANUP_STRBUF = STRBUF_NULL, dhcp CLEANUP_STRBUF = STRBUF_NULL;
        const uint8_t mac[MAC_SIZE] = { 2, 0, 0, 0xaa, 0xbb, 0xcc };
        struct net_address four, six;

        (void) state;
        assert_int_equal(net_address_parse("10.1.64.9/18", &four), 0);
        assert_int_equal(net_address_parse("fd00:1::9/128", &six), 0);
        names_hosts_print("web", "machine", &four, &six, &hosts);
        assert_string_equal(strbuf_text(&hosts),
                            "10.1.64.9 web.machine web\nfd00:1::9 web.machine web\n");
        names_dhcp_print("web", mac, &four, &six, &dhcp);
        assert_string_equal(strbuf_text(&dhcp), "02:00:00:aa:bb:cc,10.1.64.9,[fd00:1::9],web\n");
}

static void questions_are_asked(void **state)
{
        static const uint8_t expected[] =
                "\x12\x34\0\0\0\1\0\0\0\0\0\0\3web\3lab\7machine\0\0\1\0\1";
        uint8_t question[64];
        char label[80] = "";

        (void) state;
        assert_int_equal(names_question("web.lab", "machine", 0x1234, question, sizeof(question)),
                         sizeof(expected) - 1);
        assert_memory_equal(question, expected, sizeof(expected) - 1);
        assert_int_equal(names_question("web.lab", "machine", 1, question, 32), 0);
        assert_int_equal(names_question("", "machine", 1, question, sizeof(question)), 0);
        assert_int_equal(names_question("a..b", "machine", 1, question, sizeof(question)), 0);
        memset(label, 'a', 64);
        assert_int_equal(names_question(label, "machine", 1, question, sizeof(question)), 0);
}

static void answers_are_understood(void **state)
{
        /* With a pointer to the name of the question, as servers answer. */
        static const uint8_t good[] = "\x12\x34\x85\x80\0\1\0\1\0\0\0\0\3web\7machine\0\0\1\0\1"
                                      "\xc0\x0c\0\1\0\1\0\0\0\0\0\4\x0a\1\x40\x09";
        uint8_t answer[sizeof(good) - 1];
        struct net_address address;

        (void) state;
        assert_int_equal(net_address_parse("10.1.64.9", &address), 0);
        memcpy(answer, good, sizeof(answer));
        assert_true(names_is_answer(answer, sizeof(answer), 0x1234, &address));
        assert_false(names_is_answer(answer, sizeof(answer), 0x1235, &address));
        for (size_t n = 0; n < sizeof(answer); n++)
                assert_false(names_is_answer(answer, n, 0x1234, &address));
        answer[3] |= 3; /* there is no such name */
        assert_false(names_is_answer(answer, sizeof(answer), 0x1234, &address));
        memcpy(answer, good, sizeof(answer));
        answer[sizeof(answer) - 1] = 8;
        assert_false(names_is_answer(answer, sizeof(answer), 0x1234, &address));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(requests_come_back_as_they_were),
                cmocka_unit_test(what_is_not_there_is_left_out),
                cmocka_unit_test(bad_requests_are_refused),
                cmocka_unit_test(the_plan_becomes_a_request),
                cmocka_unit_test(dnsmasq_is_told),
                cmocka_unit_test(files_of_machines),
                cmocka_unit_test(questions_are_asked),
                cmocka_unit_test(answers_are_understood),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
