/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "basic/failure.h"
#include "netsetup/net-plan.h"
#include "nspawn/facts.h"

/* How /etc/resolv.conf and /etc/localtime of the container follow the host's. */
enum etc_way {
        ETC_OFF,
        ETC_COPY,    /* resolv.conf: a link in its place is the guest's, and stays */
        ETC_REPLACE, /* the same, but what is there gives way, also a link */
        ETC_BIND,
        ETC_LINK,
        ETC_DELETE,
        /* resolv.conf names the servers of a network of ours: */
        ETC_NETWORK,      /* written, unless somebody has named others, or it is a link */
        ETC_NETWORK_BIND, /* shown by a mount */
        ETC_NETWORK_RUN,  /* written to where a link leads, below /run */
};

#define ETC_TEXT_SIZE 1024

struct etc_plan {
        enum etc_way resolv_conf;
        const char *resolv_conf_source;       /* on the host; borrowed from constants */
        char resolv_conf_text[ETC_TEXT_SIZE]; /* of ETC_NETWORK* */
        const char *resolv_conf_link; /* of ETC_NETWORK_RUN, below /run; borrowed from the facts */
        bool resolv_conf_is_stale;    /* one of ours, of an earlier start, is taken away */
        enum etc_way localtime;
        const char *localtime_zone; /* borrowed from the facts */
        /* Asked for in so many words: what cannot be done is told. */
        bool resolv_conf_is_explicit, localtime_is_explicit;
        bool writable;         /* /etc of the tree may be changed */
        bool base_directories; /* create what every tree needs and this one lacks */
};

/* Decides both. Pure. @network: NULL: it is the host's. */
struct etc_plan etc_plan_build(const struct container_config *c, const struct host_facts *host,
                               const struct tree_facts *tree, const struct net_plan *network);

/*
 * Changes the tree: missing base directories, then the two files. @owner is the id on disk of the
 * container's root. A file that cannot be written is worth a warning, not a failure.
 */
int etc_plan_run(const struct etc_plan *plan, int root_fd, uid_t owner, struct failure *failure);

const char *etc_way_name(enum etc_way way);
