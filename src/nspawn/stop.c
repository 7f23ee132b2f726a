/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "nspawn/stop.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "basic/clock.h"
#include "basic/io.h"
#include "basic/log.h"
#include "basic/parse.h"

#define RETRY_US UINT64_C(50000)
/* An init that does not listen after this time never will, but for those that listen only when the
 * whole boot is over. A program may be asked in the moment before it says what it handles. */
#define LISTEN_US UINT64_C(10000000)
#define LISTEN_PROGRAM_US UINT64_C(200000)

/*
 * finit fetches signals from a descriptor that it opens late in its boot, and some that came before
 * are lost. To ask twice does no harm to any init that we know.
 */
#define REPEAT_US UINT64_C(2000000)
#define REPEATS 5

static bool is_about_the_end(enum init_request request)
{
        return request != INIT_REQUEST_REBOOT;
}

int stop_timeout_ms(const struct stop *s)
{
        uint64_t now, until = s->deadline_us;

        if (s->phase == STOP_PHASE_NONE)
                return -1;
        now = clock_now_us();
        if (s->phase == STOP_PHASE_EARLY && s->listen_us > 0)
                until = MIN_OF(until, s->repeat_us);
        if (s->phase == STOP_PHASE_ASKED && s->repeats > 0)
                until = MIN_OF(until, s->repeat_us);
        if (until == UINT64_MAX)
                return -1;
        return until <= now ? 0 : (int) MIN_OF((until - now) / 1000 + 1, UINT64_C(3600000));
}

/* ---- what is late ------------------------------------------------------------------------ */

#define LATE_SHOWN 5

struct late {
        char text[STOP_TEXT_MAX / 2];
        size_t length;
        unsigned n;
};

/* The name is the guest's: what could move a terminal's cursor is not passed on. */
static void add_late(struct late *late, pid_t pid)
{
        char path[32], comm[32];
        int n;

        (void) snprintf(path, sizeof(path), "/proc/%d/comm", (int) pid);
        if (read_line_at(AT_FDCWD, path, comm, sizeof(comm)) < 0)
                return;
        if (++late->n > LATE_SHOWN)
                return;
        for (char *p = comm; *p; p++)
                if (*p < ' ' || *p > '~' || *p == '\'')
                        *p = '?';
        n = snprintf(late->text + late->length, sizeof(late->text) - late->length,
                     "%s'%s' (process %d)", late->length ? ", " : "", comm, (int) pid);
        late->length = MIN_OF(late->length + (size_t) n, sizeof(late->text) - 1);
}

/* What a guest runs can be endless; a message is not. */
#define LATE_DEPTH 4
#define LATE_TEXT_MAX 2048

static void add_late_below(struct late *late, pid_t pid, unsigned depth)
{
        char path[48], text[LATE_TEXT_MAX], *rest = text;

        (void) snprintf(path, sizeof(path), "/proc/%d/task/%d/children", (int) pid, (int) pid);
        if (depth == 0 || read_text_at(AT_FDCWD, path, text, sizeof(text)) < 0)
                return;
        /* A list that is cut off ends in a part of a number. */
        if (strlen(text) == sizeof(text) - 1)
                *strrchr(text, ' ') = '\0';
        for (char *word; (word = strsep(&rest, " \n"));) {
                unsigned long child;

                if (parse_ulong(word, 1, INT32_MAX, &child) < 0)
                        continue;
                add_late(late, (pid_t) child);
                add_late_below(late, (pid_t) child, depth - 1);
        }
}

static void describe_late(const struct container *c, char text[static STOP_TEXT_MAX])
{
        struct late late = { .n = 0 };
        char more[32] = "";

        add_late_below(&late, c->leader, LATE_DEPTH);
        if (late.n > LATE_SHOWN)
                (void) snprintf(more, sizeof(more), " and %u more", late.n - LATE_SHOWN);
        (void) snprintf(text, STOP_TEXT_MAX,
                        "The container did not shut down within %.1f s%s%s%s. Killing it.",
                        (double) c->plan->stop_timeout_us / 1e6, late.n ? "; still there: " : "",
                        late.text, more);
}

/* ---- asking ------------------------------------------------------------------------------ */

/* The signal that a person chose is sent as it is, once somebody listens. */
static int ask_by_choice(const struct container *c, struct init_answer *answer)
{
        return init_ask(INIT_OTHER, INIT_REQUEST_STOP, c->plan->kill_signal, c->leader,
                        c->leader_pidfd, answer);
}

static int other_signal(const struct container_plan *plan)
{
        return plan->kill_signal > 0 ? plan->kill_signal : plan->other_stop_signal;
}

/* @kind stays "other" when it does not matter. */
static int ask(const struct stop *s, const struct container *c, enum init_kind *kind,
               struct init_answer *answer)
{
        int r;

        *kind = INIT_OTHER;
        if (s->request == INIT_REQUEST_STOP && c->plan->kill_signal > 0)
                return ask_by_choice(c, answer);
        r = init_kind_detect(c->leader, kind);
        if (r < 0)
                return r;
        return init_ask(*kind, s->request, is_about_the_end(s->request) ? other_signal(c->plan) : 0,
                        c->leader, c->leader_pidfd, answer);
}

static const char *name_of(enum init_kind kind)
{
        return kind == INIT_OTHER ? "the container" : init_kind_name(kind);
}

static void ask_again(struct stop *s, const struct container *c, uint64_t now)
{
        struct init_answer answer;
        enum init_kind kind;

        s->repeats = ask(s, c, &kind, &answer) < 0 ? 0 : s->repeats - 1;
        s->repeat_us = now + REPEAT_US;
}

static enum stop_answer give_up(struct stop *s, enum init_kind kind, int error,
                                char text[static STOP_TEXT_MAX])
{
        const char *reason = error == -EAGAIN       ? "it does not listen"
                             : error == -EOPNOTSUPP ? "it has no way to be asked for that"
                                                    : error_text(error);

        s->phase = STOP_PHASE_NONE;
        if (!is_about_the_end(s->request)) {
                (void) snprintf(text, STOP_TEXT_MAX, "Cannot ask %s to reboot: %s.", name_of(kind),
                                reason);
                return STOP_FAILED;
        }
        /* That a program has no handler for SIGTERM is nothing to talk about. */
        if (s->can_listen)
                (void) snprintf(text, STOP_TEXT_MAX, "Cannot ask %s to shut down: %s. Killing it.",
                                name_of(kind), reason);
        return STOP_KILL;
}

/* Whether it is too early to give up, after @error. */
static bool may_listen_later(const struct stop *s, enum init_kind kind, int error, uint64_t now)
{
        if (error != -EAGAIN)
                return false;
        /* OpenRC makes its FIFO, and runit its marks, when their first scripts have run. */
        return kind == INIT_OPENRC || kind == INIT_RUNIT || now < s->listen_us;
}

enum stop_answer stop_continue(struct stop *s, const struct container *c, bool running,
                               char text[static STOP_TEXT_MAX])
{
        struct init_answer answer = { .by = "" };
        enum init_kind kind;
        uint64_t now;
        int r;

        text[0] = '\0';
        if (s->phase == STOP_PHASE_NONE)
                return STOP_GO_ON;
        now = clock_now_us();
        if (now >= s->deadline_us) {
                describe_late(c, text);
                return STOP_KILL;
        }
        if (s->phase == STOP_PHASE_ASKED && s->repeats > 0 && now >= s->repeat_us)
                ask_again(s, c, now);
        if (s->phase == STOP_PHASE_ASKED || !running)
                return STOP_GO_ON;
        if (s->listen_us == 0)
                s->listen_us = now + (s->can_listen ? LISTEN_US : LISTEN_PROGRAM_US);
        else if (now < s->repeat_us)
                return STOP_GO_ON;
        s->repeat_us = now + RETRY_US;
        r = ask(s, c, &kind, &answer);
        if (may_listen_later(s, kind, r, now))
                return STOP_GO_ON;
        if (r < 0 && r != -ESRCH)
                return give_up(s, kind, r, text);
        s->phase = STOP_PHASE_ASKED;
        s->repeat_us = now + REPEAT_US;
        s->repeats = kind == INIT_OTHER || r < 0 ? 0 : REPEATS;
        if (r < 0)
                return STOP_GO_ON; /* it is ending already */
        if (is_about_the_end(s->request))
                (void) snprintf(text, STOP_TEXT_MAX,
                                "Asked %s to shut down (%s). Ask again to kill it.", name_of(kind),
                                answer.by);
        else
                (void) snprintf(text, STOP_TEXT_MAX, "Asked %s to reboot (%s).", name_of(kind),
                                answer.by);
        return STOP_GO_ON;
}

enum stop_answer stop_begin(struct stop *s, const struct container *c, enum init_request request,
                            bool running, char text[static STOP_TEXT_MAX])
{
        bool stopping = s->phase != STOP_PHASE_NONE && is_about_the_end(s->request);
        uint64_t timeout = c->plan->stop_timeout_us;

        if (stopping && is_about_the_end(request)) {
                text[0] = '\0';
                return STOP_KILL;
        }
        if (stopping) {
                (void) snprintf(text, STOP_TEXT_MAX, "The container is already shutting down.");
                return STOP_FAILED;
        }
        *s = (struct stop){
                .phase = STOP_PHASE_EARLY,
                .request = request,
                .can_listen = c->plan->start_mode != START_COMMAND || c->plan->kill_signal > 0,
                .deadline_us = UINT64_MAX,
        };
        if (is_about_the_end(request) &&
            __builtin_add_overflow(clock_now_us(), timeout, &s->deadline_us))
                s->deadline_us = UINT64_MAX;
        return stop_continue(s, c, running, text);
}
