/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "basic/env-file.h"
#include "basic/parse.h"
#include "fuzz.h"

/* An os-release or state file. What was read, written again and read again is the same. */

static void check_same(const struct env_file *a, const struct env_file *b)
{
        FUZZ_CHECK(a->n == b->n);
        for (size_t i = 0; i < a->n; i++) {
                FUZZ_CHECK(streq(a->items[i].name, b->items[i].name));
                FUZZ_CHECK(streq(a->items[i].value, b->items[i].value));
        }
}

static void write_again(const struct env_file *file)
{
        struct env_file again CLEANUP_ENV_FILE = { .n = 0 };
        struct strbuf out CLEANUP_STRBUF = STRBUF_NULL;
        int r;

        for (size_t i = 0; i < file->n; i++)
                FUZZ_CHECK(env_file_add(&out, file->items[i].name, file->items[i].value) == 0);
        r = env_file_parse(strbuf_text(&out), out.length, &again);
        /* Quotes may make it longer than what is read. */
        FUZZ_CHECK(r == 0 || (r == -EFBIG && out.length > ENV_FILE_MAX_SIZE));
        if (r < 0)
                return;
        FUZZ_CHECK(again.bad_line == 0);
        check_same(file, &again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct env_file file CLEANUP_ENV_FILE = { .n = 0 };
        struct strbuf out CLEANUP_STRBUF = STRBUF_NULL;
        char *text CLEANUP_FREE = fuzz_text(data, size);
        int r = env_file_parse((const char *) data, size, &file);
        size_t lines = 1;

        for (size_t i = 0; i < size; i++)
                lines += data[i] == '\n';
        FUZZ_CHECK(r == 0 || r == -EFBIG || r == -E2BIG || (r == -EBADMSG && strlen(text) < size));
        FUZZ_CHECK(file.n <= ENV_FILE_MAX_ITEMS && file.bad_line <= lines);
        for (size_t i = 0; i < file.n; i++) {
                const char *name = file.items[i].name;

                FUZZ_CHECK(env_name_is_valid(name, strlen(name)));
                FUZZ_CHECK(utf8_is_valid(file.items[i].value) && env_file_get(&file, name));
        }
        FUZZ_CHECK(!env_file_get(&file, "") && !env_file_get(&file, "A B"));
        write_again(&file);

        /* The bytes as a value, too. */
        r = env_file_add(&out, "VALUE", text);
        FUZZ_CHECK(r == 0 ? utf8_is_valid(text) : r == -EINVAL && !utf8_is_valid(text));
        env_file_done(&file);
        if (r == 0 && out.length <= ENV_FILE_MAX_SIZE)
                FUZZ_CHECK(env_file_parse(out.text, out.length, &file) == 0 && file.n == 1 &&
                           streq(env_file_get(&file, "VALUE"), text));
        return 0;
}
