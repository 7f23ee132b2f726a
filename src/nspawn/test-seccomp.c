/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/netlink.h>
#include <seccomp.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "basic/strv.h"
#include "nspawn/seccomp-build.h"
#include "nspawn/seccomp-groups.h"
#include "nspawn/seccomp.h"

#define ALLOW SECCOMP_RET_ALLOW
#define REFUSE(e) (SECCOMP_RET_ERRNO | (e))
#define TERMS(...) ((char *const[]){ (char[]){ __VA_ARGS__ }, NULL })
#define WITHOUT(cap) (SECCOMP_DEFAULT_CAPS & ~(UINT64_C(1) << (cap)))
#define WITH(cap) (SECCOMP_DEFAULT_CAPS | UINT64_C(1) << (cap))

/* What the kernel does with a program: enough of it for all that a filter may contain. */
static uint32_t interpret(const struct sock_filter *program, size_t n,
                          const struct seccomp_data *data)
{
        uint32_t a = 0;

        for (size_t at = 0; at < n; at++) {
                const struct sock_filter *f = &program[at];
                bool holds = false;

                switch (f->code) {
                case BPF_LD | BPF_W | BPF_ABS:
                        assert_true(f->k % 4 == 0 && f->k + 4 <= sizeof(*data));
                        memcpy(&a, (const char *) data + f->k, sizeof(a));
                        continue;
                case BPF_RET | BPF_K:
                        return f->k;
                case BPF_JMP | BPF_JA:
                        at += f->k;
                        continue;
                case BPF_JMP | BPF_JEQ | BPF_K:
                        holds = a == f->k;
                        break;
                case BPF_JMP | BPF_JGE | BPF_K:
                        holds = a >= f->k;
                        break;
                case BPF_JMP | BPF_JSET | BPF_K:
                        holds = (a & f->k) != 0;
                        break;
                case BPF_JMP | BPF_JGT | BPF_K:
                        holds = a > f->k;
                        break;
                default:
                        fail_msg("instruction %zu is unknown: 0x%x", at, f->code);
                }
                at += holds ? f->jt : f->jf;
        }
        fail_msg("the program runs over its end");
        return 0;
}

static uint32_t ask(const struct seccomp_program *p, uint32_t arch, uint32_t nr, uint64_t a0,
                    uint64_t a2)
{
        const struct seccomp_data data = { .arch = arch, .nr = (int) nr, .args = { a0, 3, a2 } };

        return interpret(p->filter, p->length, &data);
}

static void build(uint32_t native, uint64_t caps, char *const *terms, struct seccomp_program *ret)
{
        const struct seccomp_build_input input = { .native = native,
                                                   .retained_caps = caps,
                                                   .terms = terms };
        struct sock_filter *filter = NULL;

        *ret = (struct seccomp_program) SECCOMP_PROGRAM_NULL;
        assert_int_equal(seccomp_build(&input, &filter, &ret->length, &ret->unknown), 0);
        ret->filter = ret->owned = filter;
}

static void test_single_calls(void **state)
{
        enum { AMD64 = SCMP_ARCH_X86_64, I386 = SCMP_ARCH_X86, ARM64 = SCMP_ARCH_AARCH64 };
        static const struct {
                uint64_t caps;
                const char *terms[3];
                uint32_t arch, nr;
                uint64_t a0, a2;
                uint32_t expected;
        } rows[] = {
                { SECCOMP_DEFAULT_CAPS, { NULL }, AMD64, 250, 0, 0, REFUSE(EPERM) }, /* keyctl */
                { SECCOMP_DEFAULT_CAPS, { NULL }, AMD64, 999, 0, 0, REFUSE(ENOSYS) },
                { SECCOMP_DEFAULT_CAPS, { NULL }, AMD64, UINT32_MAX, 0, 0, REFUSE(ENOSYS) },
                { SECCOMP_DEFAULT_CAPS, { NULL }, AMD64, 0, 0, 0, ALLOW },           /* read */
                { SECCOMP_DEFAULT_CAPS, { NULL }, AMD64, 165, 0, 0, ALLOW },         /* mount */
                { SECCOMP_DEFAULT_CAPS, { NULL }, AMD64, 167, 0, 0, REFUSE(EPERM) }, /* swapon */
                { SECCOMP_DEFAULT_CAPS,
                  { NULL },
                  AMD64,
                  438,
                  0,
                  0,
                  REFUSE(EPERM) }, /* pidfd_getfd */
                /* socket */
                { SECCOMP_DEFAULT_CAPS, { NULL }, AMD64, 41, 16, 9, REFUSE(EAFNOSUPPORT) },
                { SECCOMP_DEFAULT_CAPS, { NULL }, AMD64, 41, 16, 0, ALLOW },
                { SECCOMP_DEFAULT_CAPS, { NULL }, AMD64, 41, 2, 9, ALLOW },
                { SECCOMP_DEFAULT_CAPS, { NULL }, AMD64, 41, 2, 0, ALLOW },
                /* The kernel takes an int: the upper half must not matter. */
                { SECCOMP_DEFAULT_CAPS,
                  { NULL },
                  AMD64,
                  41,
                  UINT64_C(0x100000010),
                  UINT64_C(0x500000009),
                  REFUSE(EAFNOSUPPORT) },
                { SECCOMP_DEFAULT_CAPS, { "~socket" }, AMD64, 41, 2, 0, REFUSE(EPERM) },
                { SECCOMP_DEFAULT_CAPS,
                  { "~@network-io" },
                  AMD64,
                  41,
                  16,
                  9,
                  REFUSE(EAFNOSUPPORT) },
                /* capabilities */
                { SECCOMP_DEFAULT_CAPS, { NULL }, AMD64, 169, 0, 0, ALLOW }, /* reboot */
                { WITHOUT(22), { NULL }, AMD64, 169, 0, 0, REFUSE(EPERM) },
                { WITHOUT(22), { "reboot" }, AMD64, 169, 0, 0, ALLOW },
                { WITHOUT(19), { NULL }, AMD64, 101, 0, 0, REFUSE(EPERM) }, /* ptrace */
                { WITHOUT(19), { NULL }, AMD64, 310, 0, 0, ALLOW }, /* process_vm_readv: @ipc */
                { SECCOMP_DEFAULT_CAPS, { NULL }, AMD64, 321, 0, 0, REFUSE(EPERM) }, /* bpf */
                { WITH(39), { NULL }, AMD64, 321, 0, 0, ALLOW },
                { WITH(25), { NULL }, AMD64, 227, 0, 0, ALLOW }, /* clock_settime */
                { WITH(16), { NULL }, AMD64, 175, 0, 0, ALLOW }, /* init_module */
                { WITH(16), { "~@module" }, AMD64, 175, 0, 0, REFUSE(EPERM) },
                /* terms */
                { SECCOMP_DEFAULT_CAPS, { "~mount" }, AMD64, 165, 0, 0, REFUSE(EPERM) },
                { SECCOMP_DEFAULT_CAPS, { "~mount" }, AMD64, 166, 0, 0, ALLOW }, /* umount2 */
                { SECCOMP_DEFAULT_CAPS, { "~umount2 mount" }, AMD64, 165, 0, 0, REFUSE(EPERM) },
                { SECCOMP_DEFAULT_CAPS, { "~ mount" }, AMD64, 165, 0, 0, REFUSE(EPERM) },
                { SECCOMP_DEFAULT_CAPS, { "~@mount" }, AMD64, 166, 0, 0, REFUSE(EPERM) },
                { SECCOMP_DEFAULT_CAPS, { "keyctl" }, AMD64, 250, 0, 0, ALLOW },
                { SECCOMP_DEFAULT_CAPS, { "add_key  keyctl" }, AMD64, 250, 0, 0, ALLOW },
                { SECCOMP_DEFAULT_CAPS, { "@keyring" }, AMD64, 250, 0, 0, ALLOW },
                { SECCOMP_DEFAULT_CAPS, { "@privileged" }, AMD64, 167, 0, 0, ALLOW }, /* nested */
                { SECCOMP_DEFAULT_CAPS, { "~keyctl", "keyctl" }, AMD64, 250, 0, 0, REFUSE(EPERM) },
                { SECCOMP_DEFAULT_CAPS,
                  { "@keyring", "~keyctl" },
                  AMD64,
                  250,
                  0,
                  0,
                  REFUSE(EPERM) },
                { SECCOMP_DEFAULT_CAPS, { "@known" }, AMD64, 250, 0, 0, ALLOW },
                { SECCOMP_DEFAULT_CAPS, { "@known" }, AMD64, 999, 0, 0, REFUSE(ENOSYS) },
                { SECCOMP_DEFAULT_CAPS,
                  { "@known", "~@keyring" },
                  AMD64,
                  250,
                  0,
                  0,
                  REFUSE(EPERM) },
                { SECCOMP_DEFAULT_CAPS, { "" }, AMD64, 250, 0, 0, REFUSE(EPERM) },
                { SECCOMP_DEFAULT_CAPS, { "~" }, AMD64, 0, 0, 0, ALLOW },
                /* i386 */
                { SECCOMP_DEFAULT_CAPS, { NULL }, I386, 288, 0, 0, REFUSE(EPERM) }, /* keyctl */
                { SECCOMP_DEFAULT_CAPS, { NULL }, I386, 999, 0, 0, REFUSE(ENOSYS) },
                { SECCOMP_DEFAULT_CAPS, { NULL }, I386, 3, 0, 0, ALLOW },  /* read */
                { SECCOMP_DEFAULT_CAPS, { NULL }, I386, 21, 0, 0, ALLOW }, /* mount */
                { SECCOMP_DEFAULT_CAPS, { "~mount" }, I386, 21, 0, 0, REFUSE(EPERM) },
                { SECCOMP_DEFAULT_CAPS, { NULL }, I386, 102, 1, 0, ALLOW },         /* socketcall */
                { SECCOMP_DEFAULT_CAPS, { NULL }, I386, 117, 0, 0, ALLOW },         /* ipc */
                { SECCOMP_DEFAULT_CAPS, { NULL }, I386, 123, 0, 0, REFUSE(EPERM) }, /* modify_ldt */
                { SECCOMP_DEFAULT_CAPS, { NULL }, I386, 359, 16, 9, REFUSE(EAFNOSUPPORT) },
                { SECCOMP_DEFAULT_CAPS, { NULL }, I386, 359, 16, 0, ALLOW }, /* socket */
                { SECCOMP_DEFAULT_CAPS, { NULL }, I386, 362, 0, 0, ALLOW },  /* connect, directly */
                { SECCOMP_DEFAULT_CAPS, { NULL }, I386, 395, 0, 0, ALLOW },  /* shmget, directly */
                { SECCOMP_DEFAULT_CAPS, { "~connect" }, I386, 362, 0, 0, REFUSE(EPERM) },
                { SECCOMP_DEFAULT_CAPS, { NULL }, I386, 403, 0, 0, ALLOW }, /* clock_gettime64 */
                /* x32: with the bit; some numbers are its own */
                { SECCOMP_DEFAULT_CAPS, { NULL }, AMD64, 0x40000000 + 250, 0, 0, REFUSE(EPERM) },
                { SECCOMP_DEFAULT_CAPS, { NULL }, AMD64, 0x40000000 + 999, 0, 0, REFUSE(ENOSYS) },
                { SECCOMP_DEFAULT_CAPS, { NULL }, AMD64, 0x40000000, 0, 0, ALLOW },
                { SECCOMP_DEFAULT_CAPS,
                  { NULL },
                  AMD64,
                  0x40000000 + 520,
                  0,
                  0,
                  ALLOW }, /* execve */
                { SECCOMP_DEFAULT_CAPS, { NULL }, AMD64, 520, 0, 0, REFUSE(ENOSYS) },
                { SECCOMP_DEFAULT_CAPS,
                  { NULL },
                  AMD64,
                  0x40000000 + 41,
                  16,
                  9,
                  REFUSE(EAFNOSUPPORT) },
                { SECCOMP_DEFAULT_CAPS,
                  { "~mount" },
                  AMD64,
                  0x40000000 + 165,
                  0,
                  0,
                  REFUSE(EPERM) },
                /* an architecture that the host does not have */
                { SECCOMP_DEFAULT_CAPS, { NULL }, ARM64, 999, 0, 0, ALLOW },
        };

        (void) state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                struct seccomp_program p CLEANUP_SECCOMP_PROGRAM = SECCOMP_PROGRAM_NULL;
                char **terms CLEANUP_STRV = NULL;
                uint32_t got;

                for (size_t t = 0; rows[i].terms[t]; t++)
                        assert_int_equal(strv_add(&terms, rows[i].terms[t]), 0);
                build(SCMP_ARCH_X86_64, rows[i].caps, terms, &p);
                got = ask(&p, rows[i].arch, rows[i].nr, rows[i].a0, rows[i].a2);
                if (got != rows[i].expected)
                        fail_msg("row %zu: call %u of 0x%x with '%s': 0x%x, not 0x%x", i,
                                 rows[i].nr, rows[i].arch, terms ? terms[0] : "", got,
                                 rows[i].expected);
        }
}

static void build_input(const struct seccomp_build_input *input, struct seccomp_program *ret)
{
        struct sock_filter *filter = NULL;

        *ret = (struct seccomp_program) SECCOMP_PROGRAM_NULL;
        assert_int_equal(seccomp_build(input, &filter, &ret->length, &ret->unknown), 0);
        ret->filter = ret->owned = filter;
}

static void test_suppress_sync(void **state)
{
        enum { AMD64 = SCMP_ARCH_X86_64, I386 = SCMP_ARCH_X86, MIPS = SCMP_ARCH_MIPSEL64 };
        static const struct {
                uint32_t native, arch, nr;
                uint64_t a1, a2;
                const char *term;
                uint32_t expected;
        } rows[] = {
                { AMD64, AMD64, 74, 0, 0, NULL, REFUSE(0) },  /* fsync */
                { AMD64, AMD64, 75, 0, 0, NULL, REFUSE(0) },  /* fdatasync */
                { AMD64, AMD64, 26, 0, 0, NULL, REFUSE(0) },  /* msync */
                { AMD64, AMD64, 162, 0, 0, NULL, REFUSE(0) }, /* sync */
                { AMD64, AMD64, 277, 0, 0, NULL, REFUSE(0) }, /* sync_file_range */
                { AMD64, AMD64, 306, 0, 0, NULL, REFUSE(0) }, /* syncfs */
                { AMD64, AMD64, 74, 0, 0, "~fsync", REFUSE(EPERM) },
                { AMD64, AMD64, 75, 0, 0, "~fsync", REFUSE(0) },
                { AMD64, AMD64, 0, 0, 0, NULL, ALLOW },
                { AMD64, AMD64, 2, 010001, 0, NULL, REFUSE(EINVAL) }, /* open */
                { AMD64, AMD64, 2, 04010001, 0, NULL, REFUSE(EINVAL) },
                { AMD64, AMD64, 2, 0101, 010000, NULL, ALLOW },
                { AMD64, AMD64, 2, 010001, 0, "~open", REFUSE(EPERM) },
                { AMD64, AMD64, 257, 010000, 010001, NULL, REFUSE(EINVAL) }, /* openat */
                { AMD64, AMD64, 257, 010000, 0101, NULL, ALLOW },
                /* The upper half is not the kernel's. */
                { AMD64, AMD64, 257, 0, UINT64_C(0x100000000), NULL, ALLOW },
                { AMD64, AMD64, 437, 0, 0, NULL, REFUSE(ENOSYS) }, /* openat2 */
                { AMD64, AMD64, 437, 0, 0, "~openat2", REFUSE(EPERM) },
                { AMD64, AMD64, 41, 0, 9, NULL, ALLOW }, /* socket */
                { AMD64, AMD64, 0x40000000 + 74, 0, 0, NULL, REFUSE(0) },
                { AMD64, AMD64, 0x40000000 + 2, 010000, 0, NULL, REFUSE(EINVAL) },
                { AMD64, I386, 118, 0, 0, NULL, REFUSE(0) }, /* fsync */
                { AMD64, I386, 5, 010000, 0, NULL, REFUSE(EINVAL) },
                { AMD64, I386, 295, 0, 010000, NULL, REFUSE(EINVAL) },
                { MIPS, MIPS, 5002, 0x10, 0, NULL, REFUSE(EINVAL) },
                { MIPS, MIPS, 5002, 010000, 0, NULL, ALLOW },
        };

        (void) state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                struct seccomp_program p CLEANUP_SECCOMP_PROGRAM = SECCOMP_PROGRAM_NULL;
                char *const terms[] = { (char *) rows[i].term, NULL };
                const struct seccomp_build_input input = { .native = rows[i].native,
                                                           .retained_caps = SECCOMP_DEFAULT_CAPS,
                                                           .terms = terms,
                                                           .suppress_sync = true };
                const struct seccomp_data data = { .arch = rows[i].arch,
                                                   .nr = (int) rows[i].nr,
                                                   .args = { 0, rows[i].a1, rows[i].a2 } };

                build_input(&input, &p);
                if (interpret(p.filter, p.length, &data) != rows[i].expected)
                        fail_msg("row %zu: 0x%x", i, interpret(p.filter, p.length, &data));
        }
}

static void test_families(void **state)
{
        static const struct {
                const char *words[4];
                const char *allowed; /* of those in the list below; "all": all */
        } rows[] = {
                { { "AF_UNIX" }, " AF_UNIX" },
                { { "AF_INET", "AF_INET6" }, " AF_INET AF_INET6" },
                { { "AF_INET", "AF_NETLINK", "~AF_INET" }, " AF_NETLINK" },
                { { "~AF_INET", "AF_INET" }, "" },
                { { "~AF_NETLINK", "~AF_PACKET" }, " AF_UNSPEC AF_UNIX AF_INET AF_INET6 AF_VSOCK" },
                { { "AF_LOCAL", "AF_ROUTE" }, " AF_UNIX AF_NETLINK" },
                { { NULL }, " AF_UNSPEC AF_UNIX AF_INET AF_INET6 AF_NETLINK AF_PACKET AF_VSOCK" },
        };
        static const char *const asked[] = { "AF_UNSPEC",  "AF_UNIX",   "AF_INET", "AF_INET6",
                                             "AF_NETLINK", "AF_PACKET", "AF_VSOCK" };

        (void) state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                struct seccomp_program p CLEANUP_SECCOMP_PROGRAM = SECCOMP_PROGRAM_NULL;
                struct seccomp_build_input input = { .native = SCMP_ARCH_X86_64,
                                                     .retained_caps = SECCOMP_DEFAULT_CAPS };
                struct strbuf allowed CLEANUP_STRBUF = STRBUF_NULL;
                bool restricts = rows[i].words[0] != NULL, only = false;

                for (size_t k = 0; rows[i].words[k]; k++) {
                        assert_int_equal(family_set_add(&input.families, rows[i].words[k]), 0);
                        only |= rows[i].words[k][0] != '~';
                }
                build_input(&input, &p);
                for (size_t k = 0; k < ARRAY_SIZE(asked); k++) {
                        uint64_t family = (uint64_t) family_from_name(asked[k]);
                        uint32_t answer = ask(&p, SCMP_ARCH_X86_64, 41, family, 0);

                        assert_int_equal(answer, ask(&p, SCMP_ARCH_X86, 359, family, 0));
                        /* The kernel takes an int. */
                        assert_int_equal(answer, ask(&p, SCMP_ARCH_X86_64, 41,
                                                     family | UINT64_C(7) << 32, 0));
                        if (answer == ALLOW)
                                strbuf_addf(&allowed, " %s", asked[k]);
                        else
                                assert_int_equal(answer, REFUSE(EAFNOSUPPORT));
                }
                assert_string_equal(strbuf_text(&allowed), rows[i].allowed);
                assert_int_equal(ask(&p, SCMP_ARCH_X86_64, 41, AF_NETLINK, NETLINK_AUDIT),
                                 REFUSE(EAFNOSUPPORT));
                assert_int_equal(ask(&p, SCMP_ARCH_X86_64, 41, 4711, 0),
                                 only ? REFUSE(EAFNOSUPPORT) : ALLOW);
                assert_int_equal(ask(&p, SCMP_ARCH_X86, 102, 1, 0),
                                 restricts ? REFUSE(EAFNOSUPPORT) : ALLOW); /* socketcall */
                assert_int_equal(ask(&p, SCMP_ARCH_X86, 102, 3, 0), ALLOW);
                assert_int_equal(ask(&p, SCMP_ARCH_X86_64, 425, 0, 0),
                                 restricts ? REFUSE(EPERM) : ALLOW); /* io_uring_setup */
                assert_int_equal(ask(&p, SCMP_ARCH_X86_64, 53, AF_UNIX, 0), ALLOW);
        }
}

/* All families but one, however far the program has to jump for them. */
static void test_many_families(void **state)
{
        (void) state;
        for (size_t but = 0; family_name(but); but++) {
                unsigned one = (unsigned) family_from_name(family_name(but));

                for (int deny = 0; deny < 2; deny++) {
                        struct seccomp_program p CLEANUP_SECCOMP_PROGRAM = SECCOMP_PROGRAM_NULL;
                        struct seccomp_build_input input = {
                                .native = SCMP_ARCH_X86_64,
                                .retained_caps = SECCOMP_DEFAULT_CAPS,
                                .suppress_sync = true,
                        };
                        char word[32];

                        for (size_t i = 0; family_name(i); i++) {
                                (void) snprintf(word, sizeof(word), "%s%s", deny ? "~" : "",
                                                family_name(i));
                                if (family_from_name(family_name(i)) != (int) one)
                                        assert_int_equal(family_set_add(&input.families, word), 0);
                        }
                        build_input(&input, &p);
                        for (unsigned family = 0; family < FAMILIES_MAX; family++) {
                                bool named = family != one && (deny ? input.families.denied
                                                                    : input.families.allowed) >>
                                                                              family &
                                                                      1;
                                uint32_t expected =
                                        named != (deny == 1) ? ALLOW : REFUSE(EAFNOSUPPORT);

                                if (ask(&p, SCMP_ARCH_X86, 359, family, 0) != expected ||
                                    ask(&p, SCMP_ARCH_X86_64, 41, family, 0) != expected)
                                        fail_msg("but %s, %d: family %u", family_name(but), deny,
                                                 family);
                        }
                }
        }
}

/* A denied socket() stays denied, with its own error. */
static void test_families_and_terms(void **state)
{
        struct seccomp_program p CLEANUP_SECCOMP_PROGRAM = SECCOMP_PROGRAM_NULL;
        struct seccomp_build_input input = { .native = SCMP_ARCH_X86_64,
                                             .retained_caps = SECCOMP_DEFAULT_CAPS,
                                             .terms = TERMS("~socket"),
                                             .suppress_sync = true };

        (void) state;
        assert_int_equal(family_set_add(&input.families, "AF_INET"), 0);
        build_input(&input, &p);
        assert_int_equal(ask(&p, SCMP_ARCH_X86_64, 41, AF_INET, 0), REFUSE(EPERM));
        assert_int_equal(ask(&p, SCMP_ARCH_X86_64, 41, AF_UNIX, 0), REFUSE(EPERM));
        assert_int_equal(ask(&p, SCMP_ARCH_X86_64, 74, 0, 0), REFUSE(0));
}

static void test_family_names(void **state)
{
        static const char *const bad[] = { "",     "~",        "AF_",       "AF_FOO", "af_inet",
                                           "INET", "AF_INET ", "~~AF_INET", "AF_MAX", "none" };
        struct family_set set = { .allowed = 0 };

        (void) state;
        for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
                if (family_set_add(&set, bad[i]) != -EINVAL)
                        fail_msg("'%s'", bad[i]);
        assert_false(set.restricts);
        assert_true(family_set_allows(&set, AF_INET) && family_set_allows(&set, 4711));
        for (size_t i = 0; family_name(i); i++)
                assert_true(family_from_name(family_name(i)) >= 0 &&
                            family_from_name(family_name(i)) < FAMILIES_MAX);
        assert_int_equal(family_from_name("AF_VSOCK"), AF_VSOCK);
}

static bool list_has(uint32_t names, const char *list, uint32_t nr, const char *name)
{
        char word[SECCOMP_WORD_MAX];

        while (seccomp_next_word(&list, word)) {
                const char *members = seccomp_group_members(word);

                /* By number too: a call may have two names. */
                if (members ? list_has(names, members, nr, name)
                            : (name && streq(word, name)) ||
                                      (uint32_t) seccomp_syscall_resolve_name_arch(names, word) ==
                                              nr)
                        return true;
        }
        return false;
}

/* Every number of every architecture, against the lists: the search tree has no gap. */
static void test_all_numbers(void **state)
{
        static const struct {
                uint32_t native, audit, names, first, count;
        } rows[] = {
                { SCMP_ARCH_X86_64, SCMP_ARCH_X86_64, SCMP_ARCH_X86_64, 0, 1100 },
                { SCMP_ARCH_X86_64, SCMP_ARCH_X86_64, SCMP_ARCH_X32, 0x40000000, 1100 },
                { SCMP_ARCH_X86_64, SCMP_ARCH_X86, SCMP_ARCH_X86, 0, 1100 },
                { SCMP_ARCH_AARCH64, SCMP_ARCH_AARCH64, SCMP_ARCH_AARCH64, 0, 1100 },
                { SCMP_ARCH_AARCH64, SCMP_ARCH_ARM, SCMP_ARCH_ARM, 0, 1100 },
                { SCMP_ARCH_AARCH64, SCMP_ARCH_ARM, SCMP_ARCH_ARM, 0xf0000, 32 },
                { SCMP_ARCH_RISCV64, SCMP_ARCH_RISCV64, SCMP_ARCH_RISCV64, 0, 1100 },
                { SCMP_ARCH_PPC64LE, SCMP_ARCH_PPC64LE, SCMP_ARCH_PPC64LE, 0, 1100 },
                { SCMP_ARCH_S390X, SCMP_ARCH_S390X, SCMP_ARCH_S390X, 0, 1100 },
                { SCMP_ARCH_S390X, SCMP_ARCH_S390, SCMP_ARCH_S390, 0, 1100 },
                { SCMP_ARCH_MIPSEL64, SCMP_ARCH_MIPSEL64, SCMP_ARCH_MIPSEL64, 4900, 1100 },
        };

        (void) state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                struct seccomp_program p CLEANUP_SECCOMP_PROGRAM = SECCOMP_PROGRAM_NULL;

                build(rows[i].native, SECCOMP_DEFAULT_CAPS, NULL, &p);
                for (uint32_t nr = rows[i].first; nr < rows[i].first + rows[i].count; nr++) {
                        char *name CLEANUP_FREE =
                                seccomp_syscall_resolve_num_arch(rows[i].names, (int) nr);
                        bool allowed =
                                list_has(rows[i].names, seccomp_default_members(), nr, name) ||
                                list_has(rows[i].names, "reboot ptrace vhangup", nr, name);
                        uint32_t expected = allowed ? ALLOW : name ? REFUSE(EPERM) : REFUSE(ENOSYS);

                        if (ask(&p, rows[i].audit, nr, AF_INET, 0) != expected)
                                fail_msg("row %zu: call %u (%s) is wrong", i, nr,
                                         name ? name : "none");
                }
        }
}

static void test_socket_big_endian(void **state)
{
        struct seccomp_program p CLEANUP_SECCOMP_PROGRAM = SECCOMP_PROGRAM_NULL;
        uint32_t nr = 359; /* socket */

        (void) state;
        build(SCMP_ARCH_S390X, SECCOMP_DEFAULT_CAPS, NULL, &p);
        /* The int is in the half with the higher address; this host may have it in the other. */
        assert_int_equal(ask(&p, SCMP_ARCH_S390X, nr, UINT64_C(16) << 32, UINT64_C(9) << 32),
                         __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? REFUSE(EAFNOSUPPORT) : ALLOW);
}

static void test_unknown_words(void **state)
{
        char *const terms[] = { (char[]){ "nosuch mount @nosuch" }, (char[]){ "~nosuch other" },
                                (char[]){ "@known" }, NULL };
        struct seccomp_program p CLEANUP_SECCOMP_PROGRAM = SECCOMP_PROGRAM_NULL;

        (void) state;
        build(SCMP_ARCH_X86_64, SECCOMP_DEFAULT_CAPS, terms, &p);
        assert_int_equal(strv_length(p.unknown), 3);
        assert_string_equal(p.unknown[0], "nosuch");
        assert_string_equal(p.unknown[1], "@nosuch");
        assert_string_equal(p.unknown[2], "other");
}

static void check_words(const char *list)
{
        char word[SECCOMP_WORD_MAX];

        while (seccomp_next_word(&list, word)) {
                assert_true(strlen(word) < SECCOMP_WORD_MAX - 1);
                if (word[0] == '@' && !seccomp_group_members(word))
                        fail_msg("there is no group '%s'", word);
        }
}

static void test_tables(void **state)
{
        uint64_t conditional = 0;
        struct seccomp_program p CLEANUP_SECCOMP_PROGRAM = SECCOMP_PROGRAM_NULL;

        (void) state;
        for (size_t i = 0; seccomp_group_name(i); i++)
                check_words(seccomp_group_members(seccomp_group_name(i)));
        check_words(seccomp_default_members());
        for (unsigned i = 0; i < 64; i++)
                if (seccomp_capability_members(i)) {
                        check_words(seccomp_capability_members(i));
                        conditional |= UINT64_C(1) << i;
                }
        assert_true(conditional == SECCOMP_CONDITIONAL_CAPS);

        build(0, SECCOMP_DEFAULT_CAPS, NULL, &p);
        assert_int_equal(p.length, seccomp_default_length);
        assert_memory_equal(p.filter, seccomp_default_program, p.length * sizeof(*p.filter));
        assert_true(p.length < 400); /* each start pays for every instruction */
}

static void test_spec(void **state)
{
        static const struct {
                uint64_t caps;
                const char *term;
                bool is_default;
                const char *text;
        } rows[] = {
                { SECCOMP_DEFAULT_CAPS, NULL, true, "default" },
                { 0xfdecbfff, NULL, true, "default" }, /* + NET_ADMIN */
                { 0xfdecabff, NULL, true, "default" }, /* - NET_BIND_SERVICE */
                { WITHOUT(22), NULL, false, "custom, for capabilities 0xfdacafff" },
                { UINT64_MAX, NULL, false, "custom, for capabilities 0xffffffffffffffff" },
                { SECCOMP_DEFAULT_CAPS, "~mount", false,
                  "custom, for capabilities 0xfdecafff; deny mount" },
                { SECCOMP_DEFAULT_CAPS, "a b", false,
                  "custom, for capabilities 0xfdecafff; allow a b" },
        };

        (void) state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                struct strbuf text CLEANUP_STRBUF = STRBUF_NULL;
                char **terms CLEANUP_STRV = NULL;
                struct seccomp_spec spec = { .retained_caps = rows[i].caps };

                if (rows[i].term)
                        assert_int_equal(strv_add(&terms, rows[i].term), 0);
                spec.terms = terms;
                assert_int_equal(seccomp_spec_is_default(&spec), rows[i].is_default);
                seccomp_describe(&spec, &text);
                assert_string_equal(strbuf_text(&text), rows[i].text);
        }
}

/* The helper of the build tree, with a cache of its own. */
struct fixture {
        char directory[32], cache[40], helper[4096];
        struct seccomp_places places;
        struct failure failure;
};

static int set_up(void **state)
{
        struct fixture *f = calloc(1, sizeof(*f));

        assert_non_null(f);
        (void) snprintf(f->directory, sizeof(f->directory), "/tmp/test-seccomp-XXXXXX");
        assert_non_null(mkdtemp(f->directory));
        (void) snprintf(f->cache, sizeof(f->cache), "%s/cache", f->directory);
        (void) snprintf(f->helper, sizeof(f->helper), "%s/seccomp-compile", HELPER_DIR);
        f->places = (struct seccomp_places){ f->helper, f->cache, geteuid() };
        *state = f;
        return 0;
}

static int tear_down(void **state)
{
        struct fixture *f = *state;
        char *argv[] = { (char[]){ "rm" }, (char[]){ "-rf" }, f->directory, NULL };
        pid_t pid = fork();

        if (pid == 0) {
                execvp(argv[0], argv);
                _exit(127);
        }
        (void) waitpid(pid, NULL, 0);
        free(f);
        return 0;
}

static void get(struct fixture *f, const char *term, struct seccomp_program *ret)
{
        char *const terms[] = { (char *) (uintptr_t) term, NULL };
        const struct seccomp_spec spec = { .retained_caps = SECCOMP_DEFAULT_CAPS, .terms = terms };

        assert_int_equal(seccomp_program_get_at(&f->places, &spec, ret, &f->failure), 0);
}

/* How many files the cache has; the path of one of them. */
static size_t list_cache(const struct fixture *f, char path[PATH_MAX])
{
        DIR *directory = opendir(f->cache);
        size_t n = 0;

        for (struct dirent *d; directory && (d = readdir(directory));)
                if (!streq(d->d_name, ".") && !streq(d->d_name, "..")) {
                        (void) snprintf(path, PATH_MAX, "%s/%s", f->cache, d->d_name);
                        n++;
                }
        if (directory)
                (void) closedir(directory);
        return n;
}

static void test_default_needs_nothing(void **state)
{
        struct fixture *f = *state;
        const struct seccomp_spec spec = { .retained_caps = SECCOMP_DEFAULT_CAPS };
        struct seccomp_program p CLEANUP_SECCOMP_PROGRAM = SECCOMP_PROGRAM_NULL;

        f->places.helper = "/nonexistent";
        assert_int_equal(seccomp_program_get_at(&f->places, &spec, &p, &f->failure), 0);
        assert_ptr_equal(p.filter, seccomp_default_program);
        assert_null(p.owned);
}

static void test_helper_and_cache(void **state)
{
        struct fixture *f = *state;
        struct seccomp_program expected CLEANUP_SECCOMP_PROGRAM = SECCOMP_PROGRAM_NULL;
        char path[PATH_MAX] = "";
        int fd;

        build(0, SECCOMP_DEFAULT_CAPS, TERMS("~mount"), &expected);
        for (int pass = 0; pass < 3; pass++) {
                struct seccomp_program p CLEANUP_SECCOMP_PROGRAM = SECCOMP_PROGRAM_NULL;

                get(f, "~mount", &p);
                assert_int_equal(p.length, expected.length);
                assert_memory_equal(p.filter, expected.filter, p.length * sizeof(*p.filter));
                assert_null(p.unknown);
                assert_int_equal(list_cache(f, path), 1);
                /* The last pass finds one that others can write to, and does not use it. */
                if (pass == 1) {
                        fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);
                        assert_true(fd >= 0);
                        assert_int_equal(write(fd, "12345678", 8), 8);
                        assert_int_equal(fchmod(fd, 0666), 0);
                        (void) close(fd);
                }
        }
}

static void test_cache_is_used_and_checked(void **state)
{
        static const struct {
                size_t size;
                mode_t mode, directory_mode;
                bool used;
        } rows[] = {
                { 16, 0600, 0700, true },  { 16, 0644, 0755, true },
                { 16, 0620, 0700, false }, { 16, 0602, 0700, false },
                { 16, 0600, 0770, false }, { 15, 0600, 0700, false },
                { 0, 0600, 0700, false },  { 8 * 4097, 0600, 0700, false },
        };
        struct fixture *f = *state;
        static const char bytes[8 * 4097];

        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                struct seccomp_program p CLEANUP_SECCOMP_PROGRAM = SECCOMP_PROGRAM_NULL;
                struct seccomp_program again CLEANUP_SECCOMP_PROGRAM = SECCOMP_PROGRAM_NULL;
                char path[PATH_MAX] = "";
                int fd;

                get(f, "keyctl", &p);
                assert_int_equal(list_cache(f, path), 1);
                fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);
                assert_true(fd >= 0);
                assert_int_equal(write(fd, bytes, rows[i].size), rows[i].size);
                assert_int_equal(fchmod(fd, rows[i].mode), 0);
                (void) close(fd);
                assert_int_equal(chmod(f->cache, rows[i].directory_mode), 0);
                get(f, "keyctl", &again);
                if ((again.length == 2) != rows[i].used)
                        fail_msg("row %zu: %u instructions", i, again.length);
                assert_int_equal(chmod(f->cache, 0700), 0);
                assert_int_equal(unlink(path), 0);
        }
}

static void test_unknown_is_reported_each_time(void **state)
{
        struct fixture *f = *state;
        char path[PATH_MAX];

        for (int pass = 0; pass < 2; pass++) {
                struct seccomp_program p CLEANUP_SECCOMP_PROGRAM = SECCOMP_PROGRAM_NULL;

                get(f, "~nosuch @bad", &p);
                assert_int_equal(strv_length(p.unknown), 2);
                assert_string_equal(p.unknown[0], "nosuch");
                assert_string_equal(p.unknown[1], "@bad");
                assert_int_equal(list_cache(f, path), 0);
        }
}

static void test_helper_fails(void **state)
{
        static const struct {
                const char *helper;
                int r;
        } rows[] = {
                { "/nonexistent", -ENOENT },
                { "/bin/false", -EPROTO },
                { "/bin/true", -EPROTO },   /* writes nothing */
                { "/etc/passwd", -EPROTO }, /* cannot be run */
        };
        struct fixture *f = *state;
        const struct seccomp_spec spec = { .retained_caps = SECCOMP_DEFAULT_CAPS,
                                           .terms = TERMS("keyctl") };

        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                struct seccomp_program p = SECCOMP_PROGRAM_NULL;
                struct failure failure = { .error = 0 };

                f->places.helper = rows[i].helper;
                assert_int_equal(seccomp_program_get_at(&f->places, &spec, &p, &failure),
                                 rows[i].r);
                assert_int_equal(failure.error, rows[i].r);
                assert_non_null(strstr(failure.text, rows[i].helper));
                assert_null(p.filter);
        }
}

static void test_without_cache(void **state)
{
        struct fixture *f = *state;
        struct seccomp_program p CLEANUP_SECCOMP_PROGRAM = SECCOMP_PROGRAM_NULL;

        f->places.cache = "/dev/null/nowhere";
        get(f, "keyctl", &p);
        assert_true(p.length > 100);
}

static int errno_of(long r)
{
        return r < 0 ? errno : 0;
}

/* The kernel's view, and not only ours. Without new privileges, so that anybody may. */
static void test_kernel(void **state)
{
        const struct seccomp_program p = { .filter = seccomp_default_program,
                                           .length = seccomp_default_length };
        int status = -1;
        pid_t pid = fork();

        (void) state;
        assert_true(pid >= 0);
        if (pid == 0) {
                int r;

                (void) prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
                r = seccomp_program_install(&p, false);
                if (r < 0)
                        _exit(r == -ENOSYS || r == -EINVAL ? 77 : 1);
                _exit(errno_of(syscall(999)) != ENOSYS                                        ? 2
                      : errno_of(syscall(SYS_keyctl, 0, 0, 0)) != EPERM                       ? 3
                      : errno_of(socket(AF_NETLINK, SOCK_RAW, NETLINK_AUDIT)) != EAFNOSUPPORT ? 4
                      : errno_of(socket(AF_UNIX, SOCK_STREAM, 0)) != 0                        ? 5
                      : errno_of(socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE)) != 0            ? 6
                                                                                              : 0);
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFEXITED(status));
        if (WEXITSTATUS(status) == 77)
                skip();
        assert_int_equal(WEXITSTATUS(status), 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_single_calls),
                cmocka_unit_test(test_suppress_sync),
                cmocka_unit_test(test_families),
                cmocka_unit_test(test_many_families),
                cmocka_unit_test(test_families_and_terms),
                cmocka_unit_test(test_family_names),
                cmocka_unit_test(test_all_numbers),
                cmocka_unit_test(test_socket_big_endian),
                cmocka_unit_test(test_unknown_words),
                cmocka_unit_test(test_tables),
                cmocka_unit_test(test_spec),
                cmocka_unit_test_setup_teardown(test_default_needs_nothing, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_helper_and_cache, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_cache_is_used_and_checked, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_unknown_is_reported_each_time, set_up,
                                                tear_down),
                cmocka_unit_test_setup_teardown(test_helper_fails, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_without_cache, set_up, tear_down),
                cmocka_unit_test(test_kernel),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
