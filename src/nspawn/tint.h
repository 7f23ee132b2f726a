/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "nspawn/config.h"

/*
 * Keeps a terminal's background in a colour while somebody else writes to it: whenever their bytes
 * take the background back to the terminal's own, the colour is set again (ECMA-48, SGR). Pure.
 */

#define TINT_PARAMETERS_MAX 32

enum tint_state { TINT_TEXT, TINT_ESCAPE, TINT_SEQUENCE };

struct tint {
        char sequence[BACKGROUND_MAX + 4]; /* sets the colour */
        enum tint_state state;             /* in what the last byte was */
        bool is_other;                     /* the sequence is not SGR, whatever its end is */
        bool is_soft_reset;                /* it has been "!" so far */
        bool in_sub_parameter;
        int parameters[TINT_PARAMETERS_MAX];
        size_t n_parameters;
};

/* @background: at most BACKGROUND_MAX characters of SGR parameters. */
void tint_init(struct tint *t, const char *background);

/* What one byte may become. */
#define TINT_GROWTH (BACKGROUND_MAX + 4)

/* Copies @n bytes of @in to @out with what has to be added. Returns how many they are then: at
 * most TINT_GROWTH times as many. */
size_t tint_apply(struct tint *t, const char *in, size_t n, char *out);
