/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "basic/caps.h"

#include <errno.h>
#include <strings.h>
#include <sys/capability.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

/* The kernel's own structures: libcap's cap_t would cost four allocations on the start path. */
static int get_sets(struct __user_cap_data_struct data[2])
{
        struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };

        return syscall(SYS_capget, &header, data) < 0 ? -errno : 0;
}

const char *cap_name(unsigned number)
{
        static const char *const names[] = {
                "CAP_CHOWN",
                "CAP_DAC_OVERRIDE",
                "CAP_DAC_READ_SEARCH",
                "CAP_FOWNER",
                "CAP_FSETID",
                "CAP_KILL",
                "CAP_SETGID",
                "CAP_SETUID",
                "CAP_SETPCAP",
                "CAP_LINUX_IMMUTABLE",
                "CAP_NET_BIND_SERVICE",
                "CAP_NET_BROADCAST",
                "CAP_NET_ADMIN",
                "CAP_NET_RAW",
                "CAP_IPC_LOCK",
                "CAP_IPC_OWNER",
                "CAP_SYS_MODULE",
                "CAP_SYS_RAWIO",
                "CAP_SYS_CHROOT",
                "CAP_SYS_PTRACE",
                "CAP_SYS_PACCT",
                "CAP_SYS_ADMIN",
                "CAP_SYS_BOOT",
                "CAP_SYS_NICE",
                "CAP_SYS_RESOURCE",
                "CAP_SYS_TIME",
                "CAP_SYS_TTY_CONFIG",
                "CAP_MKNOD",
                "CAP_LEASE",
                "CAP_AUDIT_WRITE",
                "CAP_AUDIT_CONTROL",
                "CAP_SETFCAP",
                "CAP_MAC_OVERRIDE",
                "CAP_MAC_ADMIN",
                "CAP_SYSLOG",
                "CAP_WAKE_ALARM",
                "CAP_BLOCK_SUSPEND",
                "CAP_AUDIT_READ",
                "CAP_PERFMON",
                "CAP_BPF",
                "CAP_CHECKPOINT_RESTORE",
        };

        static_assert(ARRAY_SIZE(names) > CAP_LAST_CAP, "every known capability has a name");
        return number < ARRAY_SIZE(names) ? names[number] : NULL;
}

static int find_capability(const char *name, size_t n, unsigned *ret)
{
        for (unsigned i = 0; cap_name(i); i++)
                if (strlen(cap_name(i)) == n && strncasecmp(cap_name(i), name, n) == 0) {
                        *ret = i;
                        return 0;
                }
        return -EINVAL;
}

int caps_parse(const char *text, uint64_t *ret, const char **ret_bad)
{
        uint64_t set = 0;

        while (*text) {
                size_t n = strcspn(text, ",");
                unsigned number = 0;

                if (n == 3 && strncmp(text, "all", 3) == 0)
                        set = CAPS_ALL;
                else if (n > 0) {
                        int r = find_capability(text, n, &number);

                        if (r < 0) {
                                if (ret_bad)
                                        *ret_bad = text;
                                return r;
                        }
                        set |= UINT64_C(1) << number;
                }
                text += n + (text[n] == ',');
        }
        *ret = set;
        return 0;
}

uint64_t caps_effective(void)
{
        struct __user_cap_data_struct data[2];

        return get_sets(data) < 0 ? 0 : data[0].effective | (uint64_t) data[1].effective << 32;
}

int caps_limit_bounding(uint64_t keep)
{
        for (unsigned i = 0; i < 64; i++) {
                if (keep & UINT64_C(1) << i)
                        continue;
                if (prctl(PR_CAPBSET_DROP, i, 0, 0, 0) < 0) {
                        /* Without CAP_SETPCAP, as in a sandbox, which may have dropped it for us. */
                        if (errno == EPERM && prctl(PR_CAPBSET_READ, i, 0, 0, 0) == 0)
                                continue;
                        if (errno == EINVAL && i > 0)
                                break; /* past the kernel's last one */
                        return -errno;
                }
        }
        return 0;
}

int caps_set(uint64_t effective, uint64_t permitted, uint64_t inheritable)
{
        struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
        struct __user_cap_data_struct data[2];
        int r = get_sets(data);

        if (r < 0)
                return r;
        for (unsigned i = 0; i < 2; i++) {
                uint32_t mine = data[i].permitted;

                data[i].effective = (uint32_t) (effective >> (32 * i)) & mine;
                data[i].permitted = (uint32_t) (permitted >> (32 * i)) & mine;
                data[i].inheritable = (uint32_t) (inheritable >> (32 * i)) & mine;
        }
        return syscall(SYS_capset, &header, data) < 0 ? -errno : 0;
}

int caps_raise_ambient(uint64_t set)
{
        for (unsigned i = 0; i < 64; i++)
                if (set & UINT64_C(1) << i &&
                    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, i, 0, 0) < 0)
                        return -errno;
        return 0;
}
