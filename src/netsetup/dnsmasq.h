/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "basic/macro.h"

/* Where dnsmasq is, in the folders that root's programs are in, whatever $PATH is. False: nowhere. */
#define DNSMASQ_PATH_SIZE 64
bool dnsmasq_find(char ret[DNSMASQ_PATH_SIZE]);
