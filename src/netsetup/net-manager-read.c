/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "netsetup/net-manager.h"

#include <dirent.h>
#include <fcntl.h>
#include <net/if.h>
#include <stdio.h>
#include <unistd.h>

#include "basic/io.h"
#include "basic/parse.h"
#include "basic/settings-file.h"
#include "basic/strv.h"

#define PATH_SIZE 512

/* An earlier folder's file takes the place of a later one's of the same name. */
static const char *const networkd_folders[] = {
        "/etc/systemd/network",     "/run/systemd/network", "/usr/local/lib/systemd/network",
        "/usr/lib/systemd/network", "/lib/systemd/network",
};
static const char *const networkmanager_folders[] = {
        "/etc/NetworkManager/system-connections",
        "/run/NetworkManager/system-connections",
        "/usr/lib/NetworkManager/system-connections",
};

static bool exists(const char *root, const char *path)
{
        char full[PATH_SIZE];

        return snprintf(full, sizeof(full), "%s%s", root, path) < (int) sizeof(full) &&
               access(full, F_OK) >= 0;
}

/* One read of a small file, "" if there is none. */
static void read_small(const char *root, const char *path, char *text, size_t size)
{
        char full[PATH_SIZE];

        text[0] = '\0';
        if (snprintf(full, sizeof(full), "%s%s", root, path) >= (int) sizeof(full) ||
            read_text_at(AT_FDCWD, full, text, size) < 0)
                text[0] = '\0';
}

/*
 * Whether the service has processes now. Its folders in /run outlive it, and asking the bus would need a
 * bus; its control group is there on every host with systemd, and only while it runs.
 */
static bool service_runs(const char *root, const char *service)
{
        static const char *const mounts[] = { "", "/unified", "/systemd" };
        char path[PATH_SIZE], text[64];

        for (size_t i = 0; i < ARRAY_SIZE(mounts); i++) {
                (void) snprintf(path, sizeof(path), "/sys/fs/cgroup%s/system.slice/%s/cgroup.procs",
                                mounts[i], service);
                read_small(root, path, text, sizeof(text));
                if (text[0])
                        return true;
        }
        return false;
}

/* Where another init started it, it says its number itself. */
static bool process_runs(const char *root, const char *pid_file, const char *comm)
{
        char path[PATH_SIZE], text[64];
        unsigned long pid;

        read_small(root, pid_file, text, sizeof(text));
        text[strcspn(text, "\n")] = '\0';
        if (parse_ulong(text, 1, INT32_MAX, &pid) < 0)
                return false;
        (void) snprintf(path, sizeof(path), "/proc/%lu/comm", pid);
        read_small(root, path, text, sizeof(text));
        text[strcspn(text, "\n")] = '\0';
        return streq(text, comm);
}

/* ---- folders of files -------------------------------------------------------------------- */

/* Adds the names of a folder that end with @suffix, but hidden ones. */
static int list_folder(const char *root, const char *folder, const char *suffix, char ***names)
{
        char path[PATH_SIZE];
        DIR *dir;
        int r = 0;

        (void) snprintf(path, sizeof(path), "%s%s", root, folder);
        dir = opendir(path);
        if (!dir)
                return 0;
        for (const struct dirent *e = readdir(dir); r >= 0 && e; e = readdir(dir))
                if (e->d_name[0] != '.' && endswith(e->d_name, suffix) &&
                    !strv_contains(*names, e->d_name))
                        r = strv_add(names, e->d_name);
        (void) closedir(dir);
        return r;
}

/* The file @name of the first folder that has one. NULL: none, or of no use. The caller frees it. */
static char *read_first(const char *root, const char *const *folders, size_t n, const char *name,
                        size_t *ret_size)
{
        for (size_t i = 0; i < n; i++) {
                char path[PATH_SIZE];
                char *text = NULL;

                if (snprintf(path, sizeof(path), "%s%s/%s", root, folders[i], name) >=
                    (int) sizeof(path))
                        continue;
                if (faccessat(AT_FDCWD, path, F_OK, AT_SYMLINK_NOFOLLOW) < 0)
                        continue;
                if (read_file_at(AT_FDCWD, path, SETTINGS_FILE_MAX, &text, ret_size) < 0)
                        return NULL;
                return text;
        }
        return NULL;
}

/* ---- systemd-networkd -------------------------------------------------------------------- */

/* Drop-ins may take a link out of its hands; the last one that says anything decides. */
static bool drop_ins_leave_it(const char *root, const char *file)
{
        char folders[ARRAY_SIZE(networkd_folders)][PATH_SIZE];
        const char *list[ARRAY_SIZE(networkd_folders)];
        char **names CLEANUP_STRV = NULL;
        int leaves = 0;

        for (size_t i = 0; i < ARRAY_SIZE(networkd_folders); i++) {
                (void) snprintf(folders[i], PATH_SIZE, "%s/%.255s.d", networkd_folders[i], file);
                list[i] = folders[i];
                if (list_folder(root, folders[i], ".conf", &names) < 0)
                        return false;
        }
        strv_sort(names);
        STRV_FOREACH(name, names)
        {
                size_t size = 0;
                char *text CLEANUP_FREE = read_first(root, list, ARRAY_SIZE(list), *name, &size);
                int r = text ? networkd_file_unmanaged(*name, text, size) : -1;

                leaves = r < 0 ? leaves : r;
        }
        return leaves;
}

static enum manager_answer networkd_files_say(const char *root, const struct manager_link *link)
{
        char **names CLEANUP_STRV = NULL;

        for (size_t i = 0; i < ARRAY_SIZE(networkd_folders); i++)
                if (list_folder(root, networkd_folders[i], ".network", &names) < 0)
                        return MANAGER_DOES_NOT_SAY;
        strv_sort(names);
        STRV_FOREACH(name, names)
        {
                size_t size = 0;
                char *text CLEANUP_FREE = read_first(root, networkd_folders,
                                                     ARRAY_SIZE(networkd_folders), *name, &size);
                enum manager_answer answer = MANAGER_DOES_NOT_SAY;

                if (text)
                        answer = networkd_file_says(*name, text, size, link);
                /* The first one that is about the link is the only one. */
                if (answer != MANAGER_DOES_NOT_SAY)
                        return drop_ins_leave_it(root, *name) ? MANAGER_LEAVES_IT : answer;
        }
        return MANAGER_DOES_NOT_SAY;
}

enum manager_answer networkd_says(const char *root, const struct manager_link *link)
{
        enum manager_answer answer = MANAGER_DOES_NOT_SAY;
        char path[PATH_SIZE], text[4096];
        unsigned index;

        if (!exists(root, "/run/systemd/netif") || !service_runs(root, "systemd-networkd.service"))
                return answer;
        index = if_nametoindex(link->name);
        if (index > 0) {
                (void) snprintf(path, sizeof(path), "/run/systemd/netif/links/%u", index);
                read_small(root, path, text, sizeof(text));
                answer = networkd_state_says(text, strlen(text));
        }
        return answer == MANAGER_DOES_NOT_SAY ? networkd_files_say(root, link) : answer;
}

/* ---- NetworkManager ---------------------------------------------------------------------- */

enum manager_answer networkmanager_says(const char *root, const struct manager_link *link)
{
        char **names CLEANUP_STRV = NULL;

        if (!exists(root, "/run/NetworkManager") ||
            (!service_runs(root, "NetworkManager.service") &&
             !process_runs(root, "/run/NetworkManager/NetworkManager.pid", "NetworkManager")))
                return MANAGER_DOES_NOT_SAY;
        for (size_t i = 0; i < ARRAY_SIZE(networkmanager_folders); i++)
                if (list_folder(root, networkmanager_folders[i], ".nmconnection", &names) < 0)
                        return MANAGER_DOES_NOT_SAY;
        STRV_FOREACH(name, names)
        {
                size_t size = 0;
                char *text CLEANUP_FREE =
                        read_first(root, networkmanager_folders, ARRAY_SIZE(networkmanager_folders),
                                   *name, &size);

                if (text &&
                    networkmanager_profile_says(*name, text, size, link->name) == MANAGER_TAKES_IT)
                        return MANAGER_TAKES_IT;
        }
        return MANAGER_DOES_NOT_SAY;
}
