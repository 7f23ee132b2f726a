/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "netsetup/net-config.h"

/* Who has a port of the host; looked for only when it could not be bound, for it is slow. */
struct port_holder {
        bool is_known;
        bool has_all;   /* at all addresses of a family; else at single ones only */
        char text[128]; /* "'nginx' (process 812)", "machine 'web'"; "another process" */
};

/* In the network namespace of the caller. */
void port_holder_find(enum net_protocol protocol, uint16_t port, struct port_holder *ret);
