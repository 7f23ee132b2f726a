/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "netsetup/ifname.h"

#include <errno.h>
#include <stdio.h>

#include "basic/parse.h"
#include "basic/siphash.h"

#define LINK_NAME_MAX (LINK_NAME_SIZE - 1)
/* What a long name keeps of itself; four characters of its hash follow. */
#define KEPT_LENGTH 11

bool link_name_is_valid(const char *name)
{
        size_t n = strlen(name);

        if (n == 0 || n > LINK_NAME_MAX)
                return false;
        for (const char *p = name; *p; p++)
                if (*p <= ' ' || *p > '~' || strchr("/:%", *p))
                        return false;
        if (strspn(name, "0123456789") == n)
                return false; /* it would be read as an index */
        return !streq(name, ".") && !streq(name, "..") && !streq(name, "all") &&
               !streq(name, "default"); /* names in /proc/sys/net */
}

/* The alphabet of names in URLs (RFC 4648, section 5): no '/'. */
static char character_of(uint64_t six_bits)
{
        static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                                       "0123456789-_";

        return alphabet[six_bits & 63];
}

bool link_name_make(const char *prefix, const char *name, bool truncate, char ret[LINK_NAME_SIZE])
{
        static const uint8_t key[16] = { 0xe1, 0x90, 0xa4, 0x04, 0xa8, 0xef, 0x4b, 0x51,
                                         0x8c, 0xcc, 0xc3, 0x3a, 0x9f, 0x11, 0xfc, 0xa2 };
        char full[512];
        int n = snprintf(full, sizeof(full), "%s%s", prefix, name);
        uint64_t hash;

        assert(n >= 0 && (size_t) n < sizeof(full));
        (void) snprintf(ret, LINK_NAME_SIZE, "%.*s", LINK_NAME_MAX, full);
        if (n <= LINK_NAME_MAX)
                return false;
        if (truncate)
                return true;
        hash = siphash24(full, (size_t) n, key);
        for (unsigned i = 0; i < LINK_NAME_MAX - KEPT_LENGTH; i++)
                ret[KEPT_LENGTH + i] = character_of(hash >> (18 - 6 * i));
        return true;
}

static const uint8_t mac_keys[][16] = {
        [MAC_HOST_END] = { 0x1a, 0x37, 0x6f, 0xc7, 0x46, 0xec, 0x45, 0x0b, 0xad, 0xa3, 0xd5, 0x31,
                           0x06, 0x60, 0x5d, 0xb1 },
        [MAC_GUEST_END] = { 0xc3, 0xc4, 0xf9, 0x19, 0xb5, 0x57, 0xb2, 0x1c, 0xe6, 0xcf, 0x14, 0x27,
                            0x03, 0x9c, 0xee, 0xa2 },
        [MAC_EXTRA_HOST] = { 0x48, 0xc7, 0xf6, 0xb7, 0xea, 0x9d, 0x4c, 0x9e, 0xb7, 0x28, 0xd4, 0xde,
                             0x91, 0xd5, 0xbf, 0x66 },
        [MAC_EXTRA_GUEST] = { 0xaf, 0x50, 0x17, 0x61, 0xce, 0xf9, 0x4d, 0x35, 0x84, 0x0d, 0x2b,
                              0x20, 0x54, 0xbe, 0xce, 0x59 },
        [MAC_MACVLAN] = { 0x00, 0x13, 0x6d, 0xbc, 0x66, 0x83, 0x44, 0x81, 0xbb, 0x0c, 0xf9, 0x51,
                          0x1f, 0x24, 0xa6, 0x6f },
};

void mac_make(enum mac_kind kind, const struct id128 *host_id, const char *name, uint64_t index,
              uint8_t ret[MAC_SIZE])
{
        uint8_t input[sizeof(host_id->bytes) + 512 + sizeof(index)];
        size_t n = strlen(name), size = sizeof(host_id->bytes);
        uint64_t hash;

        assert(n <= 512);
        memcpy(input, host_id->bytes, sizeof(host_id->bytes));
        for (size_t i = 0; i < n; i++)
                input[size++] = (uint8_t) name[i];
        /* The first one has no number, so that a name alone gives the address that it always had. */
        for (unsigned i = 0; index > 0 && i < sizeof(index); i++)
                input[size++] = (uint8_t) (index >> (8 * i));
        hash = siphash24(input, size, mac_keys[kind]);
        for (unsigned i = 0; i < MAC_SIZE; i++)
                ret[i] = (uint8_t) (hash >> (8 * i));
        ret[0] &= 0xfe; /* no multicast */
        ret[0] |= 0x02; /* administered locally */
}

int mac_parse(const char *text, uint8_t ret[MAC_SIZE])
{
        uint8_t mac[MAC_SIZE], any = 0;

        if (strlen(text) != MAC_TEXT_SIZE - 1)
                return -EINVAL;
        for (size_t i = 0; i < MAC_SIZE; i++) {
                int high = parse_hex_digit(text[3 * i]), low = parse_hex_digit(text[3 * i + 1]);

                if (high < 0 || low < 0 || text[3 * i + 2] != (i + 1 < MAC_SIZE ? ':' : '\0'))
                        return -EINVAL;
                mac[i] = (uint8_t) (high << 4 | low);
                any |= mac[i];
        }
        if (!any || mac[0] & 1)
                return -EINVAL;
        memcpy(ret, mac, MAC_SIZE);
        return 0;
}

const char *mac_text(const uint8_t mac[MAC_SIZE], char text[MAC_TEXT_SIZE])
{
        (void) snprintf(text, MAC_TEXT_SIZE, "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1],
                        mac[2], mac[3], mac[4], mac[5]);
        return text;
}
