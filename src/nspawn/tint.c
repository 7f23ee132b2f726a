/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "nspawn/tint.h"

#include <stdio.h>

#define ESCAPE '\x1b'
#define LARGE 10000 /* parameters are not larger */

void tint_init(struct tint *t, const char *background)
{
        *t = (struct tint){ .state = TINT_TEXT };
        (void) snprintf(t->sequence, sizeof(t->sequence), "\x1b[%.*sm", BACKGROUND_MAX, background);
}

static bool is_background(int parameter)
{
        return (parameter >= 40 && parameter <= 48) || (parameter >= 100 && parameter <= 107);
}

/* Whether an SGR sequence leaves the background to be the terminal's own. */
static bool takes_back(const struct tint *t)
{
        bool bare = false;

        for (size_t i = 0; i < t->n_parameters; i++) {
                int parameter = t->parameters[i];

                if (parameter == 0 || parameter == 49)
                        bare = true;
                else if (is_background(parameter))
                        bare = false;
                /* What follows these are parts of a colour: 5;N or 2;R;G;B. */
                if ((parameter == 38 || parameter == 48 || parameter == 58) &&
                    i + 1 < t->n_parameters)
                        i += t->parameters[i + 1] == 5 ? 2 : t->parameters[i + 1] == 2 ? 4 : 0;
        }
        return bare;
}

static void begin_sequence(struct tint *t)
{
        t->state = TINT_SEQUENCE;
        t->is_other = t->is_soft_reset = t->in_sub_parameter = false;
        t->n_parameters = 1;
        t->parameters[0] = 0;
}

static void take_parameter(struct tint *t, char byte)
{
        int *last = &t->parameters[t->n_parameters - 1];

        if (byte == ':')
                t->in_sub_parameter = true;
        else if (byte == ';') {
                t->in_sub_parameter = false;
                if (t->n_parameters == TINT_PARAMETERS_MAX)
                        t->is_other = true; /* nobody writes so many */
                else
                        t->parameters[t->n_parameters++] = 0;
        } else if (!t->in_sub_parameter)
                *last = MIN_OF(*last * 10 + (byte - '0'), LARGE);
}

/* One byte of a sequence. Whether the colour has to be set again behind it. */
static bool go_on_with_sequence(struct tint *t, char byte)
{
        if (byte >= '0' && byte <= ';')
                take_parameter(t, byte);
        else if (byte >= '<' && byte <= '?')
                t->is_other = true; /* private */
        else if (byte >= ' ' && byte <= '/') {
                t->is_soft_reset = byte == '!' && !t->is_other;
                t->is_other = true;
        } else if (byte >= '@' && byte <= '~') {
                t->state = TINT_TEXT;
                return byte == 'm' ? !t->is_other && takes_back(t)
                                   : byte == 'p' && t->is_soft_reset;
        }
        return false;
}

static bool look_at(struct tint *t, char byte)
{
        if (byte == ESCAPE) {
                t->state = TINT_ESCAPE;
                return false;
        }
        if (t->state == TINT_SEQUENCE)
                return go_on_with_sequence(t, byte);
        if (t->state != TINT_ESCAPE)
                return false;
        if (byte == '[') {
                begin_sequence(t);
                return false;
        }
        t->state = TINT_TEXT;
        return byte == 'c'; /* the terminal's reset */
}

size_t tint_apply(struct tint *t, const char *in, size_t n, char *out)
{
        size_t length = strlen(t->sequence), k = 0;

        for (size_t i = 0; i < n; i++) {
                out[k++] = in[i];
                if (look_at(t, in[i])) {
                        memcpy(out + k, t->sequence, length);
                        k += length;
                }
        }
        return k;
}
