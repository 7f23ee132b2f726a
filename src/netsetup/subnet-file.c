/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "netsetup/subnet-file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "basic/env-file.h"
#include "basic/fd.h"
#include "basic/io.h"

#define PATH_SIZE 512

bool subnet_file_parse(const char *text, size_t size, struct net_address *ret4,
                       struct net_address *ret6)
{
        struct env_file file CLEANUP_ENV_FILE = { .n = 0 };
        struct net_address four, six = { .family = 0 };
        const char *prefix4, *prefix6;

        if (env_file_parse(text, size, &file) < 0)
                return false;
        prefix4 = env_file_get(&file, "PREFIX4");
        prefix6 = env_file_get(&file, "PREFIX6");
        if (!prefix4 || net_address_parse(prefix4, &four) < 0 || four.family != AF_INET ||
            four.prefix < 8 || four.prefix > 29)
                return false;
        if (prefix6 && *prefix6 &&
            (net_address_parse(prefix6, &six) < 0 || six.family != AF_INET6 || six.prefix != 64))
                return false;
        *ret4 = net_address_network(&four);
        *ret6 = six.family ? net_address_network(&six) : six;
        return true;
}

bool subnet_file_read(const char *folder, const char *network, struct net_address *ret4,
                      struct net_address *ret6)
{
        char path[PATH_SIZE], text[512];

        if (snprintf(path, sizeof(path), "%s/%s/subnet", folder, network) >= (int) sizeof(path))
                return false;
        return read_text_at(AT_FDCWD, path, text, sizeof(text)) >= 0 &&
               subnet_file_parse(text, strlen(text), ret4, ret6);
}

int subnet_file_read_others(const char *folder, const char *network, struct net_busy *busy)
{
        DIR *dir = opendir(folder);
        int r = 0;

        if (!dir)
                return errno == ENOENT ? 0 : -errno;
        for (const struct dirent *e = readdir(dir); r >= 0 && e; e = readdir(dir)) {
                struct net_address four, six;

                if (e->d_name[0] == '.' || streq(e->d_name, network) ||
                    !subnet_file_read(folder, e->d_name, &four, &six))
                        continue;
                r = net_busy_add(busy, &four, true);
                if (r >= 0 && six.family)
                        r = net_busy_add(busy, &six, true);
        }
        (void) closedir(dir);
        return r;
}

int subnet_file_lock(const char *folder, const char *network, struct lock_file *ret)
{
        char path[PATH_SIZE];
        int r = make_directories(folder, 0755);

        if (snprintf(path, sizeof(path), "%s/%s", folder, network) >= (int) sizeof(path))
                return -ENAMETOOLONG;
        if (r >= 0)
                r = make_directories(path, 0700);
        if (r < 0)
                return r;
        (void) snprintf(path, sizeof(path), "%s/.lock", folder);
        return lock_file_acquire_waiting(path, ret);
}

int subnet_file_write(const char *folder, const char *network, const struct net_address *prefix4,
                      const struct net_address *prefix6)
{
        char path[PATH_SIZE], text[256], four[NET_ADDRESS_TEXT_SIZE], six[NET_ADDRESS_TEXT_SIZE];
        int dir CLEANUP_FD = -1;

        (void) snprintf(path, sizeof(path), "%s/%s", folder, network);
        dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (dir < 0)
                return -errno;
        (void) snprintf(text, sizeof(text), "PREFIX4=%s\nPREFIX6=%s\n",
                        net_address_prefix_text(prefix4, four),
                        net_address_prefix_text(prefix6, six));
        return replace_file_at(dir, "subnet", 0600, text);
}
