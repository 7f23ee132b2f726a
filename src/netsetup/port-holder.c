/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "netsetup/port-holder.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "basic/fd.h"
#include "basic/io.h"
#include "basic/strv.h"

#define TABLE_MAX (64U << 20)
#define COMMAND_MAX 4096
#define PROXY_NAME "port-proxy"
#define PROXY_MACHINE "--machine="

/* Columns of /proc/net/tcp and its like (proc_net_tcp.txt). */
enum { COLUMN_LOCAL = 1, COLUMN_STATE = 3, COLUMN_INODE = 9, N_COLUMNS };

/* Takes the line's number of the socket if it has the port. */
static int read_row(const char *line, const char *port, const char *state, char ***inodes,
                    struct port_holder *holder)
{
        char **columns CLEANUP_STRV = NULL;
        char *link CLEANUP_FREE = NULL;
        int r = strv_split(line, " \t", &columns);

        if (r < 0 || strv_length(columns) < N_COLUMNS)
                return r;
        if (!endswith(columns[COLUMN_LOCAL], port) || !streq(columns[COLUMN_STATE], state))
                return 0;
        if (columns[COLUMN_LOCAL][strspn(columns[COLUMN_LOCAL], "0")] == ':')
                holder->has_all = true;
        holder->is_known = true;
        if (asprintf(&link, "socket:[%s]", columns[COLUMN_INODE]) < 0) {
                link = NULL;
                return 0;
        }
        return strv_add(inodes, link);
}

static void read_table(const char *path, const char *port, const char *state, char ***inodes,
                       struct port_holder *holder)
{
        char *text CLEANUP_FREE = NULL, **lines CLEANUP_STRV = NULL;

        if (read_file_at(AT_FDCWD, path, TABLE_MAX, &text, NULL) < 0 ||
            strv_split(text, "\n", &lines) < 0)
                return;
        STRV_FOREACH(line, lines)
        {
                if (read_row(*line, port, state, inodes, holder) < 0)
                        return;
        }
}

/* Whether the process with folder @process_fd below /proc has one of the sockets. */
static bool has_socket(int process_fd, char *const *inodes)
{
        int fd = openat(process_fd, "fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
        struct dirent *entry;
        bool found = false;

        if (!dir) {
                fd_close(fd);
                return false;
        }
        while (!found && (entry = readdir(dir))) {
                char link[64];
                ssize_t n = readlinkat(dirfd(dir), entry->d_name, link, sizeof(link) - 1);

                if (n <= 0)
                        continue;
                link[n] = 0;
                found = strv_contains(inodes, link);
        }
        closedir(dir);
        return found;
}

/* The machine whose proxy it is, from its command line. */
static const char *machine_of(const char *command, size_t size)
{
        const char *end = command + size;

        for (const char *word = command; word < end; word += strlen(word) + 1) {
                const char *machine = startswith(word, PROXY_MACHINE);

                if (machine)
                        return machine;
        }
        return NULL;
}

static void describe(int process_fd, const char *pid, struct port_holder *ret)
{
        char name[64], *command CLEANUP_FREE = NULL;
        const char *machine = NULL;
        size_t size = 0;

        if (read_line_at(process_fd, "comm", name, sizeof(name)) < 0)
                return;
        if (streq(name, PROXY_NAME) &&
            read_file_at(process_fd, "cmdline", COMMAND_MAX, &command, &size) >= 0)
                machine = machine_of(command, size);
        if (machine)
                (void) snprintf(ret->text, sizeof(ret->text), "machine '%.64s'", machine);
        else
                (void) snprintf(ret->text, sizeof(ret->text), "'%s' (process %.10s)", name, pid);
}

static void find_process(char *const *inodes, struct port_holder *ret)
{
        DIR *dir = opendir("/proc");
        struct dirent *entry;
        bool found = false;

        while (dir && !found && (entry = readdir(dir))) {
                if (entry->d_name[0] < '1' || entry->d_name[0] > '9')
                        continue;

                int fd CLEANUP_FD =
                        openat(dirfd(dir), entry->d_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

                found = fd >= 0 && has_socket(fd, inodes);
                if (found)
                        describe(fd, entry->d_name, ret);
        }
        if (dir)
                closedir(dir);
}

void port_holder_find(enum net_protocol protocol, uint16_t port, struct port_holder *ret)
{
        bool tcp = protocol == NET_TCP;
        const char *state = tcp ? "0A" : "07"; /* listening; not connected */
        char text[8], **inodes CLEANUP_STRV = NULL;

        *ret = (struct port_holder){ .text = "another process" };
        (void) snprintf(text, sizeof(text), ":%04X", port);
        read_table(tcp ? "/proc/self/net/tcp" : "/proc/self/net/udp", text, state, &inodes, ret);
        read_table(tcp ? "/proc/self/net/tcp6" : "/proc/self/net/udp6", text, state, &inodes, ret);
        if (inodes)
                find_process(inodes, ret);
}
