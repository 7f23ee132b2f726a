/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "basic/id128.h"
#include "netsetup/net-config.h"

/* Names and MAC addresses of links, as other implementations make them. Pure. */

/* As the kernel has it (dev_valid_name): 1 to 15 bytes, no '/', ':' or white space, neither "." nor
 * ".."; and as systemd has it: printable ASCII, not only digits, no '%', neither "all" nor "default". */
bool link_name_is_valid(const char *name);

/*
 * "PREFIX" + @name, such as "ve-web". One of more than 15 bytes is cut to 11 and gets 4 characters of a
 * hash (with @truncate: is just cut to 15, as before systemd 245). Returns true if the name was shortened,
 * so that the long one becomes an alternative name.
 */
bool link_name_make(const char *prefix, const char *name, bool truncate, char ret[LINK_NAME_SIZE]);

/* Which MAC addresses are told apart (the key of the hash). */
enum mac_kind { MAC_HOST_END, MAC_GUEST_END, MAC_EXTRA_HOST, MAC_EXTRA_GUEST, MAC_MACVLAN };

/* Follows from the host's machine id, the name of machine or link, and a number that counts from 0. */
void mac_make(enum mac_kind kind, const struct id128 *host_id, const char *name, uint64_t index,
              uint8_t ret[MAC_SIZE]);

/* "02:00:00:aa:bb:cc"; no multicast address, not all zero. Returns 0 or -EINVAL. */
int mac_parse(const char *text, uint8_t ret[MAC_SIZE]);

#define MAC_TEXT_SIZE 18
const char *mac_text(const uint8_t mac[MAC_SIZE], char text[MAC_TEXT_SIZE]);
