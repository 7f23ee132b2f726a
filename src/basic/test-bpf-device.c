/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <linux/bpf.h>

#include "basic/bpf-device.h"
#include "basic/cgroup.h"

/* The few instructions that our programs use, run without the kernel; anything else fails. */
static uint64_t run(const struct bpf_insn *code, size_t n, const struct bpf_cgroup_dev_ctx *context)
{
        uint64_t reg[11] = { [1] = (uint64_t) (uintptr_t) context };
        bool known[11] = { [1] = true };

        for (size_t pc = 0; pc < n; pc++) {
                const struct bpf_insn *i = &code[pc];
                uint64_t *dst = &reg[i->dst_reg];

                switch (i->code) {
                case BPF_LDX | BPF_MEM | BPF_W:
                        assert_true(known[i->src_reg] && i->src_reg == 1);
                        assert_int_equal(reg[1], (uintptr_t) context);
                        *dst = *(const uint32_t *) (uintptr_t) (reg[1] + (uint64_t) i->off);
                        known[i->dst_reg] = true;
                        break;
                case BPF_ALU | BPF_MOV | BPF_K:
                        *dst = (uint32_t) i->imm;
                        known[i->dst_reg] = true;
                        break;
                case BPF_ALU | BPF_MOV | BPF_X:
                        assert_true(known[i->src_reg]);
                        *dst = (uint32_t) reg[i->src_reg];
                        break;
                case BPF_ALU | BPF_AND | BPF_K:
                        assert_true(known[i->dst_reg]);
                        *dst = (uint32_t) *dst & (uint32_t) i->imm;
                        break;
                case BPF_ALU | BPF_RSH | BPF_K:
                        assert_true(known[i->dst_reg]);
                        *dst = (uint32_t) *dst >> i->imm;
                        break;
                case BPF_JMP32 | BPF_JNE | BPF_K:
                        assert_true(known[i->dst_reg] && i->off > 0);
                        if ((uint32_t) *dst != (uint32_t) i->imm)
                                pc += (size_t) i->off;
                        break;
                case BPF_JMP | BPF_EXIT:
                        assert_true(known[0]);
                        return reg[0];
                default:
                        fail_msg("instruction %02x", i->code);
                }
        }
        fail_msg("the program runs over its end");
        return 0;
}

static bool allows(const struct device_rule *rules, size_t n_rules, char type, unsigned access,
                   unsigned major, unsigned minor)
{
        struct bpf_cgroup_dev_ctx context = {
                .access_type =
                        access << 16 | (type == 'c' ? BPF_DEVCG_DEV_CHAR : BPF_DEVCG_DEV_BLOCK),
                .major = major,
                .minor = minor,
        };
        struct bpf_insn *code = NULL;
        uint64_t result;
        size_t n = 0;

        assert_int_equal(device_program_build(rules, n_rules, &code, &n), 0);
        result = run(code, n, &context);
        free(code);
        return result;
}

static const struct device_rule some[] = {
        { 'c', 1, 3, DEVICE_ALL },  { 'c', 136, -1, DEVICE_READ | DEVICE_WRITE },
        { 'b', 8, 1, DEVICE_READ }, { 'c', 10, 1048575, DEVICE_WRITE },
        { 'c', 9, 9, 0 },
};
static const struct device_rule all_blocks[] = { { 'b', -1, -1, DEVICE_READ } };
static const struct device_rule everything[] = { { 'a', -1, -1, DEVICE_ALL },
                                                 { 'c', 1, 3, DEVICE_READ } };
static const struct device_rule both[] = { { 'a', 7, 0, DEVICE_READ } };

static void test_rules(void **state)
{
        static const struct {
                const struct device_rule *rules;
                size_t n;
                char type;
                unsigned access, major, minor;
                bool allowed;
        } rows[] = {
                { some, 5, 'c', DEVICE_ALL, 1, 3, true },
                { some, 5, 'c', DEVICE_READ, 1, 3, true },
                { some, 5, 'b', DEVICE_READ, 1, 3, false },
                { some, 5, 'c', DEVICE_READ, 1, 11, false },
                { some, 5, 'c', DEVICE_READ | DEVICE_WRITE, 136, 77, true },
                { some, 5, 'c', DEVICE_MKNOD, 136, 77, false },
                { some, 5, 'c', DEVICE_ALL, 136, 77, false },
                { some, 5, 'b', DEVICE_READ, 8, 1, true },
                { some, 5, 'b', DEVICE_READ | DEVICE_WRITE, 8, 1, false },
                { some, 5, 'b', DEVICE_READ, 8, 2, false },
                { some, 5, 'c', DEVICE_WRITE, 10, 1048575, true },
                { some, 5, 'c', DEVICE_READ, 9, 9, false },
                { some, 0, 'c', DEVICE_READ, 1, 3, false },
                { all_blocks, 1, 'b', DEVICE_READ, 259, 12, true },
                { all_blocks, 1, 'c', DEVICE_READ, 259, 12, false },
                { everything, 2, 'b', DEVICE_ALL, 259, 12, true },
                { both, 1, 'b', DEVICE_READ, 7, 0, true },
                { both, 1, 'c', DEVICE_READ, 7, 0, true },
                { both, 1, 'c', DEVICE_WRITE, 7, 0, false },
        };

        (void) state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
                if (allows(rows[i].rules, rows[i].n, rows[i].type, rows[i].access, rows[i].major,
                           rows[i].minor) != rows[i].allowed)
                        fail_msg("row %zu", i);
}

static void test_build_refuses(void **state)
{
        static const struct device_rule bad[] = {
                { 'x', 1, 3, DEVICE_ALL },
                { 'c', -2, 3, DEVICE_ALL },
                { 'c', 1, -2, DEVICE_ALL },
                { 'c', 1, 3, 8 },
        };
        struct bpf_insn *code = NULL;
        size_t n = 0;

        (void) state;
        for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
                assert_int_equal(device_program_build(&bad[i], 1, &code, &n), -EINVAL);
        assert_null(code);
}

/* The kernel refuses unreachable instructions: behind "everything" nothing follows. */
static void test_no_dead_code(void **state)
{
        struct bpf_insn *code = NULL;
        size_t n = 0;

        (void) state;
        assert_int_equal(device_program_build(everything, 2, &code, &n), 0);
        assert_int_equal(n, 8);
        free(code);
}

static void test_access(void **state)
{
        static const struct {
                const char *in;
                int r;
                unsigned access;
                const char *out;
        } rows[] = {
                { "rwm", 0, DEVICE_ALL, "rwm" }, { "mr", 0, DEVICE_MKNOD | DEVICE_READ, "rm" },
                { "w", 0, DEVICE_WRITE, "w" },   { "", -EINVAL, 0, NULL },
                { "rx", -EINVAL, 0, NULL },      { "r ", -EINVAL, 0, NULL },
        };

        (void) state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                unsigned access = 0;
                char text[4];

                assert_int_equal(device_access_parse(rows[i].in, &access), rows[i].r);
                assert_int_equal(access, rows[i].access);
                device_access_to_text(access, text);
                if (rows[i].out)
                        assert_string_equal(text, rows[i].out);
        }
}

/* The pure half of cgroup.h has its rows here too. */
static void test_cgroup_text(void **state)
{
        static const struct {
                const char *text;
                int r;
                const char *path;
        } rows[] = {
                { "0::/\n", 0, "/" },
                { "0::/a/b\n", 0, "/a/b" },
                { "2:cpu:/x\n1:name=systemd:/y\n0::/z:z\n", 0, "/z:z" },
                { "10::/x\n", -ENODATA, NULL },
                { "2:cpu:/x\n", -ENODATA, NULL },
                { "", -ENODATA, NULL },
        };

        (void) state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                char *path = NULL;

                assert_int_equal(cgroup_path_parse(rows[i].text, &path), rows[i].r);
                if (rows[i].path)
                        assert_string_equal(path, rows[i].path);
                free(path);
        }
        assert_int_equal(cgroup_controllers_parse("cpuset cpu io memory hugetlb pids rdma\n"),
                         CGROUP_CONTROLLERS_ALL);
        assert_int_equal(cgroup_controllers_parse("hugetlb\n"), 0);
        assert_int_equal(cgroup_controllers_parse("cpuacct cpux mem\n"), 0);
        assert_int_equal(cgroup_controllers_parse(""), 0);
        assert_string_equal(cgroup_controller_name(CGROUP_IO), "io");
        assert_null(cgroup_controller_name(3));
}

int main(void)
{
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_rules),        cmocka_unit_test(test_build_refuses),
                cmocka_unit_test(test_no_dead_code), cmocka_unit_test(test_access),
                cmocka_unit_test(test_cgroup_text),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
