/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "basic/macro.h"

/* Time that goes on evenly, whoever sets the clock: for limits and intervals (CLOCK_MONOTONIC). */
uint64_t clock_now_us(void);
uint64_t clock_now_ms(void);
