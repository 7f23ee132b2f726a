/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "basic/macro.h"

/*
 * Removes @name below @dir_fd, a relative path without links, with all that is in it. That may be the
 * work of somebody hostile: no link is followed, nothing that is mounted there is touched, trees may
 * be of any depth, files may be immutable, and directories may be subvolumes. Goes on after a
 * failure, and returns the first one; -EBUSY means a mount. That it is not there is fine.
 */
int remove_tree(int dir_fd, const char *name);
