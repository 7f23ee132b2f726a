/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fuzz.h"
#include "shared/property.h"

/*
 * Lines of NAME=VALUE, as --property= takes them, and an answer of the host to each path; behind
 * an empty line what the host's /proc/devices would say.
 */

static void make_facts(const struct property_set *set, char *proc_devices,
                       struct property_facts *facts)
{
        *facts = (struct property_facts){ .memory_total = UINT64_C(8) << 30,
                                          .tasks_total = 32768,
                                          .page_size = 4096,
                                          .proc_devices = proc_devices,
                                          .devices = calloc(set->n + 1, sizeof(*facts->devices)) };
        FUZZ_CHECK(facts->devices);
        for (size_t i = 0; i < set->n; i++)
                if (set->items[i].text && strlen(set->items[i].text) % 7 != 0)
                        facts->devices[facts->n_devices++] = (struct property_device){
                                .path = set->items[i].text,
                                .is_limit = set->items[i].id != PROPERTY_DEVICE_ALLOW,
                                .type = i % 2 ? 'c' : 'b',
                                .major = (unsigned) i,
                                .minor = UINT32_MAX,
                        };
}

/* What was accepted is accepted again, and becomes the same. */
static void try_again(const struct property *p)
{
        struct property_set set CLEANUP_PROPERTY_SET = { .n = 0 };
        struct strbuf line CLEANUP_STRBUF = STRBUF_NULL;
        struct failure failure = { .error = 0 };

        strbuf_addf(&line, "%s=%s", property_name(p->id), p->value);
        FUZZ_CHECK(property_set_add(&set, strbuf_text(&line), &failure) == 0 && set.n == 1);
        FUZZ_CHECK(set.items[0].id == p->id && set.items[0].form == p->form);
        FUZZ_CHECK(set.items[0].number == p->number && set.items[0].access == p->access);
        FUZZ_CHECK(!set.items[0].text == !p->text);
        FUZZ_CHECK(!p->text || streq(set.items[0].text, p->text));
}

static void try_rows(const struct property_set *set, const struct property_facts *facts)
{
        struct property_row *rows = NULL;
        struct failure failure = { .error = 0 };
        size_t n = 0;
        int r = property_rows(set, facts, &rows, &n, &failure);

        fuzz_check_failure(r, &failure);
        FUZZ_CHECK(n <= set->n);
        for (size_t i = 0; i < n; i++) {
                const char *text = rows[i].long_text ? rows[i].long_text : rows[i].text;

                FUZZ_CHECK(text[0] && fuzz_is_one_line(text) && rows[i].file);
                FUZZ_CHECK(rows[i].controller == property_controller(rows[i].property->id));
                FUZZ_CHECK(memchr(rows[i].text, '\0', sizeof(rows[i].text)));
                FUZZ_CHECK(memchr(rows[i].expected, '\0', sizeof(rows[i].expected)));
        }
        property_rows_free(rows, n);
}

static void try_devices(const struct property_set *set, const struct property_facts *facts)
{
        static const struct device_rule base[] = { { 'c', 1, 3, DEVICE_ALL },
                                                   { 'c', 136, -1, DEVICE_READ } };
        struct device_rule *rules CLEANUP_FREE = NULL;
        struct failure failure = { .error = 0 };
        size_t n = 0;
        int r = property_device_rules(set, facts, base, ARRAY_SIZE(base), &rules, &n, &failure);

        fuzz_check_failure(r, &failure);
        for (size_t i = 0; i < n; i++)
                FUZZ_CHECK((rules[i].type == 'c' || rules[i].type == 'b') && rules[i].access > 0 &&
                           rules[i].access <= DEVICE_ALL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct property_set set CLEANUP_PROPERTY_SET = { .n = 0 };
        struct property_facts facts CLEANUP_PROPERTY_FACTS = { .n_devices = 0 };
        struct strbuf description CLEANUP_STRBUF = STRBUF_NULL;
        char *text CLEANUP_FREE = fuzz_text(data, size), *next = NULL;

        for (char *line = text; line && *line; line = next) {
                struct failure failure = { .error = 0 };

                next = fuzz_cut_line(line);
                fuzz_check_failure(property_set_add(&set, line, &failure), &failure);
        }
        for (size_t i = 0; i < set.n; i++)
                try_again(&set.items[i]);
        make_facts(&set, next ? strdup(next) : NULL, &facts);
        try_rows(&set, &facts);
        try_devices(&set, &facts);
        property_set_describe(&set, "  ", &description);
        FUZZ_CHECK(strbuf_ok(&description));
        return 0;
}
