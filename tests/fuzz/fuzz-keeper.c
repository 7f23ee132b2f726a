/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "basic/strbuf.h"
#include "fuzz.h"
#include "netsetup/keeper-message.h"
#include "netsetup/names-config.h"

/*
 * What the network's keeper reads: a supervisor's request, which comes back from its own text as it was,
 * and the answer of a name server, which is anybody's.
 */

static void check_request(const uint8_t *data, size_t size)
{
        struct keeper_request q CLEANUP_KEEPER_REQUEST = { .ports = NULL };
        struct keeper_request again CLEANUP_KEEPER_REQUEST = { .ports = NULL };
        struct strbuf text CLEANUP_STRBUF = STRBUF_NULL, copy CLEANUP_STRBUF = STRBUF_NULL;
        struct failure failure = { .error = 0 };
        int r = keeper_request_parse((const char *) data, size, &q, &failure);

        fuzz_check_failure(r, &failure);
        if (r < 0)
                return;
        FUZZ_CHECK(q.machine[0] && !strchr(q.machine, '/') && q.machine[0] != '.');
        FUZZ_CHECK(!strchr(q.network, '/') && q.network[0] != '.');
        FUZZ_CHECK(q.n_ports <= KEEPER_PORTS_MAX && q.n_others <= NET_LINK_MAX_ADDRESSES);
        FUZZ_CHECK(keeper_request_print(&q, &text) == 0);
        FUZZ_CHECK(keeper_request_parse(strbuf_text(&text), text.length, &again, &failure) == 0);
        FUZZ_CHECK(keeper_request_print(&again, &copy) == 0);
        FUZZ_CHECK(streq(strbuf_text(&text), strbuf_text(&copy)));
}

static void check_answer(const uint8_t *data, size_t size)
{
        struct net_address address = { .family = 0 };
        uint8_t *exact = malloc(size + 1); /* so that reading behind it is noticed */

        FUZZ_CHECK(exact && net_address_parse("10.0.0.2", &address) == 0);
        if (size > 0)
                memcpy(exact, data, size);
        exact = realloc(exact, size > 0 ? size : 1);
        FUZZ_CHECK(exact);
        (void) names_is_answer(exact, size, size > 1 ? (uint16_t) (exact[0] << 8 | exact[1]) : 0,
                               &address);
        free(exact);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        check_request(data, size);
        check_answer(data, size);
        return 0;
}
