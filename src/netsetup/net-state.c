/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "netsetup/net-state.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

#include "basic/io.h"
#include "basic/log.h"
#include "basic/strv.h"
#include "netsetup/ifname.h"
#include "shared/names.h"

int net_machine_read(const char *folder, const char *machine, struct keeper_request *ret,
                     struct failure *failure)
{
        char path[512];
        char *text CLEANUP_FREE = NULL;
        size_t size = 0;
        int r;

        if (!machine_name_is_valid(machine) ||
            snprintf(path, sizeof(path), "%s/%s", folder, machine) >= (int) sizeof(path))
                return failure_set(failure, -EINVAL, "'%.100s' is not the name of a machine.",
                                   machine);
        r = read_file_at(AT_FDCWD, path, KEEPER_TEXT_MAX, &text, &size);
        if (r == -ENOENT)
                return failure_set(failure, r,
                                   "There is no running machine '%s' with addresses or ports "
                                   "of ours.",
                                   machine);
        if (r < 0)
                return failure_set(failure, r, "Cannot read '%s': %s.", path, error_text(r));
        return keeper_request_parse(text, size, ret, failure);
}

int net_machine_list(const char *folder, char ***ret)
{
        char **names CLEANUP_STRV = NULL;
        DIR *dir = opendir(folder);
        int r = 0;

        *ret = NULL;
        if (!dir)
                return errno == ENOENT ? 0 : -errno;
        /* One that is just being written has a name that no machine has. */
        for (const struct dirent *e = readdir(dir); r >= 0 && e; e = readdir(dir))
                if (machine_name_is_valid(e->d_name))
                        r = strv_add(&names, e->d_name);
        (void) closedir(dir);
        if (r < 0)
                return r;
        strv_sort(names);
        *ret = TAKE_PTR(names);
        return 0;
}

static void print_two(struct strbuf *out, const char *what, const struct net_address *four,
                      const struct net_address *six, bool with_prefix)
{
        const struct net_address *both[] = { four, six };

        for (size_t i = 0; i < ARRAY_SIZE(both); i++) {
                char text[NET_ADDRESS_TEXT_SIZE];

                if (both[i]->family)
                        strbuf_addf(out, "%s: %s\n", what,
                                    with_prefix ? net_address_prefix_text(both[i], text)
                                                : net_address_text(both[i], text));
        }
}

void net_machine_print(const struct keeper_request *machine, struct strbuf *out)
{
        char mac[MAC_TEXT_SIZE];

        if (machine->network[0])
                strbuf_addf(out, "Network: %s\n", machine->network);
        if (machine->link[0])
                strbuf_addf(out, "Link: %s%s%s\n", machine->link, machine->bridge[0] ? " in " : "",
                            machine->bridge);
        if (machine->has_mac)
                strbuf_addf(out, "MAC: %s\n", mac_text(machine->mac, mac));
        print_two(out, "Address", &machine->address4, &machine->address6, true);
        print_two(out, "Gateway", &machine->subnet.gateway4, &machine->subnet.gateway6, false);
        for (size_t i = 0; i < machine->n_ports; i++)
                strbuf_addf(out, "Port: %s %u leads to %u\n",
                            net_protocol_name(machine->ports[i].protocol), machine->ports[i].host,
                            machine->ports[i].guest);
}
