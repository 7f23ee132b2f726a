/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Datagrams of the port proxy. Each client, at each address that it asked, has a session: a socket
 * connected to the machine. What comes back through it goes to this client, from the address that
 * was asked: a client does not accept answers from elsewhere.
 */
#include <errno.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <unistd.h>

#include "basic/clock.h"
#include "basic/fd.h"
#include "basic/siphash.h"
#include "netsetup/port-proxy-loop.h"

#define BUCKETS 1024
#define DATAGRAMS_EACH_TURN 32
#define DATAGRAM_SIZE 65536
/* As the kernel forgets an address translation (nf_conntrack_udp_timeout_stream). */
#define SESSION_MS UINT64_C(120000)
/* How often old sessions are looked for. */
#define EXPIRE_MS 10000

/* What makes a session; compared as bytes, so all of it is set. */
struct session_key {
        struct listener *listener;
        struct in6_addr client, asked; /* IPv4 addresses in the first four bytes */
        uint32_t client_scope, asked_ifindex;
        uint16_t client_port, unused[3];
};

struct session {
        struct source source;
        struct session_key key;
        uint64_t used;
        bool is_dead;
        struct session *older, *newer, *next_in_bucket, *next_dead;
};

struct udp_table {
        uint8_t hash_key[16]; /* clients choose ports; they shall not choose buckets */
        struct session *buckets[BUCKETS];
        struct session *oldest, *newest, *dead;
        size_t n;
        unsigned char datagram[DATAGRAM_SIZE];
};

int udp_table_new(struct udp_table **ret)
{
        struct udp_table *table = calloc(1, sizeof(*table));

        if (!table)
                return -ENOMEM;
        if (getrandom(table->hash_key, sizeof(table->hash_key), 0) != sizeof(table->hash_key)) {
                free(table);
                return -EIO;
        }
        *ret = table;
        return 0;
}

/* ---- sessions ---------------------------------------------------------------------------- */

static struct session **bucket_of(struct udp_table *table, const struct session_key *key)
{
        return &table->buckets[siphash24(key, sizeof(*key), table->hash_key) % BUCKETS];
}

static void unlink_used(struct udp_table *table, struct session *s)
{
        *(s->older ? &s->older->newer : &table->oldest) = s->newer;
        *(s->newer ? &s->newer->older : &table->newest) = s->older;
        s->older = s->newer = NULL;
}

static void link_newest(struct udp_table *table, struct session *s)
{
        s->older = table->newest;
        s->newer = NULL;
        *(table->newest ? &table->newest->newer : &table->oldest) = s;
        table->newest = s;
        s->used = clock_now_ms();
}

static void session_end(struct udp_table *table, struct session *s)
{
        struct session **link = bucket_of(table, &s->key);

        while (*link != s)
                link = &(*link)->next_in_bucket;
        *link = s->next_in_bucket;
        unlink_used(table, s);
        s->source.fd = fd_close(s->source.fd);
        table->n--;
        s->is_dead = true;
        s->next_dead = table->dead;
        table->dead = s;
}

void udp_bury(struct proxy *proxy)
{
        while (proxy->udp->dead) {
                struct session *s = proxy->udp->dead;

                proxy->udp->dead = s->next_dead;
                free(s);
        }
}

int udp_expire(struct proxy *proxy, uint64_t now)
{
        struct udp_table *table = proxy->udp;

        while (table->oldest && now - table->oldest->used >= SESSION_MS)
                session_end(table, table->oldest);
        return table->oldest ? EXPIRE_MS : -1;
}

void udp_forget_all(struct proxy *proxy)
{
        while (proxy->udp->oldest)
                session_end(proxy->udp, proxy->udp->oldest);
}

/* ---- from the machine to the client ------------------------------------------------------ */

/* The client's address as sendmsg(2) takes it. */
static socklen_t client_address(const struct session_key *key, struct sockaddr_storage *ret)
{
        if (key->listener->family == AF_INET) {
                struct sockaddr_in in4 = { .sin_family = AF_INET, .sin_port = key->client_port };

                memcpy(&in4.sin_addr, &key->client, sizeof(in4.sin_addr));
                memcpy(ret, &in4, sizeof(in4));
                return sizeof(in4);
        }

        struct sockaddr_in6 in6 = { .sin6_family = AF_INET6,
                                    .sin6_port = key->client_port,
                                    .sin6_addr = key->client,
                                    .sin6_scope_id = key->client_scope };

        memcpy(ret, &in6, sizeof(in6));
        return sizeof(in6);
}

/* Says from which address the datagram is to be sent. */
static void set_source_address(struct msghdr *message, const struct session_key *key)
{
        struct cmsghdr *header = CMSG_FIRSTHDR(message);

        if (key->listener->family == AF_INET) {
                struct in_pktinfo info = { .ipi_ifindex = 0 };

                memcpy(&info.ipi_spec_dst, &key->asked, sizeof(info.ipi_spec_dst));
                header->cmsg_level = IPPROTO_IP;
                header->cmsg_type = IP_PKTINFO;
                header->cmsg_len = CMSG_LEN(sizeof(info));
                memcpy(CMSG_DATA(header), &info, sizeof(info));
        } else {
                struct in6_pktinfo info = { .ipi6_addr = key->asked,
                                            .ipi6_ifindex = key->asked_ifindex };

                header->cmsg_level = IPPROTO_IPV6;
                header->cmsg_type = IPV6_PKTINFO;
                header->cmsg_len = CMSG_LEN(sizeof(info));
                memcpy(CMSG_DATA(header), &info, sizeof(info));
        }
        message->msg_controllen = CMSG_SPACE(header->cmsg_len - CMSG_LEN(0));
}

static void answer_client(const struct session *s, void *datagram, size_t n)
{
        union {
                char bytes[CMSG_SPACE(sizeof(struct in6_pktinfo))];
                struct cmsghdr align;
        } control = { .bytes = { 0 } };
        struct sockaddr_storage address;
        struct iovec vector = { .iov_base = datagram, .iov_len = n };
        struct msghdr message = { .msg_name = &address,
                                  .msg_namelen = client_address(&s->key, &address),
                                  .msg_iov = &vector,
                                  .msg_iovlen = 1,
                                  .msg_control = control.bytes,
                                  .msg_controllen = sizeof(control.bytes) };

        set_source_address(&message, &s->key);
        /* Datagrams may be lost; one that cannot be sent now is. */
        (void) sendmsg(s->key.listener->source.fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void session_ready(struct proxy *proxy, struct source *source, uint32_t events)
{
        struct session *s = source->owner;

        (void) events;
        for (int i = 0; i < DATAGRAMS_EACH_TURN && !s->is_dead; i++) {
                ssize_t n = recv(source->fd, proxy->udp->datagram, DATAGRAM_SIZE, MSG_DONTWAIT);

                /* "Refused" is what the machine said of an earlier datagram. */
                if (n < 0)
                        return;
                answer_client(s, proxy->udp->datagram, (size_t) n);
                unlink_used(proxy->udp, s);
                link_newest(proxy->udp, s);
        }
}

/* ---- from the client to the machine ------------------------------------------------------ */

static int connect_guest(const struct proxy *proxy, const struct listener *listener)
{
        struct sockaddr_storage address;
        socklen_t size = 0;
        int r;

        if (!proxy_target(proxy, listener->family, listener->guest_port, &address, &size))
                return -EHOSTUNREACH;

        int fd CLEANUP_FD = socket(address.ss_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

        if (fd < 0)
                return -errno;
        r = proxy_connect(proxy, fd, &address, size);
        return r < 0 ? r : TAKE_FD(fd);
}

static int session_begin(struct proxy *proxy, const struct session_key *key, struct session **ret)
{
        struct udp_table *table = proxy->udp;
        struct session *s = NULL, **bucket = bucket_of(table, key);
        int fd, r;

        if (table->n >= proxy->max_sessions)
                session_end(table, table->oldest);
        fd = connect_guest(proxy, key->listener);
        if (fd < 0)
                return fd;
        s = calloc(1, sizeof(*s));
        if (!s) {
                fd_close(fd);
                return -ENOMEM;
        }
        s->source = (struct source){ .ready = session_ready, .owner = s, .fd = fd };
        s->key = *key;
        s->next_in_bucket = *bucket;
        *bucket = s;
        link_newest(table, s);
        table->n++;
        r = proxy_watch(proxy, &s->source, EPOLLIN);
        if (r < 0) {
                session_end(table, s);
                return r;
        }
        *ret = s;
        return 0;
}

static struct session *session_find(struct udp_table *table, const struct session_key *key)
{
        struct session *s = *bucket_of(table, key);

        while (s && memcmp(&s->key, key, sizeof(*key)) != 0)
                s = s->next_in_bucket;
        return s;
}

/* The address that was asked. False: it was not one of the host's own (a broadcast). */
static bool read_asked(struct msghdr *message, struct session_key *key)
{
        for (struct cmsghdr *h = CMSG_FIRSTHDR(message); h; h = CMSG_NXTHDR(message, h)) {
                if (h->cmsg_level == IPPROTO_IP && h->cmsg_type == IP_PKTINFO) {
                        struct in_pktinfo info;

                        memcpy(&info, CMSG_DATA(h), sizeof(info));
                        memcpy(&key->asked, &info.ipi_addr, sizeof(info.ipi_addr));
                        return info.ipi_addr.s_addr == info.ipi_spec_dst.s_addr;
                }
                if (h->cmsg_level == IPPROTO_IPV6 && h->cmsg_type == IPV6_PKTINFO) {
                        struct in6_pktinfo info;

                        memcpy(&info, CMSG_DATA(h), sizeof(info));
                        key->asked = info.ipi6_addr;
                        if (IN6_IS_ADDR_LINKLOCAL(&info.ipi6_addr))
                                key->asked_ifindex = info.ipi6_ifindex;
                        return !IN6_IS_ADDR_MULTICAST(&info.ipi6_addr);
                }
        }
        return false;
}

static void read_client(const struct sockaddr_storage *address, struct session_key *key)
{
        if (address->ss_family == AF_INET) {
                struct sockaddr_in in4;

                memcpy(&in4, address, sizeof(in4));
                memcpy(&key->client, &in4.sin_addr, sizeof(in4.sin_addr));
                key->client_port = in4.sin_port;
        } else {
                struct sockaddr_in6 in6;

                memcpy(&in6, address, sizeof(in6));
                key->client = in6.sin6_addr;
                key->client_port = in6.sin6_port;
                key->client_scope = in6.sin6_scope_id;
        }
}

/* Reads one datagram into the table's buffer. Returns its size, or a negative errno. */
static ssize_t receive(struct udp_table *table, struct listener *listener,
                       struct session_key *ret_key, bool *ret_is_for_us)
{
        union {
                char bytes[CMSG_SPACE(sizeof(struct in6_pktinfo)) +
                           CMSG_SPACE(sizeof(struct in_pktinfo))];
                struct cmsghdr align;
        } control;
        struct sockaddr_storage client = { .ss_family = AF_UNSPEC };
        struct iovec vector = { .iov_base = table->datagram, .iov_len = DATAGRAM_SIZE };
        struct msghdr message = { .msg_name = &client,
                                  .msg_namelen = sizeof(client),
                                  .msg_iov = &vector,
                                  .msg_iovlen = 1,
                                  .msg_control = control.bytes,
                                  .msg_controllen = sizeof(control.bytes) };
        ssize_t n = recvmsg(listener->source.fd, &message, MSG_DONTWAIT);

        if (n < 0)
                return -errno;
        memset(ret_key, 0, sizeof(*ret_key));
        ret_key->listener = listener;
        read_client(&client, ret_key);
        *ret_is_for_us = read_asked(&message, ret_key);
        return n;
}

void udp_listener_ready(struct proxy *proxy, struct source *source, uint32_t events)
{
        struct udp_table *table = proxy->udp;

        (void) events;
        for (int i = 0; i < DATAGRAMS_EACH_TURN; i++) {
                struct session_key key;
                struct session *s;
                bool is_for_us = false;
                ssize_t n = receive(table, source->owner, &key, &is_for_us);

                if (n < 0)
                        return;
                if (!is_for_us)
                        continue;
                s = session_find(table, &key);
                if (!s && session_begin(proxy, &key, &s) < 0)
                        continue;
                unlink_used(table, s);
                link_newest(table, s);
                if (send(s->source.fd, table->datagram, (size_t) n, MSG_DONTWAIT | MSG_NOSIGNAL) <
                    0)
                        /* The first try brings the "refused" of an earlier datagram. */
                        (void) send(s->source.fd, table->datagram, (size_t) n,
                                    MSG_DONTWAIT | MSG_NOSIGNAL);
        }
}
