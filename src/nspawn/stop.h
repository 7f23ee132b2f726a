/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "nspawn/start.h"
#include "shared/init-kind.h"

/*
 * Stopping a container that runs, in phases: ask its init in the init's own way; wait; kill. An
 * init that has only just begun does not listen yet, and a signal would be lost: then it is asked
 * again until it does.
 */
enum stop_phase { STOP_PHASE_NONE, STOP_PHASE_EARLY, STOP_PHASE_ASKED };

struct stop {
        enum stop_phase phase;
        enum init_request request;
        bool can_listen;      /* it is expected to listen, perhaps later */
        uint64_t listen_us;   /* early: until when it must have begun to; 0: not asked yet */
        uint64_t repeat_us;   /* when to ask again, since it does not listen or may have lost it */
        unsigned repeats;     /* how often it will still be asked again */
        uint64_t deadline_us; /* until when it may take; UINT64_MAX: as long as it likes */
};

enum stop_answer {
        STOP_GO_ON,  /* @text, if not empty, is news */
        STOP_FAILED, /* @text says why a wish that is not about the end cannot be fulfilled */
        STOP_KILL,   /* kill it; @text, if not empty, says why */
};

#define STOP_TEXT_MAX 400

/*
 * Asks for the end of the container or its restart. @running: its program runs; else it is asked
 * later. A second request for the same is STOP_KILL, if it is for the end.
 */
enum stop_answer stop_begin(struct stop *s, const struct container *c, enum init_request request,
                            bool running, char text[static STOP_TEXT_MAX]);

/* To be called when the time of stop_timeout_ms() is over, and when the program begins to run. */
enum stop_answer stop_continue(struct stop *s, const struct container *c, bool running,
                               char text[static STOP_TEXT_MAX]);

/* How long poll(2) may wait; -1: nothing to wait for. */
int stop_timeout_ms(const struct stop *s);
