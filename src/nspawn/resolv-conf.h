/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "basic/strbuf.h"

/* The text of resolv.conf(5), and what may be put in the place of one. */

/* The first line of a file that we wrote for a network of ours. */
#define RESOLV_CONF_MARK "# Written by nspawn(1) for the machine's network.\n"

bool resolv_conf_is_ours(const char *text);

/* Whether it names no server that could be somebody's choice: there is none, or only the loopback. */
bool resolv_conf_names_nobody(const char *text);

/*
 * Appends the lines of @text that mean the same in another network: servers that are not addresses of
 * the loopback or of a link, and the domains that are searched. Returns the number of servers.
 */
size_t resolv_conf_add_upstream(struct strbuf *out, const char *text);

/* Upstream lines of the host's file, or of systemd-resolved's if that only names the loopback. The caller
 * frees them; NULL: there is no server. Returns 0 or -ENOMEM. */
int resolv_conf_read_upstream(char **ret);

/*
 * Where /etc/resolv.conf of a tree leads, if it is a symbolic link that ends below /run, which is empty
 * when a machine starts: a path below /run, "systemd/resolve/stub-resolv.conf". The caller frees it; NULL
 * stands for anything else. Returns 0 or a negative errno.
 */
int resolv_conf_read_link(int root_fd, char **ret);
