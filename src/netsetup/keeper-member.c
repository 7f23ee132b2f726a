/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "basic/channel.h"
#include "basic/fd.h"
#include "basic/io.h"
#include "basic/log.h"
#include "netsetup/keeper-server.h"
#include "netsetup/keeper.h"
#include "netsetup/names-config.h"

#define DNS_PORT 53 /* RFC 1035 4.2 */

/* One machine: from its supervisor's connection to the end of that. */

static int send_message(const struct member *m, enum keeper_message type, int error,
                        const char *text)
{
        struct channel_message message = { .type = type, .error = error, .value = KEEPER_VERSION };

        (void) snprintf(message.text, sizeof(message.text), "%s", text);
        return channel_send(m->fd, &message, NULL, 0);
}

void member_problem(struct member *m, const char *text)
{
        if (text[0] && !m->problem[0])
                (void) snprintf(m->problem, sizeof(m->problem), "%s", text);
}

void member_fail(struct member *m, int error, const char *text)
{
        if (m->failure.error == 0)
                (void) failure_set(&m->failure, error, "%s", text);
}

/* Whether a port of name servers is published: then the proxy, which takes what is left of the host's
 * addresses, comes after the network's own. */
static bool publishes_names(const struct keeper_request *q)
{
        for (size_t i = 0; i < q->n_ports; i++)
                if (q->ports[i].host == DNS_PORT)
                        return true;
        return false;
}

void member_check_ready(struct member *m)
{
        if (m->state == MEMBER_JOINED && m->failure.error == 0 && !m->asking && m->ports_are_late) {
                m->ports_are_late = false;
                (void) member_ports_start(m, &m->failure);
        }
        if (m->failure.error < 0) {
                (void) send_message(m, KEEPER_FAILED, m->failure.error, m->failure.text);
                member_remove(m);
                return;
        }
        if (m->state != MEMBER_JOINED || m->asking || m->waits_for_ports)
                return;
        m->state = MEMBER_READY;
        (void) send_message(m, KEEPER_READY, 0, m->problem);
        keeper_enter_scope(m->keeper);
}

/* ---- joining ----------------------------------------------------------------------------- */

/* A machine that was started again may be here before we hear of the end of the one before. */
static bool is_gone(struct member *m)
{
        if (!channel_peer_is_gone(m->fd))
                return false;
        member_remove(m);
        return true;
}

static const struct net_port *shared_port(const struct keeper_request *a,
                                          const struct keeper_request *b)
{
        for (size_t i = 0; i < a->n_ports; i++)
                for (size_t j = 0; j < b->n_ports; j++)
                        if (a->ports[i].protocol == b->ports[j].protocol &&
                            a->ports[i].host == b->ports[j].host)
                                return &a->ports[i];
        return NULL;
}

static int check_against(const struct member *m, struct member *other, struct failure *failure)
{
        const struct net_port *port = shared_port(&m->request, &other->request);
        bool same = streq(m->request.machine, other->request.machine);

        if ((!same && !port) || is_gone(other))
                return 0;
        if (same)
                return failure_set(failure, -EEXIST,
                                   "A machine '%s' has a network already; it seems to be running.",
                                   m->request.machine);
        return failure_set(failure, -EADDRINUSE,
                           "Port %u (%s) of the host is already published for machine '%s'.",
                           (unsigned) port->host, net_protocol_name(port->protocol),
                           other->request.machine);
}

static int check_others(struct member *m, struct failure *failure)
{
        int r = 0;

        for (struct member *other = m->keeper->members, *next; other && r >= 0; other = next) {
                next = other->next;
                if (other != m && other->state != MEMBER_CONNECTED)
                        r = check_against(m, other, failure);
        }
        return r;
}

static int write_file(const struct member *m, int folder_fd, const struct strbuf *text,
                      struct failure *failure)
{
        int r = strbuf_ok(text)
                        ? replace_file_at(folder_fd, m->request.machine, 0644, strbuf_text(text))
                        : -ENOMEM;

        if (r < 0)
                return failure_set(failure, r,
                                   "Cannot write the file of machine '%s' for the network: %s.",
                                   m->request.machine, error_text(r));
        return 0;
}

/* DHCP first, since dnsmasq sees the files in that order, and it is the name that we ask for. */
static int add_names(struct member *m, struct failure *failure)
{
        const struct keeper_request *q = &m->request;
        struct strbuf text CLEANUP_STRBUF = STRBUF_NULL;
        int r;

        m->has_files = true;
        r = names_service_add(m->network->names, q, failure);
        if (r < 0)
                return r;
        names_hosts_print(q->machine, m->keeper->pools.domain, &q->address4, &q->address6, &text);
        return write_file(m, m->keeper->hosts_fd, &text, failure);
}

/* dnsmasq takes longest to begin; what else there is to do is done meanwhile. */
static int join(struct member *m, struct failure *failure)
{
        struct keeper *k = m->keeper;
        struct strbuf text CLEANUP_STRBUF = STRBUF_NULL;
        int r = check_others(m, failure);

        if (r >= 0 && m->request.network[0])
                r = network_enter(k, &m->request, &m->network, failure);
        if (r >= 0 && m->network)
                r = add_names(m, failure);
        if (r < 0)
                return r;
        keeper_open_firewall(k);
        if (m->network)
                network_open_ways(m->network);
        r = member_rules_add(m, failure);
        m->ports_are_late = m->network && names_service_has_dns(m->network->names) &&
                            publishes_names(&m->request);
        if (r >= 0 && m->request.n_ports > 0 && !m->ports_are_late)
                r = member_ports_start(m, failure);
        m->has_files = true;
        if (r >= 0)
                r = keeper_request_print(&m->request, &text);
        if (r >= 0)
                r = write_file(m, k->machines_fd, &text, failure);
        if (r >= 0 && m->network && names_service_has_dns(m->network->names))
                r = member_names_ask(m, failure);
        return r < 0 ? failure_set(failure, r, "The network's keeper failed: %s.", error_text(r))
                     : 0;
}

static int take_request(struct member *m)
{
        struct failure *failure = &m->failure;
        int r;

        if (m->is_elsewhere)
                return failure_set(failure, -EXDEV,
                                   "The network's keeper, which '" NETWORK_RUN_FOLDER
                                   "' belongs to, is in another network namespace.");
        r = keeper_request_parse(strbuf_text(&m->text), m->text.length, &m->request, failure);
        strbuf_done(&m->text);
        m->text = (struct strbuf) STRBUF_NULL;
        if (r < 0)
                return r;
        m->state = MEMBER_JOINED;
        return join(m, failure);
}

static void on_request(struct member *m)
{
        if (take_request(m) >= 0 && m->network) {
                member_problem(m, names_service_problem(m->network->names));
                member_problem(m, m->keeper->forwarding_problem);
        }
        member_check_ready(m);
}

/* ---- the connection ---------------------------------------------------------------------- */

static int take_message(struct member *m)
{
        struct channel_message message;
        int fd = -1, r;
        size_t n = 0;

        r = channel_receive(m->fd, 0, &message, &fd, 1, &n);
        if (r == -ETIMEDOUT)
                return 0;
        if (r < 0)
                return r;
        if (message.value != KEEPER_VERSION) {
                (void) fd_close(fd);
                member_fail(m, -EPROTO,
                            "The network's keeper that runs is of another version; it ends when "
                            "all machines with a network have.");
                member_check_ready(m);
                return 0;
        }
        if (m->leader_pidfd >= 0 || m->state != MEMBER_CONNECTED ||
            (message.type != KEEPER_PART && message.type != KEEPER_JOIN)) {
                (void) fd_close(fd);
                return -EPROTO;
        }
        m->leader_pidfd = fd;
        strbuf_add(&m->text, message.text);
        if (!strbuf_ok(&m->text) || m->text.length > KEEPER_TEXT_MAX)
                return -EPROTO;
        if (message.type == KEEPER_JOIN)
                on_request(m); /* @m may be gone */
        return 0;
}

static int on_input(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
        struct member *m = userdata;

        (void) source;
        (void) fd;
        (void) events;
        if (take_message(m) < 0)
                member_remove(m);
        return 0;
}

/* The socket's mode lets only root in; a descriptor of it may have got elsewhere. Who lives in another
 * network than we do would get nothing that works. */
static int check_peer(const struct keeper *k, int fd)
{
        struct ucred peer = { .pid = 0 };
        socklen_t size = sizeof(peer);
        char path[64];
        struct stat st;

        if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0)
                return -errno;
        if (peer.uid != 0)
                return -EPERM;
        (void) snprintf(path, sizeof(path), "/proc/%d/ns/net", (int) peer.pid);
        if (stat(path, &st) < 0)
                return 0; /* it is gone already, or in a pid namespace that we do not see */
        return st.st_ino == k->namespace.st_ino && st.st_dev == k->namespace.st_dev ? 0 : -EXDEV;
}

int member_accept(struct keeper *k, int take_fd)
{
        struct member *m = calloc(1, sizeof(*m));
        int r = m ? check_peer(k, take_fd) : -ENOMEM;

        if (!m) {
                (void) fd_close(take_fd);
                return r;
        }
        *m = (struct member){ .keeper = k, .fd = take_fd, .leader_pidfd = -1, .next = k->members };
        if (k->members)
                k->members->previous = m;
        k->members = m;
        m->is_elsewhere = r == -EXDEV;
        if (r >= 0 || r == -EXDEV)
                r = sd_event_add_io(k->event, &m->input, m->fd, EPOLLIN, on_input, m);
        if (r < 0)
                member_remove(m);
        return r;
}

void member_remove(struct member *m)
{
        struct keeper *k = m->keeper;

        member_names_stop(m);
        member_ports_stop(m);
        member_rules_remove(m);
        if (m->has_files) {
                (void) unlinkat(k->machines_fd, m->request.machine, 0);
                (void) unlinkat(k->hosts_fd, m->request.machine, 0);
                if (m->network)
                        names_service_remove(m->network->names, m->request.machine);
        }
        if (m->network)
                network_leave(m->network, m->request.bridge);
        if (m->previous)
                m->previous->next = m->next;
        else
                k->members = m->next;
        if (m->next)
                m->next->previous = m->previous;
        (void) sd_event_source_disable_unref(m->input);
        (void) fd_close(m->fd);
        (void) fd_close(m->leader_pidfd);
        strbuf_done(&m->text);
        keeper_request_done(&m->request);
        free(m);
        keeper_check_idle(k);
}
