/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "basic/fd.h"
#include "basic/log.h"
#include "netsetup/keeper-server.h"
#include "netsetup/keeper-sweep.h"
#include "netsetup/names-config.h"

/*
 * A machine is ready when its network's dnsmasq answers the question for its name: then the socket is bound,
 * and the files that were written for it are read, DHCP's before that of the names. While the gateway's
 * address is not there yet, or dnsmasq is not, the kernel refuses the question at once, and it is asked again.
 */

#define STEP_US UINT64_C(700)
#define ANSWER_US UINT64_C(20000) /* so long an answer may take before the question is repeated */
#define LIMIT_US UINT64_C(3000000)
#define DEAF_US UINT64_C(60000) /* refused for so long, the address is announced again */
#define QUESTION_SIZE 512

struct member_names {
        struct member *member;
        int fd;
        uint16_t id;
        size_t size;
        uint8_t question[QUESTION_SIZE];
        uint64_t begun_us, announced_us;
        bool wrong_answer;
        sd_event_source *input, *timer;
};

void member_names_stop(struct member *m)
{
        struct member_names *a = m->asking;

        if (!a)
                return;
        (void) sd_event_source_disable_unref(a->input);
        (void) sd_event_source_disable_unref(a->timer);
        (void) fd_close(a->fd);
        free(a);
        m->asking = NULL;
}

static int on_time(sd_event_source *source, uint64_t usec, void *userdata);

static void ask_again_in(struct member_names *a, uint64_t usec)
{
        a->timer = sd_event_source_disable_unref(a->timer);
        (void) sd_event_add_time_relative(a->member->keeper->event, &a->timer, CLOCK_MONOTONIC,
                                          usec, 100, on_time, a);
}

static void stop_asking(struct member *m)
{
        member_names_stop(m);
        member_check_ready(m);
}

static void give_up(struct member_names *a)
{
        struct member *m = a->member;
        char text[NET_ADDRESS_TEXT_SIZE], sentence[KEEPER_SENTENCE_SIZE];

        (void) snprintf(sentence, sizeof(sentence),
                        "Names of machines are not served: %s at %s, port 53%s.",
                        a->wrong_answer ? "another name server answers" : "dnsmasq does not answer",
                        net_address_text(&m->request.subnet.gateway4, text),
                        a->wrong_answer ? "; have it listen on its own addresses only"
                                        : " (is a firewall between the host and itself?)");
        member_problem(m, sentence);
        stop_asking(m);
}

static bool send_question(const struct member_names *a)
{
        const struct sockaddr_in address = { .sin_family = AF_INET,
                                             .sin_port = htons(53),
                                             .sin_addr = a->member->request.subnet.gateway4.in4 };

        /* Connected anew, since the address may have come meanwhile. */
        return connect(a->fd, (const struct sockaddr *) &address, sizeof(address)) >= 0 &&
               send(a->fd, a->question, a->size, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0;
}

static void ask(struct member_names *a)
{
        ask_again_in(a, send_question(a) ? ANSWER_US : STEP_US);
}

static int on_time(sd_event_source *source, uint64_t usec, void *userdata)
{
        struct member_names *a = userdata;
        struct member *m = a->member;
        uint64_t now = usec;

        (void) source;
        (void) sd_event_now(m->keeper->event, CLOCK_MONOTONIC, &now);
        if (!names_service_has_dns(m->network->names)) {
                member_problem(m, names_service_problem(m->network->names));
                stop_asking(m);
        } else if (now - a->begun_us > LIMIT_US)
                give_up(a);
        else
                ask(a);
        return 0;
}

/*
 * dnsmasq hears from the kernel which addresses come. What is said while it reads the list of all, in its first
 * moments, it forgets. So the kernel is made to say it once more; nothing changes by that.
 */
static void announce_again(struct member_names *a)
{
        const struct keeper_request *q = &a->member->request;
        struct net_address gateway = q->subnet.gateway4;
        uint64_t now = a->announced_us;

        (void) sd_event_now(a->member->keeper->event, CLOCK_MONOTONIC, &now);
        if (now - a->announced_us < DEAF_US)
                return;
        a->announced_us = now;
        /* Each machine with -n has a link of its own, which has just this address. */
        if (!q->bridge[0])
                gateway.prefix = 32;
        keeper_address_announce(q->bridge[0] ? q->bridge : q->link, &gateway);
}

static int on_answer(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
        struct member_names *a = userdata;
        struct member *m = a->member;
        uint8_t answer[QUESTION_SIZE];
        ssize_t n = recv(fd, answer, sizeof(answer), MSG_DONTWAIT);

        (void) source;
        (void) events;
        if (n < 0) {
                if (errno == EAGAIN || errno == EINTR)
                        return 0;
                announce_again(a); /* refused: nobody is there yet */
                ask_again_in(a, STEP_US);
                return 0;
        }
        if (!names_is_answer(answer, (size_t) n, a->id, &m->request.address4)) {
                /* The file is not read yet, or it is somebody else. */
                a->wrong_answer = true;
                ask_again_in(a, STEP_US);
                return 0;
        }
        stop_asking(m);
        return 0;
}

int member_names_ask(struct member *m, struct failure *failure)
{
        struct keeper *k = m->keeper;
        struct member_names *a;
        int r;

        if (!m->request.address4.family)
                return 0;
        a = m->asking = calloc(1, sizeof(*a));
        if (!a)
                return failure_set(failure, -ENOMEM, "Out of memory.");
        a->member = m;
        a->id = (uint16_t) (0x5354 + m->fd);
        a->size = names_question(m->request.machine, k->pools.domain, a->id, a->question,
                                 sizeof(a->question));
        a->fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        r = a->fd < 0 ? -errno : sd_event_now(k->event, CLOCK_MONOTONIC, &a->begun_us);
        a->announced_us = a->begun_us;
        if (r >= 0)
                r = sd_event_add_io(k->event, &a->input, a->fd, EPOLLIN, on_answer, a);
        if (r < 0) {
                member_names_stop(m);
                return failure_set(failure, r, "Cannot ask for the name of machine '%s': %s.",
                                   m->request.machine, error_text(r));
        }
        if (a->size == 0)
                member_names_stop(m); /* a name that the DNS does not take */
        else
                ask(a);
        return 0;
}
