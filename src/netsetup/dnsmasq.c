/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "netsetup/dnsmasq.h"

#include <stdio.h>
#include <unistd.h>

bool dnsmasq_find(char ret[DNSMASQ_PATH_SIZE])
{
        static const char *const folders[] = { "/usr/local/sbin", "/usr/sbin", "/sbin",
                                               "/usr/local/bin", "/usr/bin" };

        for (size_t i = 0; i < ARRAY_SIZE(folders); i++) {
                (void) snprintf(ret, DNSMASQ_PATH_SIZE, "%s/dnsmasq", folders[i]);
                if (access(ret, X_OK) == 0)
                        return true;
        }
        return false;
}
