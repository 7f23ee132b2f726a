/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <sys/types.h>

#include "basic/macro.h"

/* A range of ids of a user namespace: inside 0…count-1 is outside base…base+count-1. */
struct idmap {
        uint32_t base;
        uint32_t count;
};

#define IDMAP_DEFAULT_COUNT 65536U
#define IDMAP_PICK_MIN 0x00080000U /* the window from which ranges are picked */
#define IDMAP_PICK_MAX 0x6FFF0000U

/* "BASE" or "BASE:COUNT". -EINVAL (no numbers), -ERANGE (empty, or beyond 4294967295). */
int idmap_parse(const char *text, struct idmap *ret);

/* The range that a machine name leads to first; the same on every host. */
uint32_t idmap_base_from_name(const char *name);

/* The bases that ranges of @ranges times 65536 ids can have where the ids 0…@mapped-1 exist (0: all).
 * On a host that is the window of systemd's tools; in a user namespace all that lies behind the first
 * 65536 ids. False if there is none. */
struct idmap_window {
        uint32_t min, max;
};
bool idmap_window(uint32_t mapped, unsigned ranges, struct idmap_window *ret);

/* Whether it is the first of a 64K range, and inside the window. */
bool idmap_base_is_pickable(const struct idmap_window *window, uint32_t base);

/* A base in the window for @any number; for one that lies in it already, that one. */
uint32_t idmap_base_in_window(const struct idmap_window *window, uint32_t any);

/* How many ids a map as in /proc/self/uid_map has, from 0 on without a gap. */
uint32_t idmap_count_mapped(const char *text);

/* "INSIDE OUTSIDE COUNT\n", as /proc/PID/uid_map takes it (user_namespaces(7)). */
void idmap_to_text(const struct idmap *map, char text[64]);

/*
 * A user namespace that maps one user and one group, for a mount (mount_set_idmap()): what is stored
 * as theirs is shown as that of @shown_uid and @shown_gid, and nobody else's. Returns its
 * descriptor, or a negative errno.
 */
int idmap_open_one(uint32_t uid, uint32_t gid, uint32_t shown_uid, uint32_t shown_gid);

/* Writes uid_map and gid_map of @pid, by its open /proc directory. */
int idmap_write(const struct idmap *map, pid_t pid);

/*
 * A user namespace that only stands for a map, for mount_set_idmap(): ids on disk are "inside", those
 * shown are "outside". Lines as in /proc/PID/uid_map. Returns its descriptor, or a negative errno.
 */
int idmap_namespace_new(const char *uid_lines, const char *gid_lines);
