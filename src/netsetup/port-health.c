/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "netsetup/port-health.h"

/* Counters are read while packets are between them, so on a busy machine some always seem lost.
 * Loss is one of this many at least; it is most or all of them where a firewall drops. */
#define LOSS_SHARE 16

void port_health_init(struct port_health *h, bool by_kernel, uint64_t now_ms)
{
        *h = (struct port_health){
                .by_kernel = by_kernel,
                .since_ms = now_ms,
                .try_after_ms = PORT_HEALTH_FIRST_TRY_MS,
                .next_ms = now_ms + (by_kernel ? PORT_HEALTH_LOOK_MS : PORT_HEALTH_FIRST_TRY_MS),
        };
}

static void begin_look(struct port_health *h, uint64_t now_ms, uint64_t redirected,
                       uint64_t forwarded)
{
        h->redirected = redirected;
        h->forwarded = forwarded;
        h->confirmed = 0;
        h->next_ms = now_ms + PORT_HEALTH_LOOK_MS;
}

static bool is_lossy(const struct port_health *h, uint64_t redirected, uint64_t forwarded)
{
        uint64_t in = redirected - h->redirected, out = forwarded - h->forwarded;

        return in > out && in - out >= (in + LOSS_SHARE - 1) / LOSS_SHARE;
}

static enum port_action to_proxy(struct port_health *h, uint64_t now_ms, uint64_t redirected,
                                 uint64_t forwarded)
{
        h->by_kernel = false;
        h->redirected = redirected;
        h->forwarded = forwarded;
        h->confirmed = 0;
        h->since_ms = now_ms;
        h->next_ms = now_ms + h->try_after_ms;
        h->try_after_ms = MIN_OF(h->try_after_ms * 2, PORT_HEALTH_LAST_TRY_MS);
        return PORT_ACTION_TO_PROXY;
}

static enum port_action to_kernel(struct port_health *h, uint64_t now_ms)
{
        h->by_kernel = true;
        h->since_ms = now_ms;
        h->next_ms = now_ms + PORT_HEALTH_LOOK_MS;
        return PORT_ACTION_TO_KERNEL;
}

enum port_action port_health_step(struct port_health *h, uint64_t now_ms, uint64_t redirected,
                                  uint64_t forwarded)
{
        if (!h->by_kernel)
                return now_ms >= h->next_ms ? to_kernel(h, now_ms) : PORT_ACTION_NONE;
        /* Counters that went back are new ones. */
        if (redirected < h->redirected || forwarded < h->forwarded)
                h->redirected = h->forwarded = 0;
        if (!is_lossy(h, redirected, forwarded)) {
                /* Proved: the next loss is a new one, and not a try that failed. */
                if (forwarded > h->forwarded)
                        h->try_after_ms = PORT_HEALTH_FIRST_TRY_MS;
                begin_look(h, now_ms, redirected, forwarded);
                return PORT_ACTION_NONE;
        }
        if (h->confirmed++ == PORT_HEALTH_CONFIRMATIONS)
                return to_proxy(h, now_ms, redirected, forwarded);
        h->next_ms = now_ms + PORT_HEALTH_CONFIRM_MS;
        return PORT_ACTION_NONE;
}

void port_health_rules_changed(struct port_health *h, uint64_t now_ms)
{
        uint64_t soon =
                MAX_OF(now_ms + PORT_HEALTH_SETTLE_MS, h->since_ms + PORT_HEALTH_MIN_PROXY_MS);

        if (!h->by_kernel && soon < h->next_ms)
                h->next_ms = soon;
}
