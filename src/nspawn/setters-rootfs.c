/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Setters of the options that decide what the root directory is made of. */

#include "nspawn/setters.h"

#include <errno.h>

#include "basic/parse.h"

int set_volatile(struct container_config *c, const struct setting *s, struct failure *failure)
{
        static const char *const words[] = { "no", "yes", "state", "overlay", NULL };
        static const int modes[] = { VOLATILE_NO, VOLATILE_YES, VOLATILE_STATE, VOLATILE_OVERLAY };
        bool value = true;
        int mode = VOLATILE_NO, r = 0;

        if (!s->value || parse_boolean(s->value, &value) >= 0)
                mode = value ? VOLATILE_YES : VOLATILE_NO;
        else
                r = setting_set_word(s, words, modes, &mode, failure);
        if (r == 0)
                c->volatile_mode = (enum volatile_mode) mode;
        return r;
}
