/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "basic/fd.h"
#include "basic/io.h"
#include "basic/remove-tree.h"
#include "netsetup/net-facts.h"
#include "netsetup/net-manager.h"

static const struct manager_link ve = { "ve-web", "veth" }, vz = { "vz-lab", "bridge" };

static enum manager_answer file_says(const char *text, const struct manager_link *link)
{
        return networkd_file_says("x.network", text, strlen(text), link);
}

static void test_networkd_files(void **state)
{
        static const struct {
                const char *text;
                enum manager_answer for_ve, for_vz;
        } cases[] = {
                { "[Match]\nName=ve-*\nDriver=veth\n", MANAGER_TAKES_IT, MANAGER_DOES_NOT_SAY },
                { "[Match]\nName=vz-*\nKind=bridge\n", MANAGER_DOES_NOT_SAY, MANAGER_TAKES_IT },
                { "[Match]\nKind=bridge\nName=v?-*\n", MANAGER_DOES_NOT_SAY, MANAGER_TAKES_IT },
                { "[Match]\nName=en* ve-w[ae]b\n", MANAGER_TAKES_IT, MANAGER_DOES_NOT_SAY },
                { "[Match]\nName=en*\nName=vz-lab\n", MANAGER_DOES_NOT_SAY, MANAGER_TAKES_IT },
                { "[Match]\nName=ve-*\nName=\nName=en*\n", MANAGER_DOES_NOT_SAY,
                  MANAGER_DOES_NOT_SAY },
                { "[Match]\nName=!ve-* vz-*\n", MANAGER_DOES_NOT_SAY, MANAGER_DOES_NOT_SAY },
                { "[Match]\nName=!vz-*\n", MANAGER_TAKES_IT, MANAGER_DOES_NOT_SAY },
                { "[Match]\nName=*\nKind=!*\n", MANAGER_DOES_NOT_SAY, MANAGER_DOES_NOT_SAY },
                { "[Match]\nType=ether\n", MANAGER_TAKES_IT, MANAGER_DOES_NOT_SAY },
                { "[Match]\nType=wlan\nName=*\n", MANAGER_DOES_NOT_SAY, MANAGER_DOES_NOT_SAY },
                { "[Match]\nName=*\nPermanentMACAddress=02:00:00:aa:bb:cc\n", MANAGER_DOES_NOT_SAY,
                  MANAGER_DOES_NOT_SAY },
                { "[Match]\nName=*\nVirtualization=!container\nHost=h\n", MANAGER_TAKES_IT,
                  MANAGER_TAKES_IT },
                { "[Match]\nName=ve-*\n[Link]\nUnmanaged=yes\n", MANAGER_LEAVES_IT,
                  MANAGER_DOES_NOT_SAY },
                { "[Match]\nName=ve-*\n[Link]\nUnmanaged=no\n", MANAGER_TAKES_IT,
                  MANAGER_DOES_NOT_SAY },
                { "[Link]\nUnmanaged=yes\n", MANAGER_DOES_NOT_SAY, MANAGER_DOES_NOT_SAY },
                { "[Match]\n[Network]\nDHCP=yes\n", MANAGER_DOES_NOT_SAY, MANAGER_DOES_NOT_SAY },
                { "[Match\nName=*\n", MANAGER_DOES_NOT_SAY, MANAGER_DOES_NOT_SAY },
                { "", MANAGER_DOES_NOT_SAY, MANAGER_DOES_NOT_SAY },
        };

        (void) state;
        for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
                assert_int_equal(file_says(cases[i].text, &ve), cases[i].for_ve);
                assert_int_equal(file_says(cases[i].text, &vz), cases[i].for_vz);
        }
}

static void test_networkd_state(void **state)
{
        static const struct {
                const char *text;
                enum manager_answer answer;
        } cases[] = {
                { "# private\nADMIN_STATE=unmanaged\nOPER_STATE=routable\n", MANAGER_LEAVES_IT },
                { "ADMIN_STATE=configured\n", MANAGER_TAKES_IT },
                { "ADMIN_STATE=configuring\n", MANAGER_TAKES_IT },
                { "ADMIN_STATE=pending\n", MANAGER_DOES_NOT_SAY },
                { "OPER_STATE=routable\n", MANAGER_DOES_NOT_SAY },
                { "", MANAGER_DOES_NOT_SAY },
        };

        (void) state;
        for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
                assert_int_equal(networkd_state_says(cases[i].text, strlen(cases[i].text)),
                                 cases[i].answer);
}

static void test_networkmanager_profiles(void **state)
{
        static const struct {
                const char *text;
                enum manager_answer answer;
        } cases[] = {
                { "[connection]\nid=lab\ntype=bridge\ninterface-name=vz-lab\n", MANAGER_TAKES_IT },
                { "[connection]\ninterface-name=vz-lab\nautoconnect=false\n",
                  MANAGER_DOES_NOT_SAY },
                { "[connection]\ninterface-name=vz-lab2\n", MANAGER_DOES_NOT_SAY },
                { "[bridge]\ninterface-name=vz-lab\n", MANAGER_DOES_NOT_SAY },
                { "[connection]\nid=vz-lab\n", MANAGER_DOES_NOT_SAY },
                { "", MANAGER_DOES_NOT_SAY },
        };

        (void) state;
        for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
                assert_int_equal(networkmanager_profile_says("x", cases[i].text,
                                                             strlen(cases[i].text), "vz-lab"),
                                 cases[i].answer);
}

static void test_naming_schemes(void **state)
{
        (void) state;
        assert_false(naming_scheme_is_old(NULL));
        assert_false(naming_scheme_is_old(""));
        assert_false(naming_scheme_is_old("latest"));
        assert_false(naming_scheme_is_old("v245"));
        assert_false(naming_scheme_is_old("v257"));
        assert_true(naming_scheme_is_old("v243"));
        assert_true(naming_scheme_is_old(":v238"));
        assert_false(naming_scheme_is_old("v243x"));
}

/* ---- a host's files ---------------------------------------------------------------------- */

static int make_root(void **state)
{
        char path[] = "/tmp/stead-manager-XXXXXX";

        assert_non_null(mkdtemp(path));
        *state = strdup(path);
        return 0;
}

static int remove_root(void **state)
{
        int parent CLEANUP_FD = open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

        assert_int_equal(remove_tree(parent, (char *) *state + strlen("/tmp/")), 0);
        free(*state);
        return 0;
}

static void put(const char *root, const char *path, const char *text)
{
        char full[256], *slash;

        (void) snprintf(full, sizeof(full), "%s%s", root, path);
        slash = strrchr(full, '/');
        *slash = '\0';
        assert_int_equal(make_directories(full, 0755), 0);
        *slash = '/';
        (void) unlink(full);
        assert_int_equal(create_file_at(AT_FDCWD, full, 0644, text), 0);
}

#define STOCK_VE "[Match]\nName=ve-*\nDriver=veth\n[Network]\nDHCPServer=yes\n"
#define PROCS "/sys/fs/cgroup/system.slice/systemd-networkd.service/cgroup.procs"

static void test_networkd_of_a_host(void **state)
{
        const char *root = *state;
        char path[256];

        assert_int_equal(networkd_says(root, &ve), MANAGER_DOES_NOT_SAY);
        put(root, "/usr/lib/systemd/network/80-container-ve.network", STOCK_VE);
        put(root, "/run/systemd/netif/state", "");
        /* It ran some time; that is what its folder says. */
        assert_int_equal(networkd_says(root, &ve), MANAGER_DOES_NOT_SAY);
        put(root, PROCS, "");
        assert_int_equal(networkd_says(root, &ve), MANAGER_DOES_NOT_SAY);
        put(root, PROCS, "211\n");
        assert_int_equal(networkd_says(root, &ve), MANAGER_TAKES_IT);
        assert_int_equal(networkd_says(root, &vz), MANAGER_DOES_NOT_SAY);

        /* The first file that is about the link decides, wherever it is. */
        put(root, "/etc/systemd/network/10-mine.network",
            "[Match]\nName=ve-web\n[Link]\nUnmanaged=yes\n");
        assert_int_equal(networkd_says(root, &ve), MANAGER_LEAVES_IT);
        put(root, "/etc/systemd/network/10-mine.network", "[Match]\nName=ve-db\n");
        assert_int_equal(networkd_says(root, &ve), MANAGER_TAKES_IT);

        /* A drop-in. */
        put(root, "/etc/systemd/network/80-container-ve.network.d/5.conf",
            "[Link]\nUnmanaged=yes\n");
        assert_int_equal(networkd_says(root, &ve), MANAGER_LEAVES_IT);
        put(root, "/run/systemd/network/80-container-ve.network.d/9.conf",
            "[Link]\nUnmanaged=no\n");
        assert_int_equal(networkd_says(root, &ve), MANAGER_TAKES_IT);

        /* Masked, by an empty file and by a link to /dev/null. */
        put(root, "/run/systemd/network/80-container-ve.network", "");
        assert_int_equal(networkd_says(root, &ve), MANAGER_DOES_NOT_SAY);
        put(root, "/run/systemd/network/80-container-ve.network", STOCK_VE);
        assert_int_equal(networkd_says(root, &ve), MANAGER_TAKES_IT);
        (void) snprintf(path, sizeof(path), "%s/etc/systemd/network/80-container-ve.network", root);
        assert_int_equal(symlink("/dev/null", path), 0);
        assert_int_equal(networkd_says(root, &ve), MANAGER_DOES_NOT_SAY);
}

static void test_networkmanager_of_a_host(void **state)
{
        static const char profile[] = "[connection]\nid=lab\ninterface-name=vz-lab\n";
        const char *root = *state;

        put(root, "/etc/NetworkManager/system-connections/lab.nmconnection", profile);
        assert_int_equal(networkmanager_says(root, &vz), MANAGER_DOES_NOT_SAY);
        put(root, "/run/NetworkManager/NetworkManager.pid", "4321\n");
        assert_int_equal(networkmanager_says(root, &vz), MANAGER_DOES_NOT_SAY);
        put(root, "/proc/4321/comm", "bash\n");
        assert_int_equal(networkmanager_says(root, &vz), MANAGER_DOES_NOT_SAY);
        put(root, "/proc/4321/comm", "NetworkManager\n");
        assert_int_equal(networkmanager_says(root, &vz), MANAGER_TAKES_IT);
        assert_int_equal(networkmanager_says(root, &ve), MANAGER_DOES_NOT_SAY);
        put(root, "/run/NetworkManager/NetworkManager.pid", "");
        assert_int_equal(networkmanager_says(root, &vz), MANAGER_DOES_NOT_SAY);
        put(root, "/sys/fs/cgroup/systemd/system.slice/NetworkManager.service/cgroup.procs", "7\n");
        assert_int_equal(networkmanager_says(root, &vz), MANAGER_TAKES_IT);
}

int main(void)
{
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_networkd_files),
                cmocka_unit_test(test_networkd_state),
                cmocka_unit_test(test_networkmanager_profiles),
                cmocka_unit_test(test_naming_schemes),
                cmocka_unit_test_setup_teardown(test_networkd_of_a_host, make_root, remove_root),
                cmocka_unit_test_setup_teardown(test_networkmanager_of_a_host, make_root,
                                                remove_root),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
