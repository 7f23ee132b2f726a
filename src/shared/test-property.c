/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>

#include "basic/cgroup.h"
#include "shared/property.h"

static char devices_text[] = "Character devices:\n  1 mem\n  4 /dev/vc/0\n  4 tty\n  5 /dev/tty\n"
                             " 10 misc\n136 pts\n188 ttyUSB\n\nBlock devices:\n  7 loop\n"
                             "  8 sd\n259 blkext\n";
static struct property_device nodes[] = {
        { "/dev/sda", true, 'b', 8, 0 },
        { "/srv", true, 'b', 259, 3 },
        { "/dev/kvm", false, 'c', 10, 232 },
};
static const struct property_facts facts = {
        .memory_total = 8ULL << 30,
        .tasks_total = 32768,
        .page_size = 4096,
        .proc_devices = devices_text,
        .devices = nodes,
        .n_devices = ARRAY_SIZE(nodes),
};

/* One assignment: what is written to which file, or refused. */
static void test_values(void **state)
{
        static const struct {
                const char *in;
                const char *file, *text; /* no file: accepted, nothing to write */
                int r;
        } rows[] = {
                { "MemoryMax=1G", "memory.max", "1073741824", 0 },
                { "MemoryMax=5000", "memory.max", "5000", 0 },
                { "MemoryMax=infinity", "memory.max", "max", 0 },
                { "MemoryMax=25%", "memory.max", "2147483648", 0 },
                { "MemoryMax=12.5%", "memory.max", "1073741824", 0 },
                { "MemoryMax=101%", NULL, NULL, -EINVAL },
                { "MemoryMax=0", NULL, NULL, -EINVAL },
                { "MemoryMax=-1", NULL, NULL, -EINVAL },
                { "MemoryMax=1X", NULL, NULL, -EINVAL },
                { "MemoryMax= 1", NULL, NULL, -EINVAL },
                { "MemoryMax=99999999999999999999", NULL, NULL, -EINVAL },
                { "MemoryHigh=512M", "memory.high", "536870912", 0 },
                { "MemoryLow=0", "memory.low", "0", 0 },
                { "MemoryMin=4K", "memory.min", "4096", 0 },
                { "MemorySwapMax=0", "memory.swap.max", "0", 0 },
                { "CPUQuota=50%", "cpu.max", "50000 100000", 0 },
                { "CPUQuota=150%", "cpu.max", "150000 100000", 0 },
                { "CPUQuota=0.5%", "cpu.max", "1000 200000", 0 },
                { "CPUQuota=0.01%", "cpu.max", "1000 1000000", 0 },
                { "CPUQuota=0%", NULL, NULL, -EINVAL },
                { "CPUQuota=50", NULL, NULL, -EINVAL },
                { "CPUQuotaPeriodSec=10ms", "cpu.max", "max 10000", 0 },
                { "CPUQuotaPeriodSec=2s", NULL, NULL, -EINVAL },
                { "CPUWeight=100", "cpu.weight", "100", 0 },
                { "CPUWeight=idle", "cpu.idle", "1", 0 },
                { "CPUWeight=0", NULL, NULL, -EINVAL },
                { "CPUWeight=10001", NULL, NULL, -EINVAL },
                { "AllowedCPUs=0-3,7", "cpuset.cpus", "0-3,7", 0 },
                { "AllowedCPUs=0 2", "cpuset.cpus", "0,2", 0 },
                { "AllowedCPUs=x", NULL, NULL, -EINVAL },
                { "AllowedMemoryNodes=0", "cpuset.mems", "0", 0 },
                { "TasksMax=100", "pids.max", "100", 0 },
                { "TasksMax=infinity", "pids.max", "max", 0 },
                { "TasksMax=10%", "pids.max", "3276", 0 },
                { "TasksMax=0", NULL, NULL, -EINVAL },
                { "TasksMax=0%", NULL, NULL, -EINVAL },
                { "IOWeight=200", "io.weight", "default 200", 0 },
                { "IOReadBandwidthMax=/dev/sda 5M", "io.max", "8:0 rbps=5000000", 0 },
                { "IOWriteBandwidthMax=/srv 1K", "io.max", "259:3 wbps=1000", 0 },
                { "IOReadIOPSMax=/dev/sda 10", "io.max", "8:0 riops=10", 0 },
                { "IOWriteIOPSMax=/dev/sda infinity", "io.max", "8:0 wiops=max", 0 },
                { "IOReadBandwidthMax=/dev/sda", NULL, NULL, -EINVAL },
                { "IOReadBandwidthMax=sda 1M", NULL, NULL, -EINVAL },
                { "IOReadBandwidthMax=/dev/../sda 1M", NULL, NULL, -EINVAL },
                { "IOReadBandwidthMax=/dev/sda 1Q", NULL, NULL, -EINVAL },
                { "DeviceAllow=/dev/kvm rw", NULL, NULL, 0 },
                { "DeviceAllow=char-pts", NULL, NULL, 0 },
                { "DeviceAllow=/etc/passwd r", NULL, NULL, -EINVAL },
                { "DeviceAllow=/dev/kvm rx", NULL, NULL, -EINVAL },
                { "DeviceAllow=char-", NULL, NULL, -EINVAL },
                { "DevicePolicy=strict", NULL, NULL, 0 },
                { "DevicePolicy=open", NULL, NULL, -EINVAL },
                { "Description=My machine", NULL, NULL, 0 },
                { "MemoryAccounting=yes", NULL, NULL, 0 },
                { "CPUAccounting=maybe", NULL, NULL, -EINVAL },
                { "MemoryMax=", NULL, NULL, 0 },
                { "MemoryMax", NULL, NULL, -EINVAL },
                { "", NULL, NULL, -EINVAL },
                { "=1", NULL, NULL, -EINVAL },
                { "memorymax=1", NULL, NULL, -EINVAL },
                { "ExecStart=/bin/sh", NULL, NULL, -EINVAL },
        };

        (void) state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                struct property_set set CLEANUP_PROPERTY_SET = { .items = NULL };
                struct failure failure = { .error = 0 };
                struct property_row *out = NULL;
                size_t n = 0;

                if (property_set_add(&set, rows[i].in, &failure) != rows[i].r)
                        fail_msg("'%s' gives not %d: %s", rows[i].in, rows[i].r, failure.text);
                if (rows[i].r < 0) {
                        assert_int_equal(set.n, 0);
                        assert_true(failure.text[0] != '\0');
                        continue;
                }
                assert_int_equal(property_rows(&set, &facts, &out, &n, &failure), 0);
                assert_int_equal(n, rows[i].file ? 1 : 0);
                if (rows[i].file) {
                        assert_string_equal(out[0].file, rows[i].file);
                        assert_string_equal(out[0].long_text ? out[0].long_text : out[0].text,
                                            rows[i].text);
                        assert_non_null(cgroup_controller_name(out[0].controller));
                }
                property_rows_free(out, n);
        }
}

/* Later ones replace, add up or take back. */
static void test_repeated(void **state)
{
        static const struct {
                const char *in[5];
                const char *text; /* all rows, "file=text;" */
        } rows[] = {
                { { "MemoryMax=1G", "MemoryMax=2G" }, "memory.max=2147483648;" },
                { { "MemoryMax=1G", "MemoryMax=" }, "" },
                { { "CPUQuota=50%", "CPUQuotaPeriodSec=10ms" }, "cpu.max=5000 10000;" },
                { { "CPUQuotaPeriodSec=10ms", "CPUQuota=50%" }, "cpu.max=5000 10000;" },
                { { "IOReadIOPSMax=/srv 1", "IOReadIOPSMax=/dev/sda 2" },
                  "io.max=259:3 riops=1;io.max=8:0 riops=2;" },
                { { "IOReadIOPSMax=/srv 1", "IOReadIOPSMax=", "IOReadIOPSMax=/dev/sda 2" },
                  "io.max=8:0 riops=2;" },
        };

        (void) state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                struct property_set set CLEANUP_PROPERTY_SET = { .items = NULL };
                struct strbuf text CLEANUP_STRBUF = STRBUF_NULL;
                struct failure failure = { .error = 0 };
                struct property_row *out = NULL;
                size_t n = 0;

                for (size_t k = 0; rows[i].in[k]; k++)
                        assert_int_equal(property_set_add(&set, rows[i].in[k], &failure), 0);
                assert_int_equal(property_rows(&set, &facts, &out, &n, &failure), 0);
                for (size_t k = 0; k < n; k++)
                        strbuf_addf(&text, "%s=%s;", out[k].file, out[k].text);
                assert_string_equal(strbuf_text(&text), rows[i].text);
                property_rows_free(out, n);
        }
}

static void test_expected_is_whole_pages(void **state)
{
        struct property_set set CLEANUP_PROPERTY_SET = { .items = NULL };
        struct failure failure = { .error = 0 };
        struct property_row *out = NULL;
        size_t n = 0;

        (void) state;
        assert_int_equal(property_set_add(&set, "MemoryMax=5000", &failure), 0);
        assert_int_equal(property_rows(&set, &facts, &out, &n, &failure), 0);
        assert_string_equal(out[0].expected, "4096");
        property_rows_free(out, n);
}

static void test_device_rules(void **state)
{
        static const struct device_rule base[] = { { 'c', 1, 3, DEVICE_ALL },
                                                   { 'c', 136, -1, DEVICE_READ } };
        static const struct {
                const char *in[3];
                const char *rules; /* "type major minor access;" */
                int r;
        } rows[] = {
                { { NULL }, "c 1 3 7;c 136 -1 2;", 0 },
                { { "DevicePolicy=strict" }, "c 136 -1 2;", 0 },
                { { "DevicePolicy=auto" }, "c 1 3 7;c 136 -1 2;", 0 },
                { { "DeviceAllow=/dev/kvm rw" }, "c 1 3 7;c 136 -1 2;c 10 232 6;", 0 },
                { { "DeviceAllow=char-pts rw", "DevicePolicy=strict" },
                  "c 136 -1 2;c 136 -1 6;",
                  0 },
                { { "DeviceAllow=char-tty*" }, "c 1 3 7;c 136 -1 2;c 4 -1 7;c 188 -1 7;", 0 },
                { { "DeviceAllow=block-sd r" }, "c 1 3 7;c 136 -1 2;b 8 -1 2;", 0 },
                { { "DeviceAllow=char-* r" }, "c 1 3 7;c 136 -1 2;c -1 -1 2;", 0 },
                { { "DeviceAllow=char-zz*" }, "c 1 3 7;c 136 -1 2;", 0 },
                { { "DeviceAllow=char-zz" }, NULL, -ENODEV },
                { { "DeviceAllow=/dev/other" }, NULL, -ENODEV },
        };

        (void) state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                struct property_set set CLEANUP_PROPERTY_SET = { .items = NULL };
                struct device_rule *rules CLEANUP_FREE = NULL;
                struct strbuf text CLEANUP_STRBUF = STRBUF_NULL;
                struct failure failure = { .error = 0 };
                size_t n = 0;

                for (size_t k = 0; rows[i].in[k]; k++)
                        assert_int_equal(property_set_add(&set, rows[i].in[k], &failure), 0);
                assert_int_equal(property_device_rules(&set, &facts, base, ARRAY_SIZE(base), &rules,
                                                       &n, &failure),
                                 rows[i].r);
                for (size_t k = 0; k < n; k++)
                        strbuf_addf(&text, "%c %d %d %u;", rules[k].type, rules[k].major,
                                    rules[k].minor, rules[k].access);
                if (rows[i].rules)
                        assert_string_equal(strbuf_text(&text), rows[i].rules);
        }
}

static void test_sentences(void **state)
{
        struct property_set set CLEANUP_PROPERTY_SET = { .items = NULL };
        struct failure unknown = { .error = 0 }, bad = { .error = 0 };

        (void) state;
        assert_int_equal(property_set_add(&set, "Nice=5", &unknown), -EINVAL);
        assert_non_null(strstr(unknown.text, "'Nice'"));
        for (int id = 0; id < N_PROPERTIES; id++)
                assert_non_null(strstr(unknown.text, property_name((enum property_id) id)));
        assert_int_equal(property_set_add(&set, "CPUWeight=heavy", &bad), -EINVAL);
        assert_non_null(strstr(bad.text, "heavy"));
        assert_non_null(strstr(bad.text, "CPUWeight"));
}

static void test_majors(void **state)
{
        char *name CLEANUP_FREE = proc_devices_name(devices_text, 'c', 136);
        char *block CLEANUP_FREE = proc_devices_name(devices_text, 'b', 8);

        (void) state;
        assert_string_equal(name, "pts");
        assert_string_equal(block, "sd");
        assert_null(proc_devices_name(devices_text, 'c', 8));
        assert_null(proc_devices_name("", 'c', 8));
}

static void test_every_property_is_a_key(void **state)
{
        (void) state;
        for (int i = 0; i < N_PROPERTIES; i++) {
                const char *name = property_name((enum property_id) i);

                assert_int_equal(property_from_key(name), i == PROPERTY_DESCRIPTION ? -ENOENT : i);
        }
        assert_int_equal(property_from_key(""), -ENOENT);
        assert_int_equal(property_from_key("Memory"), -ENOENT);
        assert_int_equal(property_from_key("MemoryMaxX"), -ENOENT);
        assert_int_equal(property_from_key("memorymax"), -ENOENT);
}

int main(void)
{
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_every_property_is_a_key),
                cmocka_unit_test(test_values),
                cmocka_unit_test(test_repeated),
                cmocka_unit_test(test_expected_is_whole_pages),
                cmocka_unit_test(test_device_rules),
                cmocka_unit_test(test_sentences),
                cmocka_unit_test(test_majors),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
