/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "nspawn/seccomp-build.h"

#include <elf.h>
#include <errno.h>
#include <linux/netlink.h>
#include <seccomp.h>
#include <stdio.h>
#include <sys/socket.h>

#include "basic/strv.h"
#include "nspawn/seccomp-groups.h"

/*
 * libseccomp says which call has which number; the program itself is made here. Allowed calls lie
 * next to each other, so a search tree over ranges of numbers needs a fifth of the instructions
 * of the tree over single numbers that libseccomp makes, and the kernel checks, translates and
 * runs through all of them at each start of a container. It also lets us compare the arguments
 * of socket() as the kernel takes them, as 32 bits: a 64-bit comparison, which is what one gets
 * by default, is got around by setting a bit in the upper half.
 */

enum verdict {
        VERDICT_ENOSYS,
        VERDICT_EPERM,
        VERDICT_ALLOW,
        VERDICT_EAFNOSUPPORT,
        VERDICT_EINVAL,
        VERDICT_SUCCESS, /* without being done */
        /* Those that look at arguments. */
        VERDICT_SOCKET,
        VERDICT_SOCKETCALL,
        VERDICT_OPEN,
        VERDICT_OPENAT,
        N_VERDICTS,
};
#define N_RETURNS VERDICT_SOCKET /* those that are a return; the others look further */

static const uint32_t returns[] = {
        [VERDICT_ENOSYS] = SECCOMP_RET_ERRNO | ENOSYS,
        [VERDICT_EPERM] = SECCOMP_RET_ERRNO | EPERM,
        [VERDICT_ALLOW] = SECCOMP_RET_ALLOW,
        [VERDICT_EAFNOSUPPORT] = SECCOMP_RET_ERRNO | EAFNOSUPPORT,
        [VERDICT_EINVAL] = SECCOMP_RET_ERRNO | EINVAL,
        [VERDICT_SUCCESS] = SECCOMP_RET_ERRNO, /* with no error */
};
static_assert(ARRAY_SIZE(returns) == N_RETURNS, "every verdict has a return");

#define MAX_CALLS 1024
#define MAX_RANGES (2 * MAX_CALLS)
#define KERNEL_CALLS 470 /* about as many as it has; for weighing only */
#define MAX_EXCEPTIONS 2 /* by trying: more make the program shorter, but slower */

/* A stretch of call numbers of one architecture. x32 is the kernel's x86-64 with a bit set. */
static const struct part {
        uint32_t native, audit, names;
        uint32_t first, count;
} parts[] = {
        { SCMP_ARCH_X86_64, SCMP_ARCH_X86_64, SCMP_ARCH_X86_64, 0, MAX_CALLS },
        { SCMP_ARCH_X86_64, SCMP_ARCH_X86_64, SCMP_ARCH_X32, 0x40000000, MAX_CALLS },
        { SCMP_ARCH_X86_64, SCMP_ARCH_X86, SCMP_ARCH_X86, 0, MAX_CALLS },
        { SCMP_ARCH_AARCH64, SCMP_ARCH_AARCH64, SCMP_ARCH_AARCH64, 0, MAX_CALLS },
        { SCMP_ARCH_AARCH64, SCMP_ARCH_ARM, SCMP_ARCH_ARM, 0, MAX_CALLS },
        { SCMP_ARCH_AARCH64, SCMP_ARCH_ARM, SCMP_ARCH_ARM, 0xf0000, 16 },
        { SCMP_ARCH_ARM, SCMP_ARCH_ARM, SCMP_ARCH_ARM, 0, MAX_CALLS },
        { SCMP_ARCH_ARM, SCMP_ARCH_ARM, SCMP_ARCH_ARM, 0xf0000, 16 },
        { SCMP_ARCH_S390X, SCMP_ARCH_S390X, SCMP_ARCH_S390X, 0, MAX_CALLS },
        { SCMP_ARCH_S390X, SCMP_ARCH_S390, SCMP_ARCH_S390, 0, MAX_CALLS },
        /* Each of MIPS' three begins at a number of its own. */
        { SCMP_ARCH_MIPSEL64, SCMP_ARCH_MIPSEL64, SCMP_ARCH_MIPSEL64, 5000, MAX_CALLS },
        { SCMP_ARCH_MIPSEL64, SCMP_ARCH_MIPSEL64N32, SCMP_ARCH_MIPSEL64N32, 6000, MAX_CALLS },
        { SCMP_ARCH_MIPSEL64, SCMP_ARCH_MIPSEL, SCMP_ARCH_MIPSEL, 4000, MAX_CALLS },
        { SCMP_ARCH_MIPSEL, SCMP_ARCH_MIPSEL, SCMP_ARCH_MIPSEL, 4000, MAX_CALLS },
};

/* Calls next to each other that get the same verdict, up to the next range's first. */
struct range {
        uint32_t first;
        enum verdict verdict;
};

/* Ranges of one verdict with a few single calls of others in between. */
struct block {
        const struct range *ranges;
        size_t n;
        enum verdict usual;
};

/* The program grows from its end, because a jump needs to know its target: at[0] comes last. */
struct emitter {
        struct sock_filter at[BPF_MAXINSNS];
        size_t n;
        int error; /* the first one; what follows is nonsense then */
        bool have[N_RETURNS];
        size_t return_at[N_RETURNS];
        enum verdict socket;        /* what socket() gets here if it is not about audit */
        size_t further[N_VERDICTS]; /* where those begin that look at arguments */
};

static size_t emit(struct emitter *e, uint16_t code, size_t jt, size_t jf, uint32_t k)
{
        if (e->n >= ARRAY_SIZE(e->at)) {
                e->error = -E2BIG;
                return 0;
        }
        e->at[e->n] = (struct sock_filter){ code, (uint8_t) jt, (uint8_t) jf, k };
        return e->n++;
}

/* A conditional jump has 8 bits to say how far; one more than that is kept for a second detour. */
static size_t emit_near(struct emitter *e, size_t target)
{
        return e->n - target < UINT8_MAX
                       ? target
                       : emit(e, BPF_JMP | BPF_JA, 0, 0, (uint32_t) (e->n - target - 1));
}

static size_t emit_branch(struct emitter *e, uint16_t comparison, uint32_t k, size_t when_true,
                          size_t when_false)
{
        when_true = emit_near(e, when_true);
        when_false = emit_near(e, when_false);
        return emit(e, BPF_JMP | comparison | BPF_K, e->n - when_true - 1, e->n - when_false - 1,
                    k);
}

static size_t emit_load(struct emitter *e, size_t offset)
{
        return emit(e, BPF_LD | BPF_W | BPF_ABS, 0, 0, (uint32_t) offset);
}

static size_t emit_return(struct emitter *e, enum verdict v)
{
        /* A new one costs as much as a detour, and less time. */
        if (!e->have[v] || e->n - e->return_at[v] >= UINT8_MAX)
                e->return_at[v] = emit(e, BPF_RET | BPF_K, 0, 0, returns[v]);
        e->have[v] = true;
        return e->return_at[v];
}

/* The lower half of an argument, where the kernel's int is. */
static size_t emit_load_argument(struct emitter *e, uint32_t audit, unsigned argument)
{
        size_t low = (audit & __AUDIT_ARCH_LE) ? 0 : sizeof(uint32_t);

        return emit_load(e,
                         offsetof(struct seccomp_data, args) + argument * sizeof(uint64_t) + low);
}

/* Families of the other kind than @next is for. Denying wins, as for calls. */
static size_t emit_families(struct emitter *e, const struct family_set *set, size_t next,
                            size_t netlink, size_t other)
{
        for (unsigned family = 0; family < FAMILIES_MAX; family++) {
                bool allows = family_set_allows(set, family);

                if (set->only_listed && allows)
                        next = emit_branch(e, BPF_JEQ, family,
                                           family == AF_NETLINK ? netlink : other, next);
                else if (!set->only_listed && !allows)
                        next = emit_branch(e, BPF_JEQ, family, emit_return(e, VERDICT_EAFNOSUPPORT),
                                           next);
        }
        return next;
}

static void emit_socket(struct emitter *e, const struct family_set *set, uint32_t audit)
{
        size_t other = emit_return(e, e->socket), netlink, next;

        (void) emit_branch(e, BPF_JEQ, NETLINK_AUDIT, emit_return(e, VERDICT_EAFNOSUPPORT), other);
        netlink = emit_load_argument(e, audit, 2);
        next = set->only_listed && e->socket == VERDICT_ALLOW
                       ? emit_return(e, VERDICT_EAFNOSUPPORT)
                       : emit_branch(e, BPF_JEQ, AF_NETLINK, netlink, other);
        if (e->socket == VERDICT_ALLOW)
                next = emit_families(e, set, next, netlink, other);
        if (next + 1 != e->n) /* it is not what comes next by itself */
                (void) emit(e, BPF_JMP | BPF_JA, 0, 0, (uint32_t) (e->n - next - 1));
        e->further[VERDICT_SOCKET] = emit_load_argument(e, audit, 0);
}

#define SOCKETCALL_SOCKET 1 /* SYS_SOCKET of <linux/net.h> */

/* Its arguments are in memory, where a filter cannot look: so no family can be told. */
static void emit_socketcall(struct emitter *e, uint32_t audit)
{
        (void) emit_branch(e, BPF_JEQ, SOCKETCALL_SOCKET, emit_return(e, VERDICT_EAFNOSUPPORT),
                           emit_return(e, VERDICT_ALLOW));
        e->further[VERDICT_SOCKETCALL] = emit_load_argument(e, audit, 0);
}

/* O_SYNC and O_DSYNC, as the architecture has them. */
static uint32_t sync_flags(uint32_t audit)
{
        return (audit & 0xffff) == EM_MIPS ? 0x4010 : 04010000;
}

/* Programs that ask for it may be content with an ordinary open when they are told that it cannot
 * be had. */
static void emit_open(struct emitter *e, uint32_t audit, enum verdict verdict, unsigned argument)
{
        (void) emit_branch(e, BPF_JSET, sync_flags(audit), emit_return(e, VERDICT_EINVAL),
                           emit_return(e, VERDICT_ALLOW));
        e->further[verdict] = emit_load_argument(e, audit, argument);
}

static size_t emit_verdict(struct emitter *e, enum verdict v)
{
        return v > VERDICT_SUCCESS && v < N_VERDICTS ? e->further[v] : emit_return(e, v);
}

/* A call among others of one kind takes one comparison as an exception, and two as a range. */
static size_t emit_block(struct emitter *e, const struct block *b)
{
        size_t next = emit_verdict(e, b->usual);

        for (size_t i = b->n; i-- > 0;)
                if (b->ranges[i].verdict != b->usual)
                        next = emit_branch(e, BPF_JEQ, b->ranges[i].first,
                                           emit_verdict(e, b->ranges[i].verdict), next);
        return next;
}

/* When a filter is installed, the kernel runs it once for each call that it has: so what counts
 * is how many of those numbers are in a block. Others weigh little. */
static uint32_t weigh(const struct block *from, const struct block *to)
{
        uint32_t first = MIN_OF(from->ranges->first, (uint32_t) KERNEL_CALLS);
        uint32_t end = MIN_OF(to->ranges->first, (uint32_t) KERNEL_CALLS);

        return end - first + (uint32_t) (to - from);
}

/* @b[n] ends the list. */
static size_t emit_blocks(struct emitter *e, const struct block *b, size_t n)
{
        size_t middle = 1, above, below;

        if (n == 1)
                return emit_block(e, b);
        /* Where the heavier side is lightest. */
        while (middle + 1 < n && weigh(b, b + middle + 1) <= weigh(b + middle, b + n))
                middle++;
        above = emit_blocks(e, b + middle, n - middle);
        below = emit_blocks(e, b, middle);
        return emit_branch(e, BPF_JGE, b[middle].ranges->first, above, below);
}

static bool is_single(const struct range *r)
{
        return r[0].first + 1 == r[1].first;
}

static void take_block(const struct range *r, size_t n, struct block *ret)
{
        enum verdict usual = n > 1 && is_single(r) ? r[1].verdict : r[0].verdict;
        size_t i = 0;

        for (size_t exceptions = 0; i < n; i++)
                if (r[i].verdict != usual && (!is_single(&r[i]) || ++exceptions > MAX_EXCEPTIONS))
                        break;
        *ret = (struct block){ .ranges = r, .n = i, .usual = usual };
}

/* @r[n] ends the list. */
static size_t emit_ranges(struct emitter *e, const struct range *r, size_t n)
{
        struct block *blocks CLEANUP_FREE = calloc(n + 1, sizeof(*blocks));
        size_t n_blocks = 0;

        if (!blocks) {
                e->error = -ENOMEM;
                return 0;
        }
        for (size_t i = 0; i < n; i += blocks[n_blocks++].n)
                take_block(r + i, n - i, &blocks[n_blocks]);
        blocks[n_blocks].ranges = r + n;
        return emit_blocks(e, blocks, n_blocks);
}

/* The calls of one part, by number without .first. */
struct calls {
        const struct part *part;
        char *names[MAX_CALLS]; /* NULL: unknown */
        enum verdict verdicts[MAX_CALLS];
};

#define CLEANUP_CALLS CLEANUP(free_calls)

static void free_calls(struct calls **calls)
{
        for (size_t i = 0; *calls && i < MAX_CALLS; i++)
                free((*calls)->names[i]);
        free(*calls);
}

/* The verdict of the call @name, or NULL if this part has no such call. */
static enum verdict *find_call(struct calls *calls, const char *name)
{
        const struct part *part = calls->part;
        int nr = seccomp_syscall_resolve_name_arch(part->names, name);

        if (nr >= 0)
                return (uint32_t) nr - part->first < part->count
                               ? &calls->verdicts[(uint32_t) nr - part->first]
                               : NULL;
        /* Calls that are functions of socketcall() or ipc() have numbers below zero, also where
         * they are calls of their own as well, as on i386 since Linux 4.3. */
        for (uint32_t i = 0; nr != __NR_SCMP_ERROR && i < part->count; i++)
                if (calls->names[i] && streq(calls->names[i], name))
                        return &calls->verdicts[i];
        return NULL;
}

static void mark(struct calls *calls, const char *words, enum verdict verdict)
{
        char word[SECCOMP_WORD_MAX];

        while (seccomp_next_word(&words, word)) {
                const char *members = word[0] == '@' ? seccomp_group_members(word) : NULL;
                enum verdict *call;

                if (members) {
                        mark(calls, members, verdict);
                } else if (streq(word, "@known")) {
                        for (uint32_t i = 0; i < calls->part->count; i++)
                                if (calls->names[i])
                                        calls->verdicts[i] = verdict;
                } else {
                        call = find_call(calls, word);
                        if (call)
                                *call = verdict;
                }
        }
}

static void mark_terms(struct calls *calls, char *const *terms, enum verdict verdict)
{
        STRV_FOREACH(term, terms)
        {
                bool deny = (*term)[0] == '~';

                if (deny == (verdict == VERDICT_EPERM))
                        mark(calls, *term + deny, verdict);
        }
}

/* Calls that are denied stay so. */
static void change(struct calls *calls, const char *name, enum verdict verdict)
{
        enum verdict *call = find_call(calls, name);

        if (call && *call == VERDICT_ALLOW)
                *call = verdict;
}

static void mark_sync(struct calls *calls)
{
        const char *words = seccomp_group_members("@sync");
        char word[SECCOMP_WORD_MAX];

        while (seccomp_next_word(&words, word))
                change(calls, word, VERDICT_SUCCESS);
        change(calls, "open", VERDICT_OPEN);
        change(calls, "openat", VERDICT_OPENAT);
        /* Its flags are in memory; who gets this answer takes openat(). */
        change(calls, "openat2", VERDICT_ENOSYS);
}

static void mark_all(struct calls *calls, const struct seccomp_build_input *input)
{
        mark(calls, seccomp_default_members(), VERDICT_ALLOW);
        for (unsigned i = 0; i < 64; i++)
                if (input->retained_caps & UINT64_C(1) << i && seccomp_capability_members(i))
                        mark(calls, seccomp_capability_members(i), VERDICT_ALLOW);
        mark_terms(calls, input->terms, VERDICT_ALLOW);
        mark_terms(calls, input->terms, VERDICT_EPERM);
        if (input->suppress_sync)
                mark_sync(calls);
        if (input->families.restricts) {
                change(calls, "socketcall", VERDICT_SOCKETCALL);
                /* It makes sockets, too, where no filter looks. */
                change(calls, "io_uring_setup", VERDICT_EPERM);
        }
}

static int find_calls(const struct part *part, struct calls **ret)
{
        struct calls *calls CLEANUP_CALLS = calloc(1, sizeof(*calls));
        bool any = false;

        if (!calls)
                return -ENOMEM;
        calls->part = part;
        for (uint32_t i = 0; i < part->count; i++) {
                calls->names[i] =
                        seccomp_syscall_resolve_num_arch(part->names, (int) (part->first + i));
                calls->verdicts[i] = calls->names[i] ? VERDICT_EPERM : VERDICT_ENOSYS;
                any = any || calls->names[i];
        }
        if (!any)
                return -EDOM;
        *ret = TAKE_PTR(calls);
        return 0;
}

static void add_range(struct range *ranges, size_t *n, uint32_t first, enum verdict verdict)
{
        if (*n > 0 && ranges[*n - 1].verdict == verdict)
                return;
        ranges[(*n)++] = (struct range){ first, verdict };
}

/* Emits what is done for one of the kernel's architectures; @ret is where it begins. */
static int emit_architecture(struct emitter *e, const struct seccomp_build_input *input,
                             const struct part *part, size_t n_parts, size_t *ret)
{
        struct range ranges[MAX_RANGES] = { { .first = 0 } };
        size_t n = 0;

        e->socket = VERDICT_ALLOW;
        add_range(ranges, &n, 0, VERDICT_ENOSYS);
        for (size_t p = 0; p < n_parts; p++) {
                struct calls *calls CLEANUP_CALLS = NULL;
                enum verdict *socket;
                int r = find_calls(&part[p], &calls);

                if (r < 0)
                        return r;
                mark_all(calls, input);
                socket = find_call(calls, "socket");
                if (socket) {
                        e->socket = *socket; /* the same in each part: it goes by name */
                        *socket = VERDICT_SOCKET;
                }
                /* Alternating ones would not even fit into a program. */
                if (n + part[p].count + 2 > ARRAY_SIZE(ranges))
                        return -E2BIG;
                for (uint32_t i = 0; i < part[p].count; i++)
                        add_range(ranges, &n, part[p].first + i, calls->verdicts[i]);
                add_range(ranges, &n, part[p].first + part[p].count, VERDICT_ENOSYS);
        }
        ranges[n] = (struct range){ .first = UINT32_MAX };
        emit_socket(e, &input->families, part->audit);
        if (input->families.restricts)
                emit_socketcall(e, part->audit);
        if (input->suppress_sync) {
                emit_open(e, part->audit, VERDICT_OPEN, 1);
                emit_open(e, part->audit, VERDICT_OPENAT, 2);
        }
        (void) emit_ranges(e, ranges, n);
        *ret = emit_load(e, offsetof(struct seccomp_data, nr));
        return 0;
}

static int emit_program(struct emitter *e, const struct seccomp_build_input *input,
                        const struct part *part, size_t n_parts)
{
        size_t begin[ARRAY_SIZE(parts)], next;
        size_t end = n_parts;

        /* Backwards, so that the native one is nearest to the beginning. */
        while (end > 0) {
                size_t first = end - 1;
                int r;

                while (first > 0 && part[first - 1].audit == part[end - 1].audit)
                        first--;
                r = emit_architecture(e, input, &part[first], end - first, &begin[first]);
                if (r < 0)
                        return r;
                end = first;
        }
        next = emit_return(e, VERDICT_ALLOW);
        for (size_t i = n_parts; i-- > 0;)
                if (i == 0 || part[i - 1].audit != part[i].audit)
                        next = emit_branch(e, BPF_JEQ, part[i].audit, begin[i], next);
        (void) emit_load(e, offsetof(struct seccomp_data, arch));
        return e->error;
}

static bool word_is_known(const char *word)
{
        if (word[0] == '@')
                return streq(word, "@known") || seccomp_group_members(word);
        return seccomp_syscall_resolve_name(word) != __NR_SCMP_ERROR;
}

static int find_unknown(char *const *terms, char ***ret)
{
        char **unknown CLEANUP_STRV = NULL;
        char word[SECCOMP_WORD_MAX];

        STRV_FOREACH(term, terms)
        {
                const char *words = *term + ((*term)[0] == '~');

                while (seccomp_next_word(&words, word)) {
                        int r = word_is_known(word) || strv_contains(unknown, word)
                                        ? 0
                                        : strv_add(&unknown, word);

                        if (r < 0)
                                return r;
                }
        }
        *ret = TAKE_PTR(unknown);
        return 0;
}

int seccomp_build(const struct seccomp_build_input *input, struct sock_filter **ret_filter,
                  unsigned short *ret_length, char ***ret_unknown)
{
        uint32_t native = input->native ? input->native : seccomp_arch_native();
        struct part alone = { native, native, native, 0, MAX_CALLS };
        struct sock_filter *filter CLEANUP_FREE = NULL;
        char **unknown CLEANUP_STRV = NULL;
        struct emitter *e CLEANUP_FREE = calloc(1, sizeof(*e));
        const struct part *part = &alone;
        size_t n_parts = 0;
        int r;

        if (!e)
                return -ENOMEM;
        for (size_t i = 0; i < ARRAY_SIZE(parts); i++)
                if (parts[i].native == native && n_parts++ == 0)
                        part = &parts[i];
        r = emit_program(e, input, part, MAX_OF(n_parts, (size_t) 1));
        if (r >= 0)
                r = find_unknown(input->terms, &unknown);
        if (r < 0)
                return r;
        filter = calloc(e->n, sizeof(*filter));
        if (!filter)
                return -ENOMEM;
        for (size_t i = 0; i < e->n; i++)
                filter[i] = e->at[e->n - 1 - i];
        *ret_filter = TAKE_PTR(filter);
        *ret_length = (unsigned short) e->n;
        *ret_unknown = TAKE_PTR(unknown);
        return 0;
}
