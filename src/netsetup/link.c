/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A link of any kind. */

#include "netsetup/link.h"

#include <errno.h>

static int make_zone_port(const struct link_work *work, int *ret_bridge)
{
        struct lock_file lock CLEANUP_LOCK_FILE = LOCK_FILE_NULL;
        int bridge = zone_enter(work, &lock), index;

        if (bridge < 0)
                return bridge;
        *ret_bridge = bridge;
        index = veth_make(work, bridge);
        if (index < 0) {
                lock_file_release(&lock);
                (void) zone_leave(work->nl, work->link->master, 0, "");
        }
        return index;
}

static int make_veth(const struct link_work *work, int *ret_bridge)
{
        int bridge = 0;

        if (work->link->master_is_zone)
                return make_zone_port(work, ret_bridge);
        if (work->link->master[0]) {
                bridge = bridge_find(work);
                if (bridge < 0)
                        return bridge;
                *ret_bridge = bridge;
        }
        return veth_make(work, bridge);
}

int link_make(const struct link_work *work, int *ret_shown)
{
        int bridge = 0, index = -EINVAL;

        switch (work->link->kind) {
        case LINK_VETH:
        case LINK_EXTRA_VETH:
                index = make_veth(work, &bridge);
                break;
        case LINK_MACVLAN:
                index = macvlan_make(work);
                break;
        case LINK_IPVLAN:
                index = ipvlan_make(work);
                break;
        case LINK_MOVED:
                index = moved_make(work);
                break;
        }
        *ret_shown = work->link->kind == LINK_VETH && index > 0 ? (bridge ? bridge : index) : 0;
        return index;
}
