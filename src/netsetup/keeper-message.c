/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "netsetup/keeper-message.h"

#include <errno.h>
#include <stdio.h>

#include "basic/env-file.h"
#include "basic/parse.h"
#include "netsetup/ifname.h"

void keeper_request_done(struct keeper_request *request)
{
        for (size_t i = 0; i < request->n_ports; i++)
                free(request->ports[i].origin);
        free(request->ports);
        *request = (struct keeper_request){ .ports = NULL };
}

bool keeper_name_is_plain(const char *name, size_t max)
{
        size_t n =
                strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.");

        return n > 0 && n <= max && !name[n] && !strchr("-_.", name[0]) && name[n - 1] != '.' &&
               !strstr(name, "..");
}

/* ---- to text ----------------------------------------------------------------------------- */

static int add_text(struct strbuf *out, const char *key, const char *value)
{
        return value[0] ? env_file_add(out, key, value) : 0;
}

static int add_address(struct strbuf *out, const char *key, const struct net_address *a)
{
        char text[NET_ADDRESS_TEXT_SIZE];

        return a->family ? env_file_add(out, key, net_address_prefix_text(a, text)) : 0;
}

static int add_addresses(struct strbuf *out, const struct keeper_request *q)
{
        const struct {
                const char *key;
                const struct net_address *address;
        } rows[] = {
                { "ADDRESS4", &q->address4 },        { "ADDRESS6", &q->address6 },
                { "PREFIX4", &q->subnet.prefix4 },   { "PREFIX6", &q->subnet.prefix6 },
                { "GATEWAY4", &q->subnet.gateway4 }, { "GATEWAY6", &q->subnet.gateway6 },
        };
        int r = 0;

        for (size_t i = 0; i < ARRAY_SIZE(rows) && r >= 0; i++)
                r = add_address(out, rows[i].key, rows[i].address);
        return r;
}

static int add_others(struct strbuf *out, const struct keeper_request *q)
{
        char text[NET_LINK_MAX_ADDRESSES * NET_ADDRESS_TEXT_SIZE] = "", one[NET_ADDRESS_TEXT_SIZE];
        size_t n = 0;

        for (size_t i = 0; i < q->n_others; i++)
                n += (size_t) snprintf(text + n, sizeof(text) - n, "%s%s", i > 0 ? " " : "",
                                       net_address_prefix_text(&q->others[i], one));
        return add_text(out, "OTHERS", text);
}

static int add_ports(struct strbuf *out, const struct net_port *ports, size_t n)
{
        struct strbuf text CLEANUP_STRBUF = STRBUF_NULL;

        if (n > KEEPER_PORTS_MAX)
                return -E2BIG;
        for (size_t i = 0; i < n; i++)
                strbuf_addf(&text, "%s%s:%u:%u", i > 0 ? " " : "",
                            net_protocol_name(ports[i].protocol), (unsigned) ports[i].host,
                            (unsigned) ports[i].guest);
        if (!strbuf_ok(&text))
                return -ENOMEM;
        return add_text(out, "PORTS", strbuf_text(&text));
}

int keeper_request_print(const struct keeper_request *q, struct strbuf *out)
{
        char mac[MAC_TEXT_SIZE] = "";
        int r = keeper_name_is_plain(q->machine, KEEPER_MACHINE_MAX) ? 0 : -EINVAL;

        if (r >= 0)
                r = add_text(out, "MACHINE", q->machine);
        if (r >= 0)
                r = add_text(out, "NETWORK", q->network);
        if (r >= 0)
                r = add_text(out, "LINK", q->link);
        if (r >= 0)
                r = add_text(out, "BRIDGE", q->bridge);
        if (r >= 0)
                r = add_text(out, "MAC", q->has_mac ? mac_text(q->mac, mac) : "");
        if (r >= 0)
                r = add_addresses(out, q);
        if (r >= 0)
                r = add_others(out, q);
        if (r >= 0)
                r = add_text(out, "ISOLATE", q->isolate ? "yes" : "");
        if (r >= 0)
                r = add_ports(out, q->ports, q->n_ports);
        return r >= 0 && !strbuf_ok(out) ? -ENOMEM : r;
}

static const struct net_link *first_veth(const struct net_plan *plan)
{
        for (size_t i = 0; i < plan->n_links; i++)
                if (plan->links[i].kind == LINK_VETH)
                        return &plan->links[i];
        return NULL;
}

/* The first one of each family is the machine's name, so to speak; without any it is the lease. */
static void set_addresses(struct keeper_request *q, const struct net_link *link,
                          const struct net_lease *lease)
{
        for (size_t i = 0; i < link->n_addresses; i++) {
                const struct net_address *a = &link->addresses[i];
                struct net_address *first = a->family == AF_INET ? &q->address4 : &q->address6;

                if (!first->family)
                        *first = *a;
                else
                        q->others[q->n_others++] = *a;
        }
        if (!q->address4.family)
                q->address4 = lease->address4;
        if (!q->address6.family)
                q->address6 = lease->address6;
}

int keeper_request_print_plan(const struct net_plan *plan, struct strbuf *out)
{
        const struct net_link *link = first_veth(plan);
        struct keeper_request q = { .isolate = plan->isolate, /* all borrowed, nothing to free */
                                    .ports = (struct net_port *) plan->ports,
                                    .n_ports = plan->n_ports };

        (void) snprintf(q.machine, sizeof(q.machine), "%s", plan->machine);
        (void) snprintf(q.network, sizeof(q.network), "%s", plan->network);
        if (plan->network[0])
                q.subnet = plan->lease.subnet;
        if (link) {
                const struct net_lease none = { .address4 = { .family = 0 } };
                const struct net_lease *lease = plan->network[0] ? &plan->lease : &none;

                memcpy(q.link, link->host, sizeof(q.link));
                if (link->master_is_zone)
                        memcpy(q.bridge, link->master, sizeof(q.bridge));
                q.has_mac = link->has_macs;
                memcpy(q.mac, link->guest_mac, sizeof(q.mac));
                set_addresses(&q, link, lease);
        }
        return keeper_request_print(&q, out);
}

/* ---- from text --------------------------------------------------------------------------- */

static int parse_name(const struct env_file *file, const char *key, char *ret, size_t size)
{
        const char *value = env_file_get(file, key);

        if (!value)
                return 0;
        if (!keeper_name_is_plain(value, size - 1))
                return -EINVAL;
        (void) snprintf(ret, size, "%s", value);
        return 0;
}

static int parse_link(const struct env_file *file, const char *key, char ret[LINK_NAME_SIZE])
{
        const char *value = env_file_get(file, key);

        if (!value)
                return 0;
        if (!link_name_is_valid(value))
                return -EINVAL;
        (void) snprintf(ret, LINK_NAME_SIZE, "%s", value);
        return 0;
}

static int parse_address(const struct env_file *file, const char *key, struct net_address *ret)
{
        const char *value = env_file_get(file, key);
        int family = endswith(key, "4") ? AF_INET : AF_INET6;
        struct net_address a;

        if (!value)
                return 0;
        if (net_address_parse(value, &a) < 0 || a.family != family)
                return -EINVAL;
        *ret = a;
        return 0;
}

static int parse_others(const struct env_file *file, struct keeper_request *ret)
{
        const char *value = env_file_get(file, "OTHERS");
        char *text CLEANUP_FREE = value ? strdup(value) : NULL;

        if (!value)
                return 0;
        if (!text)
                return -ENOMEM;
        for (char *rest = text, *word; (word = strsep(&rest, " "));) {
                if (ret->n_others == ARRAY_SIZE(ret->others))
                        return -E2BIG;
                if (net_address_parse(word, &ret->others[ret->n_others]) < 0)
                        return -EINVAL;
                ret->n_others++;
        }
        return 0;
}

/* "tcp:8080:80", which is changed. */
static int parse_port(char *text, struct net_port *ret)
{
        char *host = strchr(text, ':'), *guest = host ? strchr(host + 1, ':') : NULL;
        unsigned long a = 0, b = 0;

        if (!guest)
                return -EINVAL;
        *host++ = *guest++ = '\0';
        if ((!streq(text, "tcp") && !streq(text, "udp")) || parse_ulong(host, 1, 65535, &a) < 0 ||
            parse_ulong(guest, 1, 65535, &b) < 0)
                return -EINVAL;
        *ret = (struct net_port){ .protocol = streq(text, "udp") ? NET_UDP : NET_TCP,
                                  .host = (uint16_t) a,
                                  .guest = (uint16_t) b };
        return 0;
}

static int parse_ports(const struct env_file *file, struct keeper_request *ret)
{
        const char *value = env_file_get(file, "PORTS");
        char *text CLEANUP_FREE = value ? strdup(value) : NULL;
        size_t n = 1;

        if (!value)
                return 0;
        if (!text)
                return -ENOMEM;
        for (const char *p = text; (p = strchr(p, ' ')); p++)
                n++;
        if (n > KEEPER_PORTS_MAX)
                return -E2BIG;
        ret->ports = calloc(n, sizeof(*ret->ports));
        if (!ret->ports)
                return -ENOMEM;
        for (char *rest = text, *word; (word = strsep(&rest, " "));) {
                int r = parse_port(word, &ret->ports[ret->n_ports]);

                if (r < 0)
                        return r;
                ret->n_ports++;
        }
        return 0;
}

static int parse_mac(const struct env_file *file, struct keeper_request *ret)
{
        const char *value = env_file_get(file, "MAC");

        ret->has_mac = value != NULL;
        return value ? mac_parse(value, ret->mac) : 0;
}

static int parse_isolate(const struct env_file *file, struct keeper_request *ret)
{
        const char *value = env_file_get(file, "ISOLATE");

        return value ? parse_boolean(value, &ret->isolate) : 0;
}

/* What belongs together is there together: others rely on it. */
static int check(const struct keeper_request *q)
{
        if (!q->machine[0] || (q->bridge[0] && !q->link[0]))
                return -EINVAL;
        if (!q->network[0])
                return 0;
        if (!q->link[0] || !q->has_mac || !q->subnet.prefix4.family || !q->subnet.gateway4.family)
                return -EINVAL;
        return !q->subnet.prefix6.family != !q->subnet.gateway6.family ? -EINVAL : 0;
}

static int parse_file(const struct env_file *file, struct keeper_request *q)
{
        int r = parse_name(file, "MACHINE", q->machine, sizeof(q->machine));

        if (r >= 0)
                r = parse_name(file, "NETWORK", q->network, sizeof(q->network));
        if (r >= 0)
                r = parse_link(file, "LINK", q->link);
        if (r >= 0)
                r = parse_link(file, "BRIDGE", q->bridge);
        if (r >= 0)
                r = parse_mac(file, q);
        if (r >= 0)
                r = parse_address(file, "ADDRESS4", &q->address4);
        if (r >= 0)
                r = parse_address(file, "ADDRESS6", &q->address6);
        if (r >= 0)
                r = parse_address(file, "PREFIX4", &q->subnet.prefix4);
        if (r >= 0)
                r = parse_address(file, "PREFIX6", &q->subnet.prefix6);
        if (r >= 0)
                r = parse_address(file, "GATEWAY4", &q->subnet.gateway4);
        if (r >= 0)
                r = parse_address(file, "GATEWAY6", &q->subnet.gateway6);
        if (r >= 0)
                r = parse_others(file, q);
        if (r >= 0)
                r = parse_isolate(file, q);
        if (r >= 0)
                r = parse_ports(file, q);
        return r < 0 ? r : check(q);
}

int keeper_request_parse(const char *text, size_t size, struct keeper_request *ret,
                         struct failure *failure)
{
        struct keeper_request q CLEANUP_KEEPER_REQUEST = { .ports = NULL };
        struct env_file file CLEANUP_ENV_FILE = { .text = NULL };
        int r = size > KEEPER_TEXT_MAX ? -EFBIG : env_file_parse(text, size, &file);

        if (r >= 0)
                r = parse_file(&file, &q);
        if (r < 0)
                return failure_set(
                        failure, r,
                        "The network's keeper does not understand what it was asked: it may "
                        "be of another version. It ends with the last machine.");
        *ret = q;
        q = (struct keeper_request){ .ports = NULL };
        return 0;
}
