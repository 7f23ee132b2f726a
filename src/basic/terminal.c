/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "basic/terminal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <unistd.h>

int terminal_reopen(int fd, int flags)
{
        char path[64];
        int copy;

        (void) snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
        copy = open(path, flags | O_CLOEXEC | O_NOCTTY);
        return copy < 0 ? -errno : copy;
}

int terminal_set_raw(int fd, struct termios *ret_saved)
{
        struct termios saved, raw;

        if (tcgetattr(fd, &saved) < 0)
                return -errno;
        raw = saved;
        cfmakeraw(&raw);
        if (tcsetattr(fd, TCSANOW, &raw) < 0)
                return -errno;
        *ret_saved = saved;
        return 0;
}

void terminal_restore(int fd, const struct termios *saved)
{
        (void) tcsetattr(fd, TCSANOW, saved);
}

int terminal_copy_size(int from, int to)
{
        struct winsize size;

        if (ioctl(from, TIOCGWINSZ, &size) < 0)
                return -errno;
        return ioctl(to, TIOCSWINSZ, &size) < 0 ? -errno : 0;
}
