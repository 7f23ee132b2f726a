/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "basic/macro.h"

/*
 * What the files of other managers of networks say about a link of ours, as text. Pure. net-facts.c
 * finds and reads them.
 */

enum manager_answer {
        MANAGER_DOES_NOT_SAY, /* the file is about other links */
        MANAGER_TAKES_IT,
        MANAGER_LEAVES_IT, /* the file is about this link: it is nobody's */
};

/* A link before it is there. */
struct manager_link {
        const char *name; /* "ve-web" */
        const char *kind; /* "veth", "bridge" */
};

/*
 * A .network file of systemd-networkd (systemd.network(5)). Of [Match] the keys Name=, Kind=,
 * Driver= and Type= are known; a file that asks for anything that a virtual link does not have, such as a
 * permanent address, is about other links; what it asks of the host is taken as given.
 */
enum manager_answer networkd_file_says(const char *path, const char *text, size_t size,
                                       const struct manager_link *link);

/* A drop-in for such a file, or the file: whether [Link] Unmanaged= is switched on (1), off (0), or
 * not said (-1). */
int networkd_file_unmanaged(const char *path, const char *text, size_t size);

/* The state of a link that is there already, /run/systemd/netif/links/INDEX. */
enum manager_answer networkd_state_says(const char *text, size_t size);

/* A connection profile of NetworkManager's (nm-settings-keyfile(5)): whether it names the link and is
 * switched on without being asked. */
enum manager_answer networkmanager_profile_says(const char *path, const char *text, size_t size,
                                                const char *link);

/* ---- not pure: net-manager-read.c ---- */

/*
 * What the manager says of the link, on the host whose files are below @root ("" for the real one).
 * One that does not run now says nothing; where none has ever run, nothing is read.
 */
enum manager_answer networkd_says(const char *root, const struct manager_link *link);
enum manager_answer networkmanager_says(const char *root, const struct manager_link *link);
