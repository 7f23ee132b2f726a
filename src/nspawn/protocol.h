/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What supervisor and first process say to each other, over basic/channel.h. Both directions end
 * in silence: the end of file before MSG_GO is an error for the first process; for the supervisor
 * it means that the payload runs (the channel closed at its exec) or that the process died, which
 * its pidfd tells.
 *
 *      supervisor                                     first process
 *      ──────────                                     ─────────────
 *      clone3() ────────────────────────────────────▶ is born, in its namespaces and its cgroup
 *      writes the id map, moves it to its cgroup,
 *      builds the id-mapped mounts
 *      MSG_NAMESPACES + mounts ─────────────────────▶ only if there is anything of that to do
 *      makes the links                                mounts, names
 *      MSG_NETWORK ─────────────────────────────────▶ only if there are links: addresses, routes
 *      waits for names and published ports            limits, terminal
 *      MSG_GO ──────────────────────────────────────▶ drops what it may not keep
 *                                                     exec
 *      ◀────────────────────────── MSG_FAILED + text  at any time, instead of going on
 *      ◀──────────────────────────── MSG_API_REFUSED  proc or sysfs has to be mounted from outside
 */
enum message_type {
        MSG_NAMESPACES = 1,
        MSG_NETWORK,
        MSG_GO,
        MSG_FAILED,
        MSG_API_REFUSED,
};
