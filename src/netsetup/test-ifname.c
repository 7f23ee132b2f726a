/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>

#include "netsetup/ifname.h"

/* Names and addresses as they were seen on hosts that run systemd-nspawn. */

static void names_are_valid_or_not(void **state)
{
        static const char *const good[] = { "a",  "ve-web", "host0",
                                            "0a", "eth0.5", "x123456789abcde" };
        static const char *const bad[] = {
                "",     ".",   "..",   "all",      "default",         "a/b", "a:b", "a b",
                "a\tb", "a%d", "1234", "\xc3\xa4", "x123456789abcdef"
        };

        (void) state;
        for (size_t i = 0; i < ARRAY_SIZE(good); i++)
                assert_true(link_name_is_valid(good[i]));
        for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
                assert_false(link_name_is_valid(bad[i]));
}

static void long_names_are_shortened(void **state)
{
        static const struct {
                const char *prefix, *name;
                bool truncate;
                const char *expected;
        } rows[] = {
                { "ve-", "web", false, "ve-web" },
                { "ve-", "exactly12byt", false, "ve-exactly12byt" },
                { "ve-", "test-container-with-a-long-name", false, "ve-test-confrsb" },
                { "vb-", "test-container-with-a-long-name", false, "vb-test-con1EmW" },
                { "ve-", "test-container-with-a-long-name", true, "ve-test-contain" },
        };
        char name[LINK_NAME_SIZE];

        (void) state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                bool shortened =
                        link_name_make(rows[i].prefix, rows[i].name, rows[i].truncate, name);

                assert_string_equal(name, rows[i].expected);
                assert_true(shortened == (strlen(rows[i].prefix) + strlen(rows[i].name) > 15));
                assert_true(link_name_is_valid(name));
        }
}

static void addresses_follow_from_names(void **state)
{
        static const struct {
                enum mac_kind kind;
                const char *name, *expected;
        } rows[] = {
                { MAC_HOST_END, "deb12", "c2:45:7b:a3:77:e9" },
                { MAC_GUEST_END, "deb12", "0a:29:18:01:e9:6e" },
                { MAC_MACVLAN, "deb12", "52:ef:d6:eb:1f:3d" },
                { MAC_HOST_END, "mycontainer", "76:84:85:cd:d8:e2" },
                { MAC_GUEST_END, "mycontainer", "06:74:3f:97:db:5a" },
        };
        uint8_t mac[MAC_SIZE], second[MAC_SIZE];
        char text[MAC_TEXT_SIZE];
        struct id128 id;

        (void) state;
        assert_int_equal(id128_parse("0123456789abcdef0123456789abcdef", &id), 0);
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                mac_make(rows[i].kind, &id, rows[i].name, 0, mac);
                assert_string_equal(mac_text(mac, text), rows[i].expected);
        }
        mac_make(MAC_EXTRA_HOST, &id, "x", 0, mac);
        mac_make(MAC_EXTRA_HOST, &id, "x", 1, second);
        assert_memory_not_equal(mac, second, MAC_SIZE);
        assert_int_equal(second[0] & 3, 2);
}

static void addresses_are_read(void **state)
{
        static const char *const bad[] = { "",
                                           "02:00:00:aa:bb",
                                           "02:00:00:aa:bb:cc:",
                                           "02:00:00:aa:bb:c",
                                           "02-00-00-aa-bb-cc",
                                           "02:00:00:aa:bb:cg",
                                           "00:00:00:00:00:00",
                                           "01:00:5e:00:00:01",
                                           "ff:ff:ff:ff:ff:ff" };
        uint8_t mac[MAC_SIZE];
        char text[MAC_TEXT_SIZE];

        (void) state;
        assert_int_equal(mac_parse("02:00:00:Aa:bB:cc", mac), 0);
        assert_string_equal(mac_text(mac, text), "02:00:00:aa:bb:cc");
        for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
                assert_int_equal(mac_parse(bad[i], mac), -EINVAL);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(names_are_valid_or_not),
                cmocka_unit_test(long_names_are_shortened),
                cmocka_unit_test(addresses_follow_from_names),
                cmocka_unit_test(addresses_are_read),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
