/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <elf.h>
#include <errno.h>
#include <sched.h>

#include "nspawn/explain.h"

/* ---- programs ---------------------------------------------------------------------------- */

/* An ELF file of 64 bits and little end, with a loader if @loader is not NULL. */
static size_t make_elf(unsigned char *head, unsigned machine, const char *loader)
{
        Elf64_Ehdr e = { .e_type = ET_DYN, .e_machine = (Elf64_Half) machine };
        Elf64_Phdr p[2] = { { .p_type = PT_LOAD }, { .p_type = PT_INTERP } };

        memcpy(e.e_ident, ELFMAG, SELFMAG);
        e.e_ident[EI_CLASS] = ELFCLASS64;
        e.e_ident[EI_DATA] = ELFDATA2LSB;
        if (loader) {
                e.e_phoff = sizeof(e);
                e.e_phentsize = sizeof(p[0]);
                e.e_phnum = ARRAY_SIZE(p);
                p[1].p_offset = sizeof(e) + sizeof(p);
                p[1].p_filesz = strlen(loader) + 1;
                memcpy(head + sizeof(e), p, sizeof(p));
                memcpy(head + sizeof(e) + sizeof(p), loader, strlen(loader) + 1);
        }
        memcpy(head, &e, sizeof(e));
        return sizeof(e) + (loader ? sizeof(p) + strlen(loader) + 1 : 0);
}

static void test_heads(void **state)
{
        static const struct {
                const char *text;
                enum program_kind kind;
                const char *needs;
        } rows[] = {
                { "", PROGRAM_EMPTY, "" },
                { "hello", PROGRAM_OTHER, "" },
                { "#", PROGRAM_OTHER, "" },
                { "#!", PROGRAM_SCRIPT, "" },
                { "#!/bin/sh\n", PROGRAM_SCRIPT, "/bin/sh" },
                { "#! \t/bin/sh -e\n", PROGRAM_SCRIPT, "/bin/sh" },
                { "#!/bin/sh", PROGRAM_SCRIPT, "/bin/sh" },
                { "#!sh\n", PROGRAM_SCRIPT, "" },
                { "#!\n/bin/sh", PROGRAM_SCRIPT, "" },
                { "\177ELF", PROGRAM_OTHER, "" },
        };
        unsigned char head[PROGRAM_HEAD_MAX] = "";
        struct program p = { .kind = PROGRAM_MISSING };
        char name[2 * PROGRAM_NAME_MAX];
        size_t n;

        (void) state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                struct program q = { .kind = PROGRAM_MISSING };

                program_read_head((const unsigned char *) rows[i].text, strlen(rows[i].text), &q);
                if (q.kind != rows[i].kind || !streq(q.needs, rows[i].needs))
                        fail_msg("'%s': %d '%s'", rows[i].text, (int) q.kind, q.needs);
        }
        n = make_elf(head, EM_AARCH64, "/lib/ld-linux-aarch64.so.1");
        program_read_head(head, n, &p);
        assert_true(p.kind == PROGRAM_ELF && p.machine == EM_AARCH64 && p.is_64 &&
                    !p.is_big_endian);
        assert_string_equal(p.needs, "/lib/ld-linux-aarch64.so.1");
        /* Cut off anywhere, it is less, and never more. */
        for (size_t i = 0; i < n; i++) {
                unsigned char *copy CLEANUP_FREE = malloc(i + 1);
                struct program q = { .kind = PROGRAM_MISSING };

                assert_non_null(copy);
                memcpy(copy, head, i);
                program_read_head(copy, i, &q);
                assert_true(q.needs[0] == '\0');
        }
        memset(name, 'x', sizeof(name) - 1);
        name[0] = '/';
        name[sizeof(name) - 1] = '\0';
        p.needs[0] = '\0';
        program_read_head(head, make_elf(head, EM_X86_64, name), &p);
        assert_string_equal(p.needs, "");
}

static void test_machines(void **state)
{
        (void) state;
        assert_string_equal(machine_name_of(EM_X86_64, true, false), "x86_64");
        assert_string_equal(machine_name_of(EM_386, false, false), "i386");
        assert_string_equal(machine_name_of(EM_AARCH64, true, false), "aarch64");
        assert_string_equal(machine_name_of(EM_ARM, false, false), "arm");
        assert_string_equal(machine_name_of(EM_PPC64, true, false), "ppc64le");
        assert_string_equal(machine_name_of(EM_PPC64, true, true), "ppc64");
        assert_string_equal(machine_name_of(EM_S390, true, true), "s390x");
        assert_string_equal(machine_name_of(EM_MIPS, false, true), "mips");
        assert_null(machine_name_of(EM_S390, true, false));
        assert_null(machine_name_of(EM_VAX, false, false));
}

#define REGULAR .may_execute = true
#define ELF(number) .kind = PROGRAM_ELF, .machine = (number), .is_64 = true, REGULAR
#define OWN .kind = PROGRAM_ELF, .machine = OWN_MACHINE, .is_64 = sizeof(void *) == 8, REGULAR
#if defined(__x86_64__)
#define OWN_MACHINE EM_X86_64
#else
#define OWN_MACHINE EM_AARCH64
#endif

static void test_programs(void **state)
{
        static const struct {
                struct program p, other;
                int error;
                const char *words; /* NULL: nothing is known */
        } rows[] = {
                { { .kind = PROGRAM_MISSING }, { 0 }, -ENOENT, NULL },
                { { ELF(EM_RISCV) }, { 0 }, -ENOEXEC, "made for riscv64" },
                { { ELF(EM_RISCV) }, { 0 }, -ENOEXEC, "qemu-user for riscv64" },
                { { ELF(EM_RISCV) }, { 0 }, -ENOEXEC, "binfmt_misc" },
                { { ELF(EM_VAX) }, { 0 }, -ENOEXEC, "machine number 75" },
                { { ELF(EM_RISCV) }, { 0 }, -ENOENT, "flag F" },
                { { ELF(EM_RISCV), .needs = "/lib/ld.so" }, { 0 }, -ENOENT, "loader '/lib/ld.so'" },
                { { OWN, .needs = "/lib/ld.so" }, { 0 }, -ENOENT, "loader '/lib/ld.so'" },
                { { OWN, .needs = "/lib/ld.so", .has_needs = true }, { 0 }, -ENOENT, NULL },
                { { OWN }, { 0 }, -ENOENT, NULL },
                { { OWN }, { 0 }, -ENOEXEC, NULL },
                { { OWN }, { 0 }, -EACCES, NULL },
                { { OWN, .noexec = true }, { 0 }, -EACCES, "'noexec'" },
                { { OWN, .noexec = true }, { 0 }, -EPERM, NULL },
                { { .kind = PROGRAM_SECRET }, { 0 }, -EACCES, "chmod +x" },
                { { .kind = PROGRAM_OTHER }, { 0 }, -EACCES, "chmod +x" },
                { { .kind = PROGRAM_DIRECTORY }, { 0 }, -EACCES, "a directory" },
                { { .kind = PROGRAM_SPECIAL }, { 0 }, -EACCES, "not a regular file" },
                { { .kind = PROGRAM_EMPTY, REGULAR }, { 0 }, -ENOEXEC, "is empty" },
                { { .kind = PROGRAM_OTHER, REGULAR }, { 0 }, -ENOEXEC, "'#!'" },
                { { .kind = PROGRAM_SCRIPT, REGULAR, .needs = "/bin/perl" },
                  { 0 },
                  -ENOENT,
                  "script for '/bin/perl'" },
                { { .kind = PROGRAM_SCRIPT, REGULAR, .needs = "/bin/sh", .has_needs = true },
                  { ELF(EM_RISCV) },
                  -ENOEXEC,
                  "program '/bin/sh' is made for riscv64" },
                { { .kind = PROGRAM_SCRIPT, REGULAR, .needs = "/bin/sh", .has_needs = true },
                  { OWN, .needs = "/lib/ld.so" },
                  -ENOENT,
                  "loader '/lib/ld.so'" },
                { { .kind = PROGRAM_SCRIPT, .needs = "/bin/sh", .has_needs = true },
                  { OWN },
                  -EACCES,
                  "mode of '/usr/bin/x'" },
#if defined(__x86_64__)
                { { .kind = PROGRAM_ELF, .machine = EM_386, REGULAR }, { 0 }, -ENOEXEC, "32-bit" },
#endif
        };

        (void) state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                char text[EXPLAIN_MAX] = "?";

                program_explain("/usr/bin/x", &rows[i].p, &rows[i].other, rows[i].error, text);
                if (rows[i].words ? !strstr(text, rows[i].words) : text[0] != '\0')
                        fail_msg("row %zu: '%s'", i, text);
                /* It goes on behind a full stop, and ends with one. */
                if (text[0] && (text[0] != ' ' || text[1] < 'A' || text[1] > 'Z' ||
                                text[strlen(text) - 1] != '.'))
                        fail_msg("row %zu: '%s'", i, text);
        }
}

/* ---- namespaces -------------------------------------------------------------------------- */

static void test_namespaces(void **state)
{
        static const struct {
                struct namespace_kinds kinds;
                int error;
                const char *words; /* NULL: nothing */
        } rows[] = {
                { { .forbidden = CLONE_NEWUSER },
                  -ENOSPC,
                  "/proc/sys/user/max_user_namespaces is 0. Raise" },
                { { .forbidden = CLONE_NEWPID | CLONE_NEWNET }, -ENOSPC, "max_pid_namespaces" },
                { { .forbidden = CLONE_NEWNET }, -ENOSPC, "limits in /proc/sys/user/" },
                { { .missing = 0 }, -ENOSPC, "limits in /proc/sys/user/" },
                { { .missing = CLONE_NEWUSER }, -EINVAL, "no user namespaces (CONFIG_USER_NS)" },
                { { .missing = CLONE_NEWNET, .forbidden = CLONE_NEWUSER }, -EINVAL, NULL },
                { { .missing = 0 }, -EAGAIN, "limit of processes" },
                { { .missing = 0 }, -ENOMEM, NULL },
        };

        (void) state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                char text[EXPLAIN_MAX] = "?";

                namespaces_explain(&rows[i].kinds, CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWUSER,
                                   rows[i].error, text);
                if (rows[i].words ? !strstr(text, rows[i].words) : text[0] != '\0')
                        fail_msg("row %zu: '%s'", i, text);
                if (text[0] && (text[0] != ' ' || text[1] < 'A' || text[1] > 'Z' ||
                                text[strlen(text) - 1] != '.'))
                        fail_msg("row %zu: '%s'", i, text);
        }
}

static void test_storage(void **state)
{
        (void) state;
        assert_non_null(strstr(storage_hint(-ENOSPC), "full"));
        assert_non_null(strstr(storage_hint(-EDQUOT), "quota"));
        assert_non_null(strstr(storage_hint(-EROFS), "read-only"));
        assert_string_equal(storage_hint(-EACCES), "");
        assert_string_equal(storage_hint(0), "");
}

/* ---- who --------------------------------------------------------------------------------- */

static void test_machine_of_cgroup(void **state)
{
        static const struct {
                const char *text, *machine;
        } rows[] = {
                { "", "" },
                { "0::/\n", "" },
                { "0::/user.slice/session-1.scope\n", "" },
                { "0::/machine.slice/machine-web.scope/payload\n", "web" },
                { "0::/machine.slice/machine-web.scope", "web" },
                { "9:name=systemd:/machine-no.scope\n0::/machine.slice/machine-web.scope/payload\n",
                  "web" },
                { "0::/machine.slice/machine-my\\x2dweb.scope/payload\n", "my-web" },
                { "0::/machine.slice/machine-a\\x0ab\\xzz.scope\n", "" },
                { "0::/machine.slice/machine-a\\x2fb.scope\n", "" },
                { "0::/machine.slice/machine-a.scope/payload/machine-b.scope\n", "a" },
                { "0::/machine.slice/machine-\n1:x:/machine-web.scope\n", "" },
                { "0::/machine.slice/machine-a/b.scope\n", "" },
        };

        (void) state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                char machine[PROGRAM_NAME_MAX] = "?";

                machine_of_cgroup(rows[i].text, machine);
                assert_string_equal(machine, rows[i].machine);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_heads),    cmocka_unit_test(test_machines),
                cmocka_unit_test(test_programs), cmocka_unit_test(test_namespaces),
                cmocka_unit_test(test_storage),  cmocka_unit_test(test_machine_of_cgroup),
        };

        return cmocka_run_group_tests_name("explain", tests, NULL, NULL);
}
