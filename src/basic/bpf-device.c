/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "basic/bpf-device.h"

#include <errno.h>
#include <linux/bpf.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "basic/fd.h"

/*
 * The kernel runs the program for each open and mknod of a device node by a process in the group,
 * with a struct of three numbers: what is wanted of which kind of node, major, minor. The rules
 * become one comparison each; the first that matches says yes, behind the last one is the no.
 */

static_assert((int) DEVICE_MKNOD == (int) BPF_DEVCG_ACC_MKNOD &&
                      (int) DEVICE_READ == (int) BPF_DEVCG_ACC_READ &&
                      (int) DEVICE_WRITE == (int) BPF_DEVCG_ACC_WRITE,
              "our numbers are the kernel's");

/* Where the program keeps what it was asked; R1 is the context first and scratch later. */
enum {
        R_RESULT = BPF_REG_0,
        R_CONTEXT = BPF_REG_1,
        R_SCRATCH = BPF_REG_1,
        R_TYPE = BPF_REG_2,
        R_ACCESS = BPF_REG_3,
        R_MAJOR = BPF_REG_4,
        R_MINOR = BPF_REG_5
};

#define RULE_INSTRUCTIONS_MAX 7
#define FIXED_INSTRUCTIONS 8

struct assembler {
        struct bpf_insn *code;
        size_t n;
};

static void emit(struct assembler *a, unsigned code, unsigned dst, unsigned src, int offset,
                 int imm)
{
        a->code[a->n++] = (struct bpf_insn){ .code = (uint8_t) code,
                                             .dst_reg = dst & 0xf,
                                             .src_reg = src & 0xf,
                                             .off = (int16_t) offset,
                                             .imm = imm };
}

static void emit_load(struct assembler *a, unsigned dst, size_t offset)
{
        emit(a, BPF_LDX | BPF_MEM | BPF_W, dst, R_CONTEXT, (int) offset, 0);
}

static void emit_return(struct assembler *a, int value)
{
        emit(a, BPF_ALU | BPF_MOV | BPF_K, R_RESULT, 0, 0, value);
        emit(a, BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
}

static void emit_prologue(struct assembler *a)
{
        /* access_type: the node's type in the lower half, the access in the upper one */
        emit_load(a, R_TYPE, offsetof(struct bpf_cgroup_dev_ctx, access_type));
        emit(a, BPF_ALU | BPF_AND | BPF_K, R_TYPE, 0, 0, 0xffff);
        emit_load(a, R_ACCESS, offsetof(struct bpf_cgroup_dev_ctx, access_type));
        emit(a, BPF_ALU | BPF_RSH | BPF_K, R_ACCESS, 0, 0, 16);
        emit_load(a, R_MAJOR, offsetof(struct bpf_cgroup_dev_ctx, major));
        emit_load(a, R_MINOR, offsetof(struct bpf_cgroup_dev_ctx, minor));
}

static bool rule_is_valid(const struct device_rule *rule)
{
        return (rule->type == 'a' || rule->type == 'b' || rule->type == 'c') && rule->major >= -1 &&
               rule->minor >= -1 && (rule->access & ~(unsigned) DEVICE_ALL) == 0;
}

/* Jumps of a rule go behind it, and where that is comes out when it is complete. */
static void emit_rule(struct assembler *a, const struct device_rule *rule)
{
        size_t begin = a->n;

        if (rule->type != 'a')
                emit(a, BPF_JMP32 | BPF_JNE | BPF_K, R_TYPE, 0, 0,
                     rule->type == 'c' ? BPF_DEVCG_DEV_CHAR : BPF_DEVCG_DEV_BLOCK);
        if (rule->access != DEVICE_ALL) {
                /* Nothing may be wanted beyond what the rule gives. */
                emit(a, BPF_ALU | BPF_MOV | BPF_X, R_SCRATCH, R_ACCESS, 0, 0);
                emit(a, BPF_ALU | BPF_AND | BPF_K, R_SCRATCH, 0, 0,
                     (int) (~rule->access & DEVICE_ALL));
                emit(a, BPF_JMP32 | BPF_JNE | BPF_K, R_SCRATCH, 0, 0, 0);
        }
        if (rule->major >= 0)
                emit(a, BPF_JMP32 | BPF_JNE | BPF_K, R_MAJOR, 0, 0, rule->major);
        if (rule->minor >= 0)
                emit(a, BPF_JMP32 | BPF_JNE | BPF_K, R_MINOR, 0, 0, rule->minor);
        emit_return(a, 1);
        for (size_t i = begin; i < a->n; i++)
                if (BPF_CLASS(a->code[i].code) == BPF_JMP32)
                        a->code[i].off = (int16_t) (a->n - i - 1);
}

static bool rule_allows_all(const struct device_rule *rule)
{
        return rule->type == 'a' && rule->major < 0 && rule->minor < 0 &&
               rule->access == DEVICE_ALL;
}

int device_program_build(const struct device_rule *rules, size_t n_rules, struct bpf_insn **ret,
                         size_t *ret_n)
{
        struct assembler a = { .code = NULL };
        bool complete = false;

        for (size_t i = 0; i < n_rules; i++)
                if (!rule_is_valid(&rules[i]))
                        return -EINVAL;
        a.code = calloc(n_rules * RULE_INSTRUCTIONS_MAX + FIXED_INSTRUCTIONS, sizeof(*a.code));
        if (!a.code)
                return -ENOMEM;
        emit_prologue(&a);
        /* The kernel refuses programs with instructions that can never be reached. */
        for (size_t i = 0; i < n_rules && !complete; i++) {
                if (rules[i].access == 0)
                        continue;
                emit_rule(&a, &rules[i]);
                complete = rule_allows_all(&rules[i]);
        }
        if (!complete)
                emit_return(&a, 0);
        *ret = a.code;
        *ret_n = a.n;
        return 0;
}

static int program_load(const struct bpf_insn *code, size_t n)
{
        union bpf_attr attr;
        long fd;

        memset(&attr, 0, sizeof(attr));
        attr.prog_type = BPF_PROG_TYPE_CGROUP_DEVICE;
        attr.insns = (uint64_t) (uintptr_t) code;
        attr.insn_cnt = (uint32_t) n;
        attr.license = (uint64_t) (uintptr_t) "LGPL-2.1-or-later";
        fd = syscall(SYS_bpf, BPF_PROG_LOAD, &attr, sizeof(attr)); /* is close-on-exec */
        return fd < 0 ? -errno : (int) fd;
}

int device_program_attach(int cgroup_fd, const struct device_rule *rules, size_t n_rules)
{
        struct bpf_insn *code CLEANUP_FREE = NULL;
        int program_fd CLEANUP_FD = -1;
        union bpf_attr attr;
        size_t n = 0;
        int r = device_program_build(rules, n_rules, &code, &n);

        if (r < 0)
                return r;
        program_fd = program_load(code, n);
        if (program_fd < 0)
                return program_fd;
        memset(&attr, 0, sizeof(attr));
        attr.target_fd = (uint32_t) cgroup_fd;
        attr.attach_bpf_fd = (uint32_t) program_fd;
        attr.attach_type = BPF_CGROUP_DEVICE;
        attr.attach_flags = BPF_F_ALLOW_MULTI;
        return syscall(SYS_bpf, BPF_PROG_ATTACH, &attr, sizeof(attr)) < 0 ? -errno : 0;
}

static const struct {
        char letter;
        unsigned access;
} access_letters[] = { { 'r', DEVICE_READ }, { 'w', DEVICE_WRITE }, { 'm', DEVICE_MKNOD } };

int device_access_parse(const char *text, unsigned *ret)
{
        unsigned access = 0;

        for (const char *p = text; *p; p++) {
                size_t i = 0;

                while (i < ARRAY_SIZE(access_letters) && access_letters[i].letter != *p)
                        i++;
                if (i == ARRAY_SIZE(access_letters))
                        return -EINVAL;
                access |= access_letters[i].access;
        }
        if (access == 0)
                return -EINVAL;
        *ret = access;
        return 0;
}

void device_access_to_text(unsigned access, char text[4])
{
        size_t n = 0;

        for (size_t i = 0; i < ARRAY_SIZE(access_letters); i++)
                if (access & access_letters[i].access)
                        text[n++] = access_letters[i].letter;
        text[n] = '\0';
}
