/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "netsetup/names-process.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "basic/caps.h"
#include "basic/fd.h"
#include "basic/log.h"
#include "basic/process.h"

/*
 * dnsmasq could give up root itself, but the kernel takes the death signal away from who changes its user.
 * So it never is root: it gets what it needs as ambient capabilities, and then asks for no user.
 */
#define CAPABILITIES                                                                               \
        (UINT64_C(1) << CAP_NET_ADMIN | UINT64_C(1) << CAP_NET_RAW |                               \
         UINT64_C(1) << CAP_NET_BIND_SERVICE)

struct user {
        uid_t uid;
        gid_t gid;
};

/* With static linking out of the question here, the host's own look-up serves. */
static struct user find_user(void)
{
        const struct passwd *p = getpwnam("dnsmasq");

        if (!p)
                p = getpwnam("nobody");
        return p ? (struct user){ p->pw_uid, p->pw_gid } : (struct user){ 65534, 65534 };
}

/* Where the user does not exist, as in a namespace with few of them, it stays root, but has no more
 * capabilities than the others. */
static int drop_privileges(const struct user *user)
{
        int r;

        if (prctl(PR_SET_KEEPCAPS, 1) < 0 || setgroups(0, NULL) < 0)
                return -errno;
        r = caps_limit_bounding(CAPABILITIES);
        if (r < 0)
                return r;
        if ((setresgid(user->gid, user->gid, user->gid) < 0 ||
             setresuid(user->uid, user->uid, user->uid) < 0) &&
            errno != EINVAL)
                return -errno;
        r = caps_set(CAPABILITIES, CAPABILITIES, CAPABILITIES);
        return r < 0 ? r : caps_raise_ambient(CAPABILITIES);
}

static _Noreturn void run(char *const *argv, const struct user *user, pid_t keeper, int stderr_fd)
{
        char path[] = "PATH=/usr/sbin:/usr/bin:/sbin:/bin";
        char *environment[] = { path, NULL };
        int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);

        /* Two sockets for each address of each link. */
        (void) fd_raise_limit();
        if (process_reset_signals() < 0 || null_fd < 0 || dup2(null_fd, 0) < 0 ||
            dup2(null_fd, 1) < 0 || dup2(stderr_fd, 2) < 0 || fd_cloexec_from(3) < 0 ||
            drop_privileges(user) < 0 || prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 ||
            prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || getppid() != keeper)
                _exit(126);
        execve(argv[0], argv, environment);
        _exit(127);
}

int names_process_start(char *const *argv, int *ret_pidfd, int *ret_stderr_fd,
                        struct failure *failure)
{
        const struct user user = find_user();
        pid_t keeper = getpid(), pid;
        int out[2];

        if (pipe2(out, O_CLOEXEC) < 0)
                return failure_set(failure, -errno, "Cannot make a pipe for '%s': %s.", argv[0],
                                   error_text(-errno));
        int read_fd CLEANUP_FD = out[0], write_fd CLEANUP_FD = out[1];

        if (fcntl(read_fd, F_SETFL, O_NONBLOCK) < 0)
                return failure_set(failure, -errno, "Cannot make a pipe for '%s': %s.", argv[0],
                                   error_text(-errno));
        pid = process_clone(0, -1, ret_pidfd);
        if (pid == 0)
                run(argv, &user, keeper, write_fd);
        if (pid < 0)
                return failure_set(failure, (int) pid, "Cannot start '%s': %s.", argv[0],
                                   error_text((int) pid));
        *ret_stderr_fd = TAKE_FD(read_fd);
        return 0;
}
