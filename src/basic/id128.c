/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "basic/id128.h"

#include <errno.h>
#include <stdio.h>
#include <sys/random.h>

#include "basic/parse.h"

static bool dash_belongs_before(size_t byte)
{
        return byte == 4 || byte == 6 || byte == 8 || byte == 10;
}

int id128_parse(const char *text, struct id128 *ret)
{
        bool dashed = strlen(text) == 36;
        struct id128 id;

        if (!dashed && strlen(text) != 32)
                return -EINVAL;
        for (size_t i = 0; i < sizeof(id.bytes); i++) {
                int high, low;

                if (dashed && dash_belongs_before(i) && *text++ != '-')
                        return -EINVAL;
                high = parse_hex_digit(*text++);
                low = high < 0 ? -1 : parse_hex_digit(*text++);
                if (low < 0)
                        return -EINVAL;
                id.bytes[i] = (uint8_t) (high << 4 | low);
        }
        *ret = id;
        return 0;
}

bool id128_is_null(const struct id128 *id)
{
        static const struct id128 null_id;

        return memcmp(id, &null_id, sizeof(null_id)) == 0;
}

static void id128_format(const struct id128 *id, bool dashes, char *text)
{
        static const char digits[] = "0123456789abcdef";

        for (size_t i = 0; i < sizeof(id->bytes); i++) {
                if (dashes && dash_belongs_before(i))
                        *text++ = '-';
                *text++ = digits[id->bytes[i] >> 4];
                *text++ = digits[id->bytes[i] & 15];
        }
        *text = '\0';
}

void id128_to_uuid(const struct id128 *id, char text[ID128_TEXT_SIZE])
{
        id128_format(id, true, text);
}

void id128_to_plain(const struct id128 *id, char text[ID128_TEXT_SIZE])
{
        id128_format(id, false, text);
}

int id128_random(struct id128 *ret)
{
        struct id128 id;

        if (getrandom(&id, sizeof(id), 0) != (ssize_t) sizeof(id))
                return errno ? -errno : -EIO;
        id.bytes[6] = (uint8_t) ((id.bytes[6] & 0x0f) | 0x40);
        id.bytes[8] = (uint8_t) ((id.bytes[8] & 0x3f) | 0x80);
        *ret = id;
        return 0;
}
