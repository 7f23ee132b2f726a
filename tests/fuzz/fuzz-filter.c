/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <seccomp.h>

#include "basic/strv.h"
#include "fuzz.h"
#include "nspawn/seccomp-build.h"
#include "nspawn/seccomp-groups.h"

/*
 * The first eight bytes are the capabilities, of which the highest bit chooses the architecture and
 * the next one whether syncs are suppressed; each line behind them is a family of addresses, or else
 * a term of the system call filter. The program has to be one that the kernel takes, and has to do
 * what the terms say.
 */

static size_t target_of(const struct sock_filter *program, size_t at, uint32_t value)
{
        const struct sock_filter *f = &program[at];

        switch (f->code) {
        case BPF_JMP | BPF_JA:
                return at + 1 + f->k;
        case BPF_JMP | BPF_JEQ | BPF_K:
                return at + 1 + (value == f->k ? f->jt : f->jf);
        case BPF_JMP | BPF_JGE | BPF_K:
                return at + 1 + (value >= f->k ? f->jt : f->jf);
        case BPF_JMP | BPF_JSET | BPF_K:
                return at + 1 + (value & f->k ? f->jt : f->jf);
        case BPF_JMP | BPF_JGT | BPF_K:
                return at + 1 + (value > f->k ? f->jt : f->jf);
        default:
                FUZZ_CHECK(f->code == (BPF_LD | BPF_W | BPF_ABS));
                return at + 1;
        }
}

static uint32_t verdict(const struct sock_filter *program, size_t n, const struct seccomp_data *d)
{
        uint32_t value = 0;

        for (size_t at = 0; at < n; at = target_of(program, at, value)) {
                const struct sock_filter *f = &program[at];

                if (f->code == (BPF_RET | BPF_K))
                        return f->k;
                if (BPF_CLASS(f->code) != BPF_LD)
                        continue;
                FUZZ_CHECK(f->k % 4 == 0 && f->k + 4 <= sizeof(*d));
                memcpy(&value, (const char *) d + f->k, sizeof(value));
        }
        FUZZ_CHECK(!"the program has an end");
        return 0;
}

/* A call that a term denies by its name is denied, whatever the other terms say. */
static void try_denied(const struct seccomp_build_input *input, const struct sock_filter *program,
                       size_t n)
{
        char word[SECCOMP_WORD_MAX];

        STRV_FOREACH(term, input->terms)
        {
                const char *words = *term + 1;

                while ((*term)[0] == '~' && seccomp_next_word(&words, word)) {
                        struct seccomp_data data = { .arch = input->native };

                        data.nr = seccomp_syscall_resolve_name_arch(input->native, word);
                        if (data.nr >= 0)
                                FUZZ_CHECK(verdict(program, n, &data) ==
                                           (SECCOMP_RET_ERRNO | EPERM));
                }
        }
}

/* No family gets through that is not allowed; others as without families. */
static void try_families(const struct seccomp_build_input *input, const struct sock_filter *program,
                         size_t n)
{
        struct seccomp_data data = { .arch = input->native };

        data.nr = seccomp_syscall_resolve_name_arch(input->native, "socket");
        for (unsigned family = 0; family < FAMILIES_MAX + 1; family++) {
                uint32_t answer;

                data.args[0] = family;
                answer = verdict(program, n, &data);
                FUZZ_CHECK(answer == SECCOMP_RET_ALLOW
                                   ? family_set_allows(&input->families, family)
                                   : answer == (SECCOMP_RET_ERRNO | EPERM) ||
                                             !family_set_allows(&input->families, family));
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct seccomp_build_input input = { .native = SCMP_ARCH_X86_64 };
        size_t n = MIN_OF(size, sizeof(input.retained_caps));
        char *text CLEANUP_FREE = fuzz_text(data + n, size - n);
        char **lines CLEANUP_STRV = NULL, **terms CLEANUP_STRV = NULL;
        char **unknown CLEANUP_STRV = NULL;
        struct sock_filter *program CLEANUP_FREE = NULL;
        unsigned short length = 0;
        int r;

        if (n > 0)
                memcpy(&input.retained_caps, data, n);
        FUZZ_CHECK(strv_split(text, "\n", &lines) == 0);
        STRV_FOREACH(line, lines)
        if (family_set_add(&input.families, *line) < 0)
                FUZZ_CHECK(strv_add(&terms, *line) == 0);
        input.terms = terms;
        input.suppress_sync = input.retained_caps >> 62 & 1;
        if (input.retained_caps >> 63)
                input.native = SCMP_ARCH_AARCH64;
        r = seccomp_build(&input, &program, &length, &unknown);
        FUZZ_CHECK(r == 0 || r == -E2BIG);
        if (r < 0)
                return 0;
        FUZZ_CHECK(length > 0 && length <= BPF_MAXINSNS);
        for (int nr = -1; nr < 512; nr++) {
                const struct seccomp_data call = { .arch = input.native, .nr = nr };
                uint32_t answer = verdict(program, length, &call);

                FUZZ_CHECK(answer == SECCOMP_RET_ALLOW || answer == (SECCOMP_RET_ERRNO | EPERM) ||
                           answer == (SECCOMP_RET_ERRNO | ENOSYS) ||
                           (input.suppress_sync && answer == (SECCOMP_RET_ERRNO | 0)) ||
                           (!family_set_allows(&input.families, 0) &&
                            answer == (SECCOMP_RET_ERRNO | EAFNOSUPPORT)));
        }
        try_families(&input, program, length);
        try_denied(&input, program, length);
        STRV_FOREACH(word, unknown)
        FUZZ_CHECK(**word && !strchr(*word, ' '));
        return 0;
}
