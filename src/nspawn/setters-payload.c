/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Setters of what the payload is started with: what it may do beyond its user, where it runs, what
 * it takes the host for.
 */

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <sys/personality.h>

#include "basic/parse.h"
#include "basic/strv.h"
#include "nspawn/families.h"
#include "nspawn/setters.h"

int set_ambient_capability(struct container_config *c, const struct setting *s,
                           struct failure *failure)
{
        uint64_t set = 0;
        int r = setting_capabilities(s, &set, failure);

        if (r == 0)
                c->ambient_capabilities |= set;
        return r;
}

int set_address_families(struct container_config *c, const struct setting *s,
                         struct failure *failure)
{
        bool deny = s->value[0] == '~';
        char **words CLEANUP_STRV = NULL, **terms CLEANUP_STRV = NULL;

        if (setting_asks_for_help(s)) {
                for (size_t i = 0; family_name(i); i++)
                        (void) puts(family_name(i));
                return 1;
        }
        if (strv_split(s->value + deny, " \t\n", &words) < 0)
                return failure_set(failure, -ENOMEM, "Out of memory.");
        if (!words && !deny)
                c->address_families = strv_free(c->address_families);
        STRV_FOREACH(word, words)
        {
                char term[32];

                if (family_from_name(*word) < 0)
                        return failure_set(
                                failure, -EINVAL,
                                "Cannot use '%s': '%s' is not a family of addresses. See "
                                "--restrict-address-families=help.",
                                s->origin, *word);
                (void) snprintf(term, sizeof(term), "%s%s", deny ? "~" : "", *word);
                if (strv_add(&terms, term) < 0)
                        return failure_set(failure, -ENOMEM, "Out of memory.");
        }
        return strv_add_all(&c->address_families, terms) < 0
                       ? failure_set(failure, -ENOMEM, "Out of memory.")
                       : 0;
}

int set_oom_score_adjust(struct container_config *c, const struct setting *s,
                         struct failure *failure)
{
        long value = 0;

        if (parse_long(s->value, -1000, 1000, &value) < 0)
                return setting_refuse(s, failure, -EINVAL,
                                      "give a number from -1000 (never killed) to 1000");
        c->oom_score_adjust = (int) value;
        c->oom_score_adjust_set = true;
        return 0;
}

/* On the command line the last one counts, and may be empty; the lines of a file add up. */
int set_cpu_affinity(struct container_config *c, const struct setting *s, struct failure *failure)
{
        char *list CLEANUP_FREE = NULL, *both CLEANUP_FREE = NULL;
        int r;

        if (!s->from_file && *s->value == '\0') {
                free(c->cpu_affinity);
                c->cpu_affinity = NULL;
                return 0;
        }
        r = parse_cpu_list(s->value, &list);
        if (r == -ENOMEM)
                return failure_set(failure, r, "Out of memory.");
        if (r < 0)
                return setting_refuse(s, failure, r, "give numbers of CPUs, for example 0-3,7");
        if (!s->from_file || !c->cpu_affinity)
                return setting_replace_string(&c->cpu_affinity, list, failure);
        if (asprintf(&both, "%s,%s", c->cpu_affinity, list) < 0)
                return failure_set(failure, -ENOMEM, "Out of memory.");
        return setting_replace_string(&c->cpu_affinity, both, failure);
}

/* The native architecture, and the one of 32 bits that the same processors run. */
#if defined(__x86_64__)
#define NATIVE "x86-64"
#define SIBLING "x86"
#elif defined(__i386__)
#define NATIVE "x86"
#elif defined(__aarch64__)
#define NATIVE "arm64"
#define SIBLING "arm"
#elif defined(__arm__)
#define NATIVE "arm"
#elif defined(__s390x__)
#define NATIVE "s390x"
#define SIBLING "s390"
#elif defined(__powerpc64__) && defined(__LITTLE_ENDIAN__)
#define NATIVE "ppc64-le"
#define SIBLING "ppc-le"
#elif defined(__riscv)
#define NATIVE "riscv64"
#else
#define NATIVE "native"
#endif
#ifndef SIBLING
#define SIBLING NULL
#endif

int set_personality(struct container_config *c, const struct setting *s, struct failure *failure)
{
        static const char *const words[] = { NATIVE, SIBLING, NULL };
        static const int numbers[] = { PER_LINUX, PER_LINUX32 };
        int number = 0, r = setting_set_word(s, words, numbers, &number, failure);

        if (r != 0)
                return r;
        c->personality = number == PER_LINUX ? words[0] : words[1];
        c->personality_id = (unsigned long) number;
        return 0;
}

int set_selinux_label(struct container_config *c, const struct setting *s, struct failure *failure)
{
        if (*s->value == '\0' || strlen(s->value) > 4095 || strpbrk(s->value, "\"\\\n"))
                return setting_refuse(s, failure, -EINVAL,
                                      "give a label such as system_u:system_r:container_t:s0");
        return setting_replace_string(setting_field(c, s->row), s->value, failure);
}

int set_share_system(struct container_config *c, const struct setting *s, struct failure *failure)
{
        (void) s;
        (void) failure;
        c->shared_namespaces = CLONE_NEWIPC | CLONE_NEWPID | CLONE_NEWUTS;
        return 0;
}

/* Between "ESC [" and "m": nothing that would end the sequence. */
int set_background(struct container_config *c, const struct setting *s, struct failure *failure)
{
        if (strlen(s->value) > BACKGROUND_MAX || s->value[strspn(s->value, "0123456789;:")] != '\0')
                return setting_refuse(s, failure, -EINVAL,
                                      "give the numbers of a terminal's colour, such as 44 or "
                                      "48;2;0;0;64, or nothing");
        return setting_replace_string(&c->background, s->value, failure);
}
