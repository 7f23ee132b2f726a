/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "basic/idmap.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "basic/fd.h"
#include "basic/io.h"
#include "basic/parse.h"
#include "basic/process.h"
#include "basic/siphash.h"

int idmap_parse(const char *text, struct idmap *ret)
{
        char base_text[16];
        const char *colon = strchr(text, ':');
        size_t n = colon ? (size_t) (colon - text) : strlen(text);
        unsigned long base = 0, count = IDMAP_DEFAULT_COUNT;
        int r;

        if (n >= sizeof(base_text))
                return -EINVAL;
        memcpy(base_text, text, n);
        base_text[n] = '\0';
        r = parse_ulong(base_text, 0, UINT32_MAX - 1, &base);
        if (r >= 0 && colon)
                r = parse_ulong(colon + 1, 1, UINT32_MAX - 1, &count);
        if (r < 0)
                return r;
        if (base + count > UINT32_MAX)
                return -ERANGE;
        *ret = (struct idmap){ .base = (uint32_t) base, .count = (uint32_t) count };
        return 0;
}

uint32_t idmap_base_from_name(const char *name)
{
        static const uint8_t key[16] = { 0xe1, 0x56, 0xe0, 0xf0, 0x4a, 0xf0, 0x41, 0xaf,
                                         0x96, 0x41, 0xcf, 0x41, 0x33, 0x94, 0xff, 0x72 };
        uint32_t h = (uint32_t) siphash24(name, strlen(name), key);

        return (h % (IDMAP_PICK_MAX - IDMAP_PICK_MIN) + IDMAP_PICK_MIN) & 0xFFFF0000U;
}

bool idmap_base_is_pickable(const struct idmap_window *window, uint32_t base)
{
        return base >= window->min && base <= window->max && base % IDMAP_DEFAULT_COUNT == 0;
}

bool idmap_window(uint32_t mapped, unsigned ranges, struct idmap_window *ret)
{
        uint32_t behind = (ranges - 1) * IDMAP_DEFAULT_COUNT;
        uint32_t have = mapped / IDMAP_DEFAULT_COUNT;

        if (mapped == 0 || mapped > IDMAP_PICK_MAX + IDMAP_DEFAULT_COUNT) {
                *ret = (struct idmap_window){ IDMAP_PICK_MIN, IDMAP_PICK_MAX - behind };
                return true;
        }
        if (have < ranges + 1)
                return false;
        *ret = (struct idmap_window){ IDMAP_DEFAULT_COUNT, (have - ranges) * IDMAP_DEFAULT_COUNT };
        return true;
}

uint32_t idmap_base_in_window(const struct idmap_window *window, uint32_t any)
{
        uint32_t n = (window->max - window->min) / IDMAP_DEFAULT_COUNT + 1;

        any -= any % IDMAP_DEFAULT_COUNT;
        return idmap_base_is_pickable(window, any)
                       ? any
                       : window->min + any / IDMAP_DEFAULT_COUNT % n * IDMAP_DEFAULT_COUNT;
}

/* The three numbers of one line; @text is moved behind it. False at the end, and at what is none. */
static bool map_line(const char **text, unsigned long numbers[3])
{
        for (size_t i = 0; i < 3; i++) {
                char word[24];
                size_t n;

                *text += strspn(*text, " ");
                n = strcspn(*text, " \n");
                if (n >= sizeof(word))
                        return false;
                memcpy(word, *text, n);
                word[n] = '\0';
                if (parse_ulong(word, 0, UINT32_MAX, &numbers[i]) < 0)
                        return false;
                *text += n;
        }
        *text += **text == '\n';
        return true;
}

uint32_t idmap_count_mapped(const char *text)
{
        unsigned long n = 0, before, line[3];

        /* The lines can be in any order. Each round takes at least one of them, or is the last. */
        do {
                before = n;
                for (const char *rest = text; map_line(&rest, line);)
                        if (line[0] <= n)
                                n = MAX_OF(n, line[0] + line[2]);
        } while (n != before);
        return (uint32_t) MIN_OF(n, (unsigned long) UINT32_MAX);
}

void idmap_to_text(const struct idmap *map, char text[64])
{
        (void) snprintf(text, 64, "0 %u %u\n", map->base, map->count);
}

static int write_maps(pid_t pid, const char *uid_map, const char *gid_map)
{
        char path[64];
        int dir_fd CLEANUP_FD = -1;
        int r;

        (void) snprintf(path, sizeof(path), "/proc/%d", (int) pid);
        dir_fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (dir_fd < 0)
                return -errno;
        r = write_file_at(dir_fd, "uid_map", uid_map);
        return r < 0 ? r : write_file_at(dir_fd, "gid_map", gid_map);
}

int idmap_write(const struct idmap *map, pid_t pid)
{
        char text[64];

        idmap_to_text(map, text);
        return write_maps(pid, text, text);
}

/* A namespace lives as long as somebody is in it, or has it open. Ends when the parent does. */
static _Noreturn void wait_inside(int read_fd, int write_fd)
{
        char byte;

        (void) fd_close(write_fd);
        while (read(read_fd, &byte, 1) < 0 && errno == EINTR)
                ;
        _exit(EXIT_SUCCESS);
}

int idmap_namespace_new(const char *uid_lines, const char *gid_lines)
{
        char path[64];
        int pipe_fds[2], pidfd = -1, fd = -1, r;
        struct process_end end;
        pid_t pid;

        if (pipe2(pipe_fds, O_CLOEXEC) < 0)
                return -errno;
        pid = process_clone(CLONE_NEWUSER, -1, &pidfd);
        if (pid == 0)
                wait_inside(pipe_fds[0], pipe_fds[1]);
        (void) fd_close(pipe_fds[0]);
        r = MIN_OF(pid, 0);
        if (r >= 0)
                r = write_maps(pid, uid_lines, gid_lines);
        if (r >= 0) {
                (void) snprintf(path, sizeof(path), "/proc/%d/ns/user", (int) pid);
                fd = open(path, O_RDONLY | O_CLOEXEC);
                r = fd < 0 ? -errno : fd;
        }
        (void) fd_close(pipe_fds[1]);
        if (pid > 0) {
                int waited = process_wait(pidfd, &end);

                (void) fd_close(pidfd);
                if (waited < 0 && r >= 0) {
                        (void) fd_close(fd);
                        r = waited;
                }
        }
        return r;
}

int idmap_open_one(uint32_t uid, uint32_t gid, uint32_t shown_uid, uint32_t shown_gid)
{
        char uid_map[64], gid_map[64];

        (void) snprintf(uid_map, sizeof(uid_map), "%u %u 1\n", uid, shown_uid);
        (void) snprintf(gid_map, sizeof(gid_map), "%u %u 1\n", gid, shown_gid);
        return idmap_namespace_new(uid_map, gid_map);
}
