/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "basic/macro.h"

/*
 * Which device nodes the processes of a group may use: a BPF program of type cgroup/device, since
 * cgroup2 has no devices controller. What no rule allows is refused.
 */
enum device_access {
        DEVICE_MKNOD = 1 << 0, /* numbers of the kernel's own, BPF_DEVCG_ACC_* */
        DEVICE_READ = 1 << 1,
        DEVICE_WRITE = 1 << 2,
        DEVICE_ALL = 7,
};

struct device_rule {
        char type;        /* 'c', 'b', or 'a' for both */
        int major, minor; /* -1: any */
        unsigned access;  /* DEVICE_* */
};

struct bpf_insn; /* <linux/bpf.h> */

/* Assembles the program; the caller frees it. Pure. Returns 0, -EINVAL (no such type) or -ENOMEM. */
int device_program_build(const struct device_rule *rules, size_t n_rules, struct bpf_insn **ret,
                         size_t *ret_n);

/*
 * Loads the program and attaches it to the group @cgroup_fd (a directory, not O_PATH), beside what
 * is attached above. It stays until the group is removed.
 */
int device_program_attach(int cgroup_fd, const struct device_rule *rules, size_t n_rules);

/* "rwm" and its subsets. Returns 0 or -EINVAL. */
int device_access_parse(const char *text, unsigned *ret);

/* The opposite: "rw" for DEVICE_READ | DEVICE_WRITE. */
void device_access_to_text(unsigned access, char text[4]);
