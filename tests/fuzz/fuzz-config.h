/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <signal.h>

#include "basic/parse.h"
#include "basic/path.h"
#include "basic/strv.h"
#include "fuzz.h"
#include "nspawn/config.h"
#include "shared/names.h"

/* What setters have accepted, whether from a command line or from a file. */

static inline void fuzz_check_limits(const struct container_config *c)
{
        for (int i = 0; i < RLIM_NLIMITS; i++)
                FUZZ_CHECK(!c->limits[i].set ||
                           c->limits[i].value.rlim_cur <= c->limits[i].value.rlim_max);
}

static inline void fuzz_check_names(const struct container_config *c)
{
        FUZZ_CHECK(!c->machine || machine_name_is_valid(c->machine));
        FUZZ_CHECK(!c->hostname || hostname_is_valid(c->hostname));
        FUZZ_CHECK(!c->slice || slice_name_is_valid(c->slice));
        FUZZ_CHECK(!c->user || (*c->user && !strpbrk(c->user, ":/\n")));
        STRV_FOREACH(assignment, c->environment)
        {
                size_t n = strcspn(*assignment, "=");

                FUZZ_CHECK((*assignment)[n] == '=' && env_name_is_valid(*assignment, n));
        }
        STRV_FOREACH(assignment, c->properties)
        FUZZ_CHECK(strchr(*assignment, '=') > *assignment);
        STRV_FOREACH(word, c->system_call_filter)
        FUZZ_CHECK(**word && !strpbrk(*word, " \t\n"));
}

static inline bool fuzz_is_clean(const char *path)
{
        return path_is_absolute(path) && path_is_normalized(path);
}

static inline void fuzz_check_sources(const struct custom_mount *m)
{
        switch (m->type) {
        case CUSTOM_BIND:
                FUZZ_CHECK(m->n_sources == 1);
                break;
        case CUSTOM_OVERLAY:
                FUZZ_CHECK(m->n_sources >= 2 && m->idmap == BIND_IDMAP_NONE);
                break;
        case CUSTOM_TMPFS:
        case CUSTOM_INACCESSIBLE:
                FUZZ_CHECK(m->n_sources == 0 && !m->read_only);
                break;
        }
        for (size_t i = 0; i < m->n_sources; i++) {
                const struct custom_source *source = &m->sources[i];

                FUZZ_CHECK((source->place == SOURCE_TEMPORARY) == !source->path);
                FUZZ_CHECK(!source->path || path_is_absolute(source->path));
                /* Of the layers only the last one. */
                FUZZ_CHECK(source->path || i + 1 == m->n_sources);
        }
}

static inline void fuzz_check_paths(const struct container_config *c)
{
        size_t n_sources = 0;

        FUZZ_CHECK(!c->directory || path_is_absolute(c->directory));
        FUZZ_CHECK(!c->working_directory || fuzz_is_clean(c->working_directory));
        for (size_t i = 0; i < c->n_custom_mounts; i++) {
                const struct custom_mount *m = &c->custom_mounts[i];

                FUZZ_CHECK(m->origin && fuzz_is_clean(m->destination));
                fuzz_check_sources(m);
                FUZZ_CHECK(m->first_source == n_sources);
                n_sources += m->n_sources;
        }
        FUZZ_CHECK(n_sources == c->n_custom_sources);
}

static inline void fuzz_check_numbers(const struct container_config *c)
{
        FUZZ_CHECK(c->kill_signal >= 0 && c->kill_signal <= SIGRTMAX);
        FUZZ_CHECK(c->userns_mode != USERNS_FIXED ||
                   (c->userns_range.count > 0 &&
                    (uint64_t) c->userns_range.base + c->userns_range.count <= UINT32_MAX));
}

static inline void fuzz_check_config(const struct container_config *c)
{
        fuzz_check_limits(c);
        fuzz_check_names(c);
        fuzz_check_paths(c);
        fuzz_check_numbers(c);
}
