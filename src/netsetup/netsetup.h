/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the launcher and the registry may call of the network's set-up. */

/* Brings the loopback interface of the caller's network namespace up; the kernel then gives it
 * its addresses. Returns 0 or a negative errno. */
int loopback_up(void);
