/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <unistd.h>

#include <cmocka.h>

#include "basic/fd.h"
#include "basic/io.h"
#include "basic/remove-tree.h"
#include "basic/strv.h"
#include "netsetup/net-state.h"

static int make_folder(void **state)
{
        char path[] = "/tmp/stead-state-XXXXXX";

        assert_non_null(mkdtemp(path));
        *state = strdup(path);
        return 0;
}

static int remove_folder(void **state)
{
        int parent CLEANUP_FD = open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

        assert_int_equal(remove_tree(parent, (char *) *state + strlen("/tmp/")), 0);
        free(*state);
        return 0;
}

static void write_machine(const char *folder, const char *name)
{
        static struct net_port ports[] = { { .protocol = NET_TCP, .host = 8080, .guest = 80 },
                                           { .protocol = NET_UDP, .host = 53, .guest = 53 } };
        struct keeper_request q = { .network = "zone-lab",
                                    .link = "vb-web",
                                    .bridge = "vz-lab",
                                    .has_mac = true,
                                    .mac = { 2, 0, 0, 0xaa, 0xbb, 0xcc },
                                    .ports = ports,
                                    .n_ports = 2 };
        struct strbuf text CLEANUP_STRBUF = STRBUF_NULL;
        int fd CLEANUP_FD = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

        (void) snprintf(q.machine, sizeof(q.machine), "%s", name);
        (void) net_address_parse("10.0.0.2/22", &q.address4);
        (void) net_address_parse("fd00::2/64", &q.address6);
        (void) net_address_parse("10.0.0.0/22", &q.subnet.prefix4);
        (void) net_address_parse("fd00::/64", &q.subnet.prefix6);
        (void) net_address_parse("10.0.0.1/22", &q.subnet.gateway4);
        (void) net_address_parse("fd00::1/64", &q.subnet.gateway6);
        assert_int_equal(keeper_request_print(&q, &text), 0);
        assert_int_equal(replace_file_at(fd, name, 0644, strbuf_text(&text)), 0);
}

static void test_machines(void **state)
{
        const char *folder = *state;
        char **names CLEANUP_STRV = NULL;
        struct keeper_request web CLEANUP_KEEPER_REQUEST = { .n_ports = 0 };
        struct strbuf text CLEANUP_STRBUF = STRBUF_NULL;
        struct failure failure = { .error = 0 };
        int fd CLEANUP_FD = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

        write_machine(folder, "web");
        write_machine(folder, "db");
        assert_int_equal(replace_file_at(fd, ".#web1234", 0644, "x"), 0);
        assert_int_equal(net_machine_list(folder, &names), 0);
        assert_int_equal(strv_length(names), 2);
        assert_string_equal(names[0], "db");
        assert_string_equal(names[1], "web");
        assert_int_equal(net_machine_read(folder, "web", &web, &failure), 0);
        net_machine_print(&web, &text);
        assert_string_equal(strbuf_text(&text), "Network: zone-lab\n"
                                                "Link: vb-web in vz-lab\n"
                                                "MAC: 02:00:00:aa:bb:cc\n"
                                                "Address: 10.0.0.2/22\n"
                                                "Address: fd00::2/64\n"
                                                "Gateway: 10.0.0.1\n"
                                                "Gateway: fd00::1\n"
                                                "Port: tcp 8080 leads to 80\n"
                                                "Port: udp 53 leads to 53\n");
}

static void test_nothing_to_show(void **state)
{
        const char *folder = *state;
        char **names CLEANUP_STRV = NULL;
        struct keeper_request web CLEANUP_KEEPER_REQUEST = { .n_ports = 0 };
        struct failure failure = { .error = 0 };
        int fd CLEANUP_FD = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

        assert_int_equal(net_machine_list("/nowhere/at/all", &names), 0);
        assert_null(names);
        assert_int_equal(net_machine_read(folder, "web", &web, &failure), -ENOENT);
        assert_non_null(strstr(failure.text, "'web'"));
        failure.error = 0;
        assert_int_equal(net_machine_read(folder, "../web", &web, &failure), -EINVAL);
        failure.error = 0;
        assert_int_equal(replace_file_at(fd, "web", 0644, "ADDRESS4=lots\n"), 0);
        assert_true(net_machine_read(folder, "web", &web, &failure) < 0);
        assert_true(failure.text[0] != '\0');
}

int main(void)
{
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_machines, make_folder, remove_folder),
                cmocka_unit_test_setup_teardown(test_nothing_to_show, make_folder, remove_folder),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
