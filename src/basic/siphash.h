/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "basic/macro.h"

/* SipHash-2-4 (Aumasson and Bernstein, 2012), which interface names, MACs and id ranges are made
 * with, so that they equal those of other implementations. No library of ours has it. */
uint64_t siphash24(const void *data, size_t n, const uint8_t key[16]);
