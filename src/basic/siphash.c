/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "basic/siphash.h"

#include <endian.h>

struct sip_state {
        uint64_t v0, v1, v2, v3;
};

static uint64_t rotate(uint64_t x, unsigned bits)
{
        return x << bits | x >> (64 - bits);
}

static uint64_t load64(const uint8_t *p)
{
        uint64_t v;

        memcpy(&v, p, sizeof(v));
        return le64toh(v);
}

static void sip_round(struct sip_state *s)
{
        s->v0 += s->v1;
        s->v1 = rotate(s->v1, 13) ^ s->v0;
        s->v0 = rotate(s->v0, 32);
        s->v2 += s->v3;
        s->v3 = rotate(s->v3, 16) ^ s->v2;
        s->v0 += s->v3;
        s->v3 = rotate(s->v3, 21) ^ s->v0;
        s->v2 += s->v1;
        s->v1 = rotate(s->v1, 17) ^ s->v2;
        s->v2 = rotate(s->v2, 32);
}

static void sip_word(struct sip_state *s, uint64_t word)
{
        s->v3 ^= word;
        sip_round(s);
        sip_round(s);
        s->v0 ^= word;
}

uint64_t siphash24(const void *data, size_t n, const uint8_t key[16])
{
        const uint8_t *p = data;
        uint64_t k0 = load64(key), k1 = load64(key + 8), last = (uint64_t) n << 56;
        struct sip_state s = { k0 ^ 0x736f6d6570736575, k1 ^ 0x646f72616e646f6d,
                               k0 ^ 0x6c7967656e657261, k1 ^ 0x7465646279746573 };

        for (; n >= 8; n -= 8, p += 8)
                sip_word(&s, load64(p));
        for (size_t i = 0; i < n; i++)
                last |= (uint64_t) p[i] << (8 * i);
        sip_word(&s, last);
        s.v2 ^= 0xff;
        for (int i = 0; i < 4; i++)
                sip_round(&s);
        return s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
}
