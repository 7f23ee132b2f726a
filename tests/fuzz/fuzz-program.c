/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fuzz.h"
#include "nspawn/explain.h"
#include "shared/names.h"

/*
 * The first bytes of a program of a guest that could not be started. The same bytes serve as the
 * text of /proc/PID/cgroup.
 */

static void check_text(const char *text)
{
        size_t n = strlen(text);

        FUZZ_CHECK(n < EXPLAIN_MAX);
        FUZZ_CHECK(n == 0 || (text[0] == ' ' && text[1] >= 'A' && text[1] <= 'Z'));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        static const int errors[] = { -ENOENT, -ENOEXEC, -EACCES, -EPERM };
        struct program p = { .kind = PROGRAM_MISSING };
        char *text CLEANUP_FREE = fuzz_text(data, size);
        char machine[PROGRAM_NAME_MAX];

        program_read_head(data, MIN_OF(size, (size_t) PROGRAM_HEAD_MAX), &p);
        FUZZ_CHECK(p.kind >= PROGRAM_EMPTY);
        FUZZ_CHECK(strlen(p.needs) < sizeof(p.needs));
        FUZZ_CHECK(p.needs[0] == '\0' || (p.needs[0] == '/' && !strchr(p.needs, ' ')));
        for (size_t i = 0; i < ARRAY_SIZE(errors); i++)
                for (int k = 0; k < 4; k++) {
                        char why[EXPLAIN_MAX];

                        p.has_needs = k & 1 && p.needs[0];
                        p.may_execute = k & 2;
                        program_explain("/sbin/init", &p, &p, errors[i], why);
                        check_text(why);
                }
        machine_of_cgroup(text, machine);
        FUZZ_CHECK(machine[0] == '\0' || machine_name_is_valid(machine));
        return 0;
}
