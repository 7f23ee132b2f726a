/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <limits.h>
#include <signal.h>

#include "basic/bpf-device.h"
#include "basic/caps.h"
#include "basic/id128.h"
#include "basic/idmap.h"
#include "basic/parse.h"
#include "basic/strbuf.h"
#include "basic/strv.h"
#include "basic/unescape.h"
#include "fuzz-config.h"
#include "fuzz.h"
#include "nspawn/credentials.h"
#include "nspawn/families.h"
#include "nspawn/options.h"

/* The small parsers of values: what they accept is in range, and is the same when said again. */

static void try_numbers(const char *text)
{
        char again[32];
        unsigned long u = 0, v = 0;
        long s = 0, t = 0;
        uint32_t uid = 0;
        int r = parse_ulong(text, 3, 1000000, &u);

        FUZZ_CHECK(r == 0 || r == -EINVAL || r == -ERANGE);
        FUZZ_CHECK(r == 0 ? u >= 3 && u <= 1000000 : u == 0);
        if (parse_ulong(text, 0, ULONG_MAX, &u) == 0) {
                (void) snprintf(again, sizeof(again), "%lu", u);
                FUZZ_CHECK(parse_ulong(again, u, u, &v) == 0 && v == u);
        }
        if (parse_long(text, LONG_MIN, LONG_MAX, &s) == 0) {
                (void) snprintf(again, sizeof(again), "%ld", s);
                FUZZ_CHECK(parse_long(again, s, s, &t) == 0 && t == s);
        }
        if (parse_uid(text, &uid) == 0)
                FUZZ_CHECK(uid != UINT32_MAX && uid != 0xffff);
}

static void try_sizes(const char *text)
{
        char again[48];
        uint64_t v = 0, w = 0;
        bool b = false;

        if (parse_size(text, &v) == 0) {
                (void) snprintf(again, sizeof(again), "%lluB", (unsigned long long) v);
                FUZZ_CHECK(parse_size(again, &w) == 0 && w == v);
        }
        if (parse_timespan_us(text, &v) == 0) {
                (void) snprintf(again, sizeof(again), "%llus %lluus",
                                (unsigned long long) v / 1000000, (unsigned long long) v % 1000000);
                FUZZ_CHECK(parse_timespan_us(again, &w) == 0 && w == v);
        }
        if (parse_percent(text, &v) == 0) {
                (void) snprintf(again, sizeof(again), "%llu.%02llu%%", (unsigned long long) v / 100,
                                (unsigned long long) v % 100);
                FUZZ_CHECK(parse_percent(again, &w) == 0 && w == v);
        }
        (void) parse_boolean(text, &b);
}

static void try_cpu_list(const char *text)
{
        char *list CLEANUP_FREE = NULL, *again CLEANUP_FREE = NULL;
        struct cpu_mask mask, same;

        if (parse_cpu_list(text, &list) < 0)
                return;
        FUZZ_CHECK(list[0] && list[strspn(list, "0123456789,-")] == '\0');
        FUZZ_CHECK(parse_cpu_list(list, &again) == 0 && streq(list, again));
        FUZZ_CHECK(cpu_mask_from_list(text, &mask) == 0 && cpu_mask_intersects(&mask, &mask));
        FUZZ_CHECK(cpu_mask_from_list(list, &same) == 0 && memcmp(&mask, &same, sizeof(mask)) == 0);
}

static void try_unescape(const char *text)
{
        struct strbuf octal CLEANUP_STRBUF = STRBUF_NULL;
        char *bytes CLEANUP_FREE = NULL, *again CLEANUP_FREE = NULL;
        size_t n = 0, m = 0;
        int r = unescape_c(text, &bytes, &n);

        FUZZ_CHECK(r == 0 ? bytes && n <= strlen(text) && bytes[n] == '\0'
                          : r == -EINVAL && !bytes);
        FUZZ_CHECK(r == 0 || strchr(text, '\\'));
        if (r < 0)
                return;
        for (size_t i = 0; i < n; i++)
                strbuf_addf(&octal, "\\%03o", (unsigned char) bytes[i]);
        FUZZ_CHECK(unescape_c(strbuf_text(&octal), &again, &m) == 0);
        FUZZ_CHECK(m == n && memcmp(bytes, again, n) == 0);
}

static void try_credential(const char *text)
{
        size_t n = strcspn(text, ":");

        if (!credential_id_is_valid(text, n))
                return;
        FUZZ_CHECK(n > 0 && n <= 255 && !memchr(text, '/', n) && !memchr(text, '\n', n));
}

static void try_families(const char *text)
{
        struct family_set set = { .allowed = 0 };
        int number = family_from_name(text + (text[0] == '~'));

        if (family_set_add(&set, text) < 0) {
                FUZZ_CHECK(!set.restricts && number < 0);
                return;
        }
        FUZZ_CHECK(set.restricts && number >= 0 && number < FAMILIES_MAX);
        for (unsigned family = 0; family < FAMILIES_MAX + 1; family++)
                FUZZ_CHECK(family_set_allows(&set, family) ==
                           ((family == (unsigned) number) == (text[0] != '~')));
}

static void try_signal(const char *text)
{
        char *name CLEANUP_FREE = NULL;
        int signo = parse_signal(text);

        FUZZ_CHECK(signo == -EINVAL || (signo >= 1 && signo <= SIGRTMAX));
        if (signo < 0)
                return;
        name = signal_to_text(signo);
        FUZZ_CHECK(name && parse_signal(name) == signo);
}

static void try_ids(const char *text)
{
        char plain[ID128_TEXT_SIZE], uuid[ID128_TEXT_SIZE], again[64];
        struct id128 id, other;
        struct idmap map, same;

        if (id128_parse(text, &id) == 0) {
                id128_to_plain(&id, plain);
                id128_to_uuid(&id, uuid);
                FUZZ_CHECK(id128_parse(plain, &other) == 0 && memcmp(&id, &other, 16) == 0);
                FUZZ_CHECK(id128_parse(uuid, &other) == 0 && memcmp(&id, &other, 16) == 0);
        }
        if (idmap_parse(text, &map) == 0) {
                FUZZ_CHECK(map.count > 0 && (uint64_t) map.base + map.count <= UINT32_MAX);
                (void) snprintf(again, sizeof(again), "%u:%u", map.base, map.count);
                FUZZ_CHECK(idmap_parse(again, &same) == 0 && memcmp(&map, &same, 8) == 0);
                idmap_to_text(&map, again);
                FUZZ_CHECK(endswith(again, "\n"));
        }
}

static void try_capabilities(const char *text)
{
        const char *bad = NULL;
        uint64_t set = 0, again = 0;
        int r = caps_parse(text, &set, &bad);

        FUZZ_CHECK(r == 0 || (r == -EINVAL && bad >= text && *bad && set == 0));
        for (unsigned i = 0; r == 0 && cap_name(i); i++)
                if (set & UINT64_C(1) << i) {
                        FUZZ_CHECK(caps_parse(cap_name(i), &again, NULL) == 0);
                        FUZZ_CHECK(again == UINT64_C(1) << i);
                }
}

static void try_access(const char *text)
{
        unsigned access = 0, again = 0;
        char letters[4];

        if (device_access_parse(text, &access) < 0)
                return;
        FUZZ_CHECK(access > 0 && (access & ~(unsigned) DEVICE_ALL) == 0);
        device_access_to_text(access, letters);
        FUZZ_CHECK(device_access_parse(letters, &again) == 0 && again == access);
}

/* The same separator and escapes as values with several parts. */
static void try_parts(const char *text)
{
        char **parts CLEANUP_STRV = NULL, **again CLEANUP_STRV = NULL;
        char *joined CLEANUP_FREE = malloc(2 * strlen(text) + 2);
        size_t n = 0;

        FUZZ_CHECK(joined);
        if (strv_split_escaped(text, ':', &parts) < 0)
                return;
        STRV_FOREACH(part, parts)
        {
                if (part != parts)
                        joined[n++] = ':';
                for (const char *p = *part; *p; p++) {
                        if (*p == ':' || *p == '\\')
                                joined[n++] = '\\';
                        joined[n++] = *p;
                }
        }
        joined[n] = '\0';
        FUZZ_CHECK(parts && strv_split_escaped(joined, ':', &again) == 0);
        FUZZ_CHECK(strv_length(parts) == strv_length(again));
        for (size_t i = 0; parts[i]; i++)
                FUZZ_CHECK(streq(parts[i], again[i]));
}

/* ---- values of options about mounts ------------------------------------------------------ */

static void add_escaped(struct strbuf *out, const char *text)
{
        for (; *text; text++)
                strbuf_addf(out, "%s%c", *text == ':' || *text == '\\' ? "\\" : "", *text);
}

/* The value again, all spelled out. */
static void say_again(const struct custom_mount *m, struct strbuf *out)
{
        static const char *const idmaps[] = { "noidmap", "idmap", "rootidmap", "owneridmap" };

        for (size_t i = 0; i < m->n_sources; i++) {
                strbuf_add(out, m->sources[i].place == SOURCE_TREE ? "+" : "");
                add_escaped(out, m->sources[i].path ? m->sources[i].path : "");
                strbuf_add(out, ":");
        }
        if (m->type == CUSTOM_INACCESSIBLE)
                strbuf_add(out, m->destination); /* has no parts */
        else
                add_escaped(out, m->destination);
        if (m->type == CUSTOM_BIND)
                strbuf_addf(out, ":%s,%s", m->recursive ? "rbind" : "norbind", idmaps[m->idmap]);
        if (m->options) {
                strbuf_add(out, ":");
                add_escaped(out, m->options);
        }
}

static bool same_text(const char *a, const char *b)
{
        return a && b ? streq(a, b) : a == b;
}

static bool same_mount(const struct custom_mount *a, const struct custom_mount *b)
{
        if (a->type != b->type || a->n_sources != b->n_sources || a->read_only != b->read_only ||
            a->recursive != b->recursive || a->idmap != b->idmap ||
            !streq(a->destination, b->destination) || !same_text(a->options, b->options))
                return false;
        for (size_t i = 0; i < a->n_sources; i++)
                if (a->sources[i].place != b->sources[i].place ||
                    !same_text(a->sources[i].path, b->sources[i].path))
                        return false;
        return true;
}

static int apply_mount(const char *option, const char *value, struct container_config *c)
{
        struct settings s CLEANUP(settings_done) = { .n = 0 };
        struct failure failure = { .error = 0 };
        char *word CLEANUP_FREE = NULL;
        char *argv[] = { (char *) "nspawn", NULL, NULL };
        int r;

        config_init(c);
        FUZZ_CHECK(asprintf(&word, "--%s=%s", option, value) > 0);
        argv[1] = word;
        r = settings_add_argv(&s, 2, argv, &failure);
        if (r >= 0)
                r = settings_apply(&s, c, &failure);
        fuzz_check_failure(r, &failure);
        return r;
}

static void try_mount(const char *option, const char *text)
{
        struct container_config c CLEANUP(config_done), again CLEANUP(config_done);
        struct strbuf value CLEANUP_STRBUF = STRBUF_NULL;

        config_init(&again);
        if (apply_mount(option, text, &c) != 0)
                return;
        fuzz_check_config(&c);
        FUZZ_CHECK(c.n_custom_mounts == 1);
        say_again(&c.custom_mounts[0], &value);
        FUZZ_CHECK(apply_mount(option, strbuf_text(&value), &again) == 0);
        FUZZ_CHECK(same_mount(&c.custom_mounts[0], &again.custom_mounts[0]));
}

static void try_mounts(const char *text)
{
        static const char *const options[] = { "bind",       "bind-ro",      "overlay",
                                               "overlay-ro", "inaccessible", "tmpfs" };

        for (size_t i = 0; i < ARRAY_SIZE(options); i++)
                try_mount(options[i], text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        char *text CLEANUP_FREE = fuzz_text(data, size);

        for (char *line = text, *next; line; line = next) {
                next = fuzz_cut_line(line);
                try_numbers(line);
                try_sizes(line);
                try_cpu_list(line);
                try_unescape(line);
                try_credential(line);
                try_families(line);
                try_signal(line);
                try_ids(line);
                try_capabilities(line);
                try_access(line);
                try_parts(line);
                try_mounts(line);
        }
        return 0;
}
