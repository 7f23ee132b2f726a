/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>

#include "basic/strv.h"
#include "netsetup/ifname.h"
#include "netsetup/moved-record.h"

/* What is written down of an interface is what is read. */

static void is_read_as_written(void **state)
{
        struct moved_record in CLEANUP_MOVED_RECORD = { .machine = "web-1",
                                                        .name = "eth\"1$",
                                                        .passing = "back0123456789",
                                                        .alias = "up link; \\\"it's\" # 5",
                                                        .host = 4026531840UL,
                                                        .index = 7,
                                                        .inside = 2,
                                                        .mtu = 9000,
                                                        .up = true,
                                                        .has_mac = true,
                                                        .has_broadcast = { true, false },
                                                        .n_addresses = 2 };
        struct moved_record out CLEANUP_MOVED_RECORD = { .index = 0 };
        char *text CLEANUP_FREE = NULL, *again CLEANUP_FREE = NULL;

        (void) state;
        assert_int_equal(mac_parse("02:00:00:00:00:01", in.mac), 0);
        assert_int_equal(net_address_parse("10.0.0.7/24", &in.addresses[0]), 0);
        assert_int_equal(net_address_parse("fd00::7/64", &in.addresses[1]), 0);
        assert_int_equal(strv_add(&in.altnames, "enp0s3"), 0);
        assert_int_equal(strv_add(&in.altnames, "a name"), 0);
        assert_int_equal(moved_record_to_text(&in, &text), 0);
        assert_int_equal(moved_record_parse(text, strlen(text), &out), 0);
        assert_int_equal(moved_record_to_text(&out, &again), 0);
        assert_string_equal(text, again);
        assert_string_equal(out.name, in.name);
        assert_string_equal(out.alias, in.alias);
        assert_string_equal(out.altnames[1], "a name");
        assert_int_equal(out.n_addresses, 2);
        assert_true(out.has_broadcast[0] && !out.has_broadcast[1]);
        assert_true(out.has_mac && out.up && !out.has_permanent_mac);
}

static void others_are_refused(void **state)
{
        static const char *const texts[] = {
                "",
                "MACHINE=a\nNAME=eth0\nPASSING=b\n",
                "MACHINE=a\nPASSING=b\nINDEX=3\n",
                "MACHINE=a\nNAME=eth0\nINDEX=3\n",
                "NAME=eth0\nPASSING=b\nINDEX=3\n",
                "MACHINE=a\nNAME=eth0\nPASSING=b\nINDEX=-3\n",
                "MACHINE=a\nNAME=eth0\nPASSING=b\nINDEX=3\nMTU=many\n",
                "MACHINE=a\nNAME=sixteen-and-more\nPASSING=b\nINDEX=3\n",
                "MACHINE=a\nNAME=eth0\nPASSING=b\nINDEX=3\nADDRESS=10.0.0.300\n",
                "MACHINE=a\nNAME=eth0\nPASSING=b\nINDEX=3\nMAC=ff:ff:ff:ff:ff:ff\n",
                "MACHINE=a\nNAME=eth0\nPASSING=b\nINDEX=3\nCOLOUR=red\n",
                "MACHINE=a\nNAME=eth0\nPASSING=b\nINDEX=3\nUP=\"yes\n",
        };
        struct moved_record record;

        (void) state;
        for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
                assert_true(moved_record_parse(texts[i], strlen(texts[i]), &record) < 0);
}

static void addresses_have_an_end(void **state)
{
        char text[4096] = "MACHINE=a\nNAME=eth0\nPASSING=b\nINDEX=3\n";
        size_t n = strlen(text);
        struct moved_record record CLEANUP_MOVED_RECORD = { .index = 0 };

        (void) state;
        for (size_t i = 0; i <= MOVED_MAX_ADDRESSES; i++) {
                int expected = i == MOVED_MAX_ADDRESSES ? -E2BIG : 0;

                n += (size_t) snprintf(text + n, sizeof(text) - n, "ADDRESS=10.0.0.%zu\n", i);
                assert_int_equal(moved_record_parse(text, n, &record), expected);
        }
        assert_int_equal(record.n_addresses, MOVED_MAX_ADDRESSES);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(is_read_as_written),
                cmocka_unit_test(others_are_refused),
                cmocka_unit_test(addresses_have_an_end),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
