/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "netsetup/host-routes.h"

#include <errno.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "basic/fd.h"

#define ANSWER_SIZE 32768 /* what the kernel fills at most in one part of a dump */
#define ANSWER_TIMEOUT_MS 5000

/* Routes of one link come together; its name is asked for once. */
struct known_link {
        int index;
        bool is_ours;
};

struct request {
        struct nlmsghdr head;
        union {
                struct rtmsg route;
                struct ifaddrmsg address;
        };
        char attributes[64];
};

/* What an answer says of one route or address. */
struct entry {
        int family;
        unsigned prefix;
        const void *destination; /* NULL: everything */
        int link;                /* 0: none */
        int type;
        bool has_gateway;
};

/* ---- the conversation -------------------------------------------------------------------- */

static int send_request(int fd, const struct request *q)
{
        const struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };

        return sendto(fd, q, q->head.nlmsg_len, 0, (const struct sockaddr *) &kernel,
                      sizeof(kernel)) < 0
                       ? -errno
                       : 0;
}

/* One datagram of the kernel's. */
static ssize_t receive(int fd, void *answer)
{
        for (;;) {
                struct sockaddr_nl from = { .nl_family = AF_NETLINK };
                socklen_t size = sizeof(from);
                struct pollfd wait = { .fd = fd, .events = POLLIN };
                ssize_t n = recvfrom(fd, answer, ANSWER_SIZE, MSG_DONTWAIT,
                                     (struct sockaddr *) &from, &size);

                if (n >= 0 && from.nl_pid == 0)
                        return n;
                if (n < 0 && errno != EAGAIN && errno != EINTR)
                        return -errno;
                /* The kernel answers within the call that asks; it is never waited for. */
                if (n < 0 && poll(&wait, 1, ANSWER_TIMEOUT_MS) == 0)
                        return -ETIMEDOUT;
        }
}

static bool parse_route(const struct nlmsghdr *head, struct entry *ret)
{
        const struct rtmsg *m = NLMSG_DATA(head);
        int left = (int) RTM_PAYLOAD(head);

        *ret = (struct entry){ .family = m->rtm_family,
                               .prefix = m->rtm_dst_len,
                               .type = m->rtm_type };
        if (left < 0 || (m->rtm_flags & RTM_F_CLONED))
                return false;
        for (const struct rtattr *a = RTM_RTA(m); RTA_OK(a, left); a = RTA_NEXT(a, left))
                if (a->rta_type == RTA_DST)
                        ret->destination = RTA_DATA(a);
                else if (a->rta_type == RTA_OIF && RTA_PAYLOAD(a) >= sizeof(int))
                        memcpy(&ret->link, RTA_DATA(a), sizeof(int));
                else if (a->rta_type == RTA_GATEWAY || a->rta_type == RTA_VIA ||
                         a->rta_type == RTA_MULTIPATH)
                        ret->has_gateway = true;
        return true;
}

static bool parse_address(const struct nlmsghdr *head, struct entry *ret)
{
        const struct ifaddrmsg *m = NLMSG_DATA(head);
        int left = (int) IFA_PAYLOAD(head);

        *ret = (struct entry){ .family = m->ifa_family,
                               .prefix = m->ifa_prefixlen,
                               .type = RTN_UNICAST,
                               .link = (int) m->ifa_index };
        if (left < 0)
                return false;
        /* With a peer, this is its address, which is what the route leads to. */
        for (const struct rtattr *a = IFA_RTA(m); RTA_OK(a, left); a = RTA_NEXT(a, left))
                if (a->rta_type == IFA_ADDRESS)
                        ret->destination = RTA_DATA(a);
        return ret->destination != NULL;
}

static struct net_address entry_prefix(const struct entry *e)
{
        struct net_address a = { .family = e->family, .prefix = e->prefix };

        if (e->destination && e->family == AF_INET6)
                memcpy(&a.in6, e->destination, sizeof(a.in6));
        else if (e->destination)
                memcpy(&a.in4, e->destination, sizeof(a.in4));
        return a;
}

static bool is_link_of_ours(int fd, int link)
{
        struct ifreq request = { .ifr_ifindex = link };

        if (link <= 0 || ioctl(fd, SIOCGIFNAME, &request) < 0)
                return false;
        return startswith(request.ifr_name, "ve-") || startswith(request.ifr_name, "vb-") ||
               startswith(request.ifr_name, "vz-");
}

/* ---- one route --------------------------------------------------------------------------- */

/* Whether the answer @n bytes long at @head is a route that a network of ours would collide with. */
static int read_answer(int fd, const struct nlmsghdr *head, size_t n, struct net_address *ret)
{
        struct entry e;

        *ret = (struct net_address){ .family = 0 };
        if (!NLMSG_OK(head, n))
                return -EBADMSG;
        if (head->nlmsg_type == NLMSG_ERROR) {
                const struct nlmsgerr *error = NLMSG_DATA(head);

                if (head->nlmsg_len < NLMSG_LENGTH(sizeof(*error)))
                        return -EBADMSG;
                /* Refused or unreachable, mostly by the keeper's own route, and no route at all. */
                return error->error == -ENETUNREACH || error->error == -EHOSTUNREACH ||
                                       error->error == -EACCES || error->error == -EINVAL
                               ? 0
                               : error->error;
        }
        if (head->nlmsg_type != RTM_NEWROUTE || !parse_route(head, &e) || !e.destination)
                return 0;
        if (e.prefix < (e.family == AF_INET6 ? NET_BUSY_SHORTEST6 : NET_BUSY_SHORTEST4) ||
            e.type == RTN_UNREACHABLE || e.type == RTN_BLACKHOLE || e.type == RTN_PROHIBIT ||
            is_link_of_ours(fd, e.link))
                return 0;
        *ret = entry_prefix(&e);
        return 0;
}

/* Puts the route to @address into @answer. Returns its length. */
static ssize_t ask_route(int fd, const struct net_address *address, void *answer)
{
        unsigned short bytes = (unsigned short) net_address_size(address);
        struct request q = {
                .head = { .nlmsg_type = RTM_GETROUTE, .nlmsg_flags = NLM_F_REQUEST },
                .route = { .rtm_family = (unsigned char) address->family,
                           .rtm_dst_len = (unsigned char) (8 * bytes),
                           .rtm_flags = RTM_F_FIB_MATCH },
        };
        struct rtattr *a = (struct rtattr *) (void *) q.attributes;
        int r;

        a->rta_type = RTA_DST;
        a->rta_len = (unsigned short) RTA_LENGTH(bytes);
        memcpy(RTA_DATA(a), net_address_bytes(address), bytes);
        q.head.nlmsg_len = (uint32_t) (NLMSG_SPACE(sizeof(struct rtmsg)) + RTA_SPACE(bytes));
        r = send_request(fd, &q);
        return r < 0 ? r : receive(fd, answer);
}

int host_route_find(const struct net_address *address, struct net_address *ret)
{
        int fd CLEANUP_FD = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
        char answer[ANSWER_SIZE] __attribute__((aligned(NLMSG_ALIGNTO))) = { 0 };
        ssize_t n = fd < 0 ? -errno : ask_route(fd, address, answer);

        if (n < 0)
                return (int) n;
        return read_answer(fd, (const struct nlmsghdr *) (void *) answer, (size_t) n, ret);
}

/* Whether there is a route to @address, and of which type and link. */
static bool read_route(const struct net_address *address, int *ret_type, int *ret_link)
{
        int fd CLEANUP_FD = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
        char answer[ANSWER_SIZE] __attribute__((aligned(NLMSG_ALIGNTO))) = { 0 };
        const struct nlmsghdr *head = (const struct nlmsghdr *) (void *) answer;
        ssize_t n = fd < 0 ? -errno : ask_route(fd, address, answer);
        struct entry e;

        if (n <= 0 || !NLMSG_OK(head, (size_t) n) || head->nlmsg_type != RTM_NEWROUTE ||
            !parse_route(head, &e))
                return false;
        *ret_type = e.type;
        *ret_link = e.link;
        return true;
}

bool host_route_leads_to(const struct net_address *address, const char *link)
{
        unsigned index = if_nametoindex(link);
        int type, found;

        return index > 0 && read_route(address, &type, &found) && type == RTN_UNICAST &&
               found == (int) index;
}

bool host_has_address(const struct net_address *address)
{
        int type, link;

        return read_route(address, &type, &link) && type == RTN_LOCAL;
}

/* ---- all of them ------------------------------------------------------------------------- */

static bool is_busy_type(int type)
{
        return type == RTN_UNICAST || type == RTN_LOCAL || type == RTN_BROADCAST ||
               type == RTN_ANYCAST || type == RTN_NAT;
}

static bool is_near_type(const struct entry *e)
{
        return e->type != RTN_UNICAST || !e->has_gateway;
}

/* Adds what one message says. Returns 0, or -ENOMEM. */
static int add_entry(int fd, const struct nlmsghdr *head, struct known_link *known,
                     struct net_busy *busy)
{
        struct net_address prefix;
        struct entry e;

        if (head->nlmsg_type == RTM_NEWROUTE
                    ? !parse_route(head, &e)
                    : head->nlmsg_type != RTM_NEWADDR || !parse_address(head, &e))
                return 0;
        if ((e.family != AF_INET && e.family != AF_INET6) || !e.destination ||
            !is_busy_type(e.type))
                return 0;
        if (known->index != e.link)
                *known = (struct known_link){ e.link, is_link_of_ours(fd, e.link) };
        if (known->is_ours)
                return 0;
        prefix = entry_prefix(&e);
        prefix = net_address_network(&prefix);
        return net_busy_add(busy, &prefix, is_near_type(&e));
}

/* Reads the parts of a dump. */
static int read_dump(int fd, struct net_busy *busy)
{
        char answer[ANSWER_SIZE] __attribute__((aligned(NLMSG_ALIGNTO)));
        struct known_link known = { .index = 0 };

        for (;;) {
                ssize_t n = receive(fd, answer);
                size_t left = n > 0 ? (size_t) n : 0;

                if (n < 0)
                        return (int) n;
                for (const struct nlmsghdr *head = (const struct nlmsghdr *) (void *) answer;
                     NLMSG_OK(head, left); head = NLMSG_NEXT(head, left)) {
                        int r;

                        if (head->nlmsg_type == NLMSG_DONE)
                                return 0;
                        if (head->nlmsg_type == NLMSG_ERROR)
                                return -EIO;
                        r = add_entry(fd, head, &known, busy);
                        if (r < 0)
                                return r;
                }
                if (busy->n > HOST_ROUTES_MAX)
                        return 0;
        }
}

static int dump(uint16_t type, struct net_busy *busy)
{
        int fd CLEANUP_FD = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
        struct request q = {
                .head = { .nlmsg_len = NLMSG_LENGTH(sizeof(struct rtmsg)),
                          .nlmsg_type = type,
                          .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP },
        };
        int r;

        if (fd < 0)
                return -errno;
        if (type == RTM_GETADDR)
                q.head.nlmsg_len = NLMSG_LENGTH(sizeof(struct ifaddrmsg));
        r = send_request(fd, &q);
        return r < 0 ? r : read_dump(fd, busy);
}

int host_routes_read(struct net_busy *busy)
{
        /* Routes have no entry for the networks of links that are down, addresses none for what is
         * routed elsewhere. */
        int r = dump(RTM_GETADDR, busy);

        return r < 0 ? r : dump(RTM_GETROUTE, busy);
}
