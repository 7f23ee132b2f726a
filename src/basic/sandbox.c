/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "basic/sandbox.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "basic/caps.h"
#include "basic/io.h"

/* The number of the first user namespace's file, the same in all kernels since Linux 3.8 and a part
 * of the kernel's interface since 6.18 (linux/nsfs.h). */
#define FIRST_USER_NAMESPACE UINT64_C(0xEFFFFFFD)
#define FIRST_PID_NAMESPACE UINT64_C(0xEFFFFFFC)

static bool is_other_namespace(const char *path, uint64_t first)
{
        struct stat st;

        return stat(path, &st) == 0 && st.st_ino != first;
}

bool sandbox_is_user_namespace(void)
{
        return is_other_namespace("/proc/self/ns/user", FIRST_USER_NAMESPACE);
}

enum manager {
        MANAGER_NONE,
        MANAGER_PODMAN,
        MANAGER_DOCKER,
        MANAGER_LXC,
        MANAGER_NSPAWN,
        MANAGER_OTHER
};

static bool exists(const char *path)
{
        return access(path, F_OK) == 0;
}

/* By the marks that each of them leaves for programs inside; a virtual machine may be made from such a
 * container, with its marks. */
static enum manager find_manager(void)
{
        const char *variable = getenv("container");

        if (!is_other_namespace("/proc/self/ns/pid", FIRST_PID_NAMESPACE))
                return MANAGER_NONE;
        if (exists("/run/.containerenv"))
                return MANAGER_PODMAN;
        if (exists("/.dockerenv"))
                return MANAGER_DOCKER;
        if (exists("/run/host/container-manager"))
                return MANAGER_NSPAWN;
        if (exists("/dev/.lxc") || exists("/dev/lxd") || exists("/dev/incus") ||
            (variable && streq(variable, "lxc")))
                return MANAGER_LXC;
        if (variable && streq(variable, "podman"))
                return MANAGER_PODMAN;
        return variable ? MANAGER_OTHER : MANAGER_NONE;
}

static bool lacks_admin(void)
{
        return !(caps_effective() & UINT64_C(1) << CAP_SYS_ADMIN);
}

static bool is_filtered(void)
{
        char text[8192];

        return read_text_at(AT_FDCWD, "/proc/self/status", text, sizeof(text)) >= 0 &&
               !strstr(text, "\nSeccomp:\t0");
}

/* How the option of @m is called that allows @feature; NULL: there is none. */
static const char *option_for(enum manager m, enum sandbox_feature feature)
{
        static const char *const oci[] = {
                [SANDBOX_DEVICE_POLICY] = "--cap-add=SYS_ADMIN",
                [SANDBOX_IDS] = "a larger range of ids (--uidmap=, /etc/subuid)",
        };

        switch (m) {
        case MANAGER_NONE:
        case MANAGER_OTHER:
                return NULL;
        case MANAGER_NSPAWN:
                return "--nesting and --private-users=pick";
        case MANAGER_LXC:
                return "security.nesting=true (Incus) or nesting.conf (LXC)";
        case MANAGER_PODMAN:
        case MANAGER_DOCKER:
                break;
        }
        if (feature == SANDBOX_FULL_PROC)
                return m == MANAGER_PODMAN ? "--security-opt unmask=ALL"
                                           : "--security-opt systempaths=unconfined";
        if (feature == SANDBOX_CGROUPS)
                return m == MANAGER_PODMAN ? "--security-opt unmask=/sys/fs/cgroup"
                                           : "--privileged";
        if (feature == SANDBOX_MOUNTS)
                return lacks_admin()         ? "--cap-add=SYS_ADMIN"
                       : is_filtered()       ? "--security-opt seccomp=unconfined"
                       : m == MANAGER_PODMAN ? "--security-opt label=disable or --security-opt "
                                               "apparmor=unconfined"
                                             : "--security-opt apparmor=unconfined";
        return oci[feature];
}

const char *sandbox_hint(enum sandbox_feature feature, char text[SANDBOX_HINT_SIZE])
{
        static const char *const names[] = {
                [MANAGER_PODMAN] = "Podman",
                [MANAGER_DOCKER] = "Docker",
                [MANAGER_LXC] = "LXC or Incus",
                [MANAGER_NSPAWN] = "nspawn",
        };
        enum manager m = find_manager();
        const char *option = option_for(m, feature);

        text[0] = '\0';
        if (option)
                (void) snprintf(text, SANDBOX_HINT_SIZE,
                                " The container around us does not allow it: start that one, which "
                                "is %s's, with %s.",
                                names[m], option);
        else if (m != MANAGER_NONE)
                (void) snprintf(text, SANDBOX_HINT_SIZE,
                                " The container around us does not allow it%s.",
                                feature != SANDBOX_MOUNTS ? ""
                                : lacks_admin()           ? ": it has no CAP_SYS_ADMIN"
                                : is_filtered()           ? ": its system call filter may forbid it"
                                                          : "");
        else if (feature == SANDBOX_MOUNTS)
                (void) snprintf(text, SANDBOX_HINT_SIZE,
                                " A sandbox or security module forbids it%s.",
                                lacks_admin() ? ": there is no CAP_SYS_ADMIN" : "");
        return text;
}
