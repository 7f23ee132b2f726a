/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "basic/bpf-device.h"

/*
 * The conversation between the supervisor and its helper host-scope, over the channel that is
 * descriptor 3 of the helper:
 *
 *      supervisor                              host-scope
 *      SCOPE_MACHINE   text: name          →
 *      SCOPE_SLICE     text: slice unit    →
 *      SCOPE_PROPERTY  text: NAME=VALUE    →   any number of them
 *      SCOPE_DEVICE    value: packed rule  →   any number of them
 *      SCOPE_CLOSED_DEVICES                →   if there is a device policy
 *      SCOPE_KILL      value: signal       →   if there is one
 *      SCOPE_START     value: pid, pidfd   →   makes the unit, waits for the job
 *                                          ←   SCOPE_READY   text: path of the group
 *                                          ←   or SCOPE_FAILED: error, text
 *                                          ←   SCOPE_STOP_REQUESTED, later, at any time
 *      end of file                         →   gives the unit up and ends
 */
enum scope_message {
        SCOPE_MACHINE = 1,
        SCOPE_SLICE,
        SCOPE_PROPERTY,
        SCOPE_DEVICE,
        SCOPE_CLOSED_DEVICES,
        SCOPE_KILL,
        SCOPE_START,
        SCOPE_READY,
        SCOPE_FAILED,
        SCOPE_STOP_REQUESTED,
};

#define SCOPE_CHANNEL_FD 3

/* A rule in one number: type, access, and major and minor plus one, so that "any" is zero. */
static inline uint64_t scope_device_pack(const struct device_rule *rule)
{
        return (uint64_t) (unsigned char) rule->type << 56 | (uint64_t) rule->access << 48 |
               ((uint64_t) (rule->major + 1) & 0xffffff) << 24 |
               ((uint64_t) (rule->minor + 1) & 0xffffff);
}

static inline struct device_rule scope_device_unpack(uint64_t value)
{
        return (struct device_rule){ .type = (char) (value >> 56),
                                     .access = value >> 48 & 0xff,
                                     .major = (int) (value >> 24 & 0xffffff) - 1,
                                     .minor = (int) (value & 0xffffff) - 1 };
}
