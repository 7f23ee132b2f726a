/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Setters of options that are about the life of a machine. */

#include "nspawn/setters.h"

int set_time(struct container_config *c, const struct setting *s, struct failure *failure)
{
        static const char *const words[] = { "auto", "host", "private", NULL };
        static const int numbers[] = { TIME_AUTO, TIME_HOST, TIME_PRIVATE };
        int number = 0, r = setting_set_word(s, words, numbers, &number, failure);

        if (r == 0)
                c->time_mode = (enum time_mode) number;
        return r;
}
