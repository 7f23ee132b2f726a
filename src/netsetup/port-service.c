/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "netsetup/port-service.h"

#include <errno.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include "basic/clock.h"
#include "basic/fd.h"
#include "basic/log.h"
#include "basic/process.h"
#include "netsetup/host-routes.h"
#include "netsetup/port-health.h"
#include "netsetup/port-proxy.h"
#include "netsetup/port-rules.h"

/* A proxy that dies is started again after this, and each time later. */
#define RESTART_MS 100
#define LAST_RESTART_MS UINT64_C(10000)
/* One that ran for so long was fine. */
#define FINE_MS UINT64_C(60000)
/* A look tells of all machines; those that are due so soon take part in it, and are together from then on. */
#define TOGETHER_MS (PORT_HEALTH_LOOK_MS / 2)
/* Looking takes a hundredth of the time at most: a machine may publish thousands of ports. */
#define LOOK_SHARE 100
/* Where looking or switching failed. */
#define AGAIN_MS 1000
#define NEVER UINT64_MAX

struct machine {
        struct port_service *service;
        struct firewall_member m; /* .machine and .ports lead into this */
        char *name;
        struct net_port *ports;
        int leader_fd; /* where the address has to be found out; else -1 */
        void (*ready)(void *data, const struct failure *failure);
        void *data;

        int pidfd, status_fd; /* of the proxy; -1: it does not run */
        struct port_proxy_reader reader;
        uint64_t started_ms, restart_ms, restart_after_ms;

        bool may_have_rules; /* made here, as soon as there is an address */
        bool has_kernel_way;
        struct port_health health;
        struct machine *next;
};

struct port_service {
        struct firewall *fw;
        int epoll_fd, timer_fd;
        struct port_rules *rules; /* NULL: changes of rules are not told */
        struct machine *machines;
};

static int watch(struct port_service *service, int fd, void *what)
{
        struct epoll_event event = { .events = EPOLLIN, .data.ptr = what };

        return epoll_ctl(service->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0 ? -errno : 0;
}

/* ---- the proxy of a machine -------------------------------------------------------------- */

static void proxy_end(struct machine *machine)
{
        struct process_end end;

        /* By hand: a child that was just born has a copy until its exec, and would keep it watched. */
        if (machine->status_fd >= 0)
                (void) epoll_ctl(machine->service->epoll_fd, EPOLL_CTL_DEL, machine->status_fd,
                                 NULL);
        machine->status_fd = fd_close(machine->status_fd);
        if (machine->pidfd < 0)
                return;
        (void) process_signal(machine->pidfd, SIGKILL);
        (void) process_wait(machine->pidfd, &end);
        machine->pidfd = fd_close(machine->pidfd);
}

static int proxy_begin(struct machine *machine, struct failure *failure)
{
        struct port_proxy_config config = {
                .machine = machine->name,
                .netns_fd = machine->leader_fd,
                .inside = machine->m.link[0] == '\0',
                .ports = machine->ports,
                .n_ports = machine->m.n_ports,
        };
        int r;

        if (machine->leader_fd < 0) {
                config.target4 = machine->m.address4;
                config.target6 = machine->m.address6;
        } else if (!config.inside)
                config.link = machine->m.link;
        r = port_proxy_spawn(&config, &machine->pidfd, &machine->status_fd, failure);
        if (r < 0)
                return r;
        machine->reader.length = 0;
        machine->started_ms = clock_now_ms();
        machine->restart_ms = NEVER;
        r = watch(machine->service, machine->status_fd, machine);
        if (r < 0)
                proxy_end(machine);
        return r < 0 ? failure_set(failure, r, "Cannot follow the port proxy: %s.", error_text(r))
                     : 0;
}

/* It was lost after it had worked, or could not be started again. */
static void proxy_restart_later(struct machine *machine)
{
        uint64_t now = clock_now_ms();

        proxy_end(machine);
        if (now - machine->started_ms >= FINE_MS)
                machine->restart_after_ms = RESTART_MS;
        machine->restart_ms = now + machine->restart_after_ms;
        machine->restart_after_ms = MIN_OF(machine->restart_after_ms * 2, LAST_RESTART_MS);
}

static void proxy_restart(struct machine *machine)
{
        struct failure failure = { .error = 0 };

        if (proxy_begin(machine, &failure) >= 0)
                return;
        syslog(LOG_WARNING, "Machine '%s': %s", machine->name, failure.text);
        proxy_restart_later(machine);
}

/* ---- which way --------------------------------------------------------------------------- */

static void set_way(struct machine *machine)
{
        struct failure failure = { .error = 0 };
        bool by_kernel = machine->health.by_kernel;

        if (firewall_set_ports(machine->service->fw, &machine->m, by_kernel, &failure) >= 0) {
                syslog(LOG_INFO, "Machine '%s': published ports are %s now.", machine->name,
                       by_kernel ? "redirected by the kernel"
                                 : "taken by a proxy, because another firewall of the host drops "
                                   "what is redirected,");
                return;
        }
        syslog(LOG_WARNING, "Machine '%s': %s", machine->name, failure.text);
        machine->health.by_kernel = !by_kernel;
        machine->health.next_ms = clock_now_ms() + AGAIN_MS;
}

static void check_health(struct machine *machine, uint64_t now)
{
        uint64_t redirected = 0, forwarded = 0;
        struct port_health *h = &machine->health;

        if (h->by_kernel)
                firewall_count_ports(machine->service->fw, &machine->m, &redirected, &forwarded);
        if (port_health_step(h, now, redirected, forwarded) != PORT_ACTION_NONE)
                set_way(machine);
}

/* What the host's other firewalls do to one machine's connections, they do to others'. */
static bool others_need_proxy(const struct port_service *service)
{
        for (const struct machine *i = service->machines; i; i = i->next)
                if (i->has_kernel_way && !i->health.by_kernel)
                        return true;
        return false;
}

static void begin_kernel_way(struct machine *machine)
{
        bool by_kernel = !others_need_proxy(machine->service);

        port_health_init(&machine->health, by_kernel, clock_now_ms());
        machine->has_kernel_way = true;
        if (!by_kernel)
                set_way(machine);
}

/* ---- addresses of others ----------------------------------------------------------------- */

static bool can_have_rules(const struct port_service *service, const struct firewall_member *m)
{
        char path[64];

        if (!service->fw || !m->link[0] || m->bridge[0])
                return false;
        (void) snprintf(path, sizeof(path), "/sys/class/net/%s", m->link);
        if (access(path, F_OK) < 0)
                return false;
        (void) snprintf(path, sizeof(path), "/sys/class/net/%s/master", m->link);
        return access(path, F_OK) < 0;
}

/* The proxy has found another address of the machine, which may be any: no rule of ours leads to what is not
 * behind the machine's link. */
static void set_address(struct machine *machine, const struct port_proxy_event *event)
{
        struct firewall *fw = machine->service->fw;
        struct failure failure = { .error = 0 };
        struct net_address none = { .family = AF_UNSPEC };
        bool is_there = event->kind == PORT_PROXY_ADDRESS && machine->may_have_rules &&
                        host_route_leads_to(&event->address, machine->m.link);
        int r;

        if (!machine->may_have_rules)
                return;
        *(event->family == AF_INET ? &machine->m.address4 : &machine->m.address6) =
                is_there ? event->address : none;
        machine->has_kernel_way = false;
        r = firewall_remove(fw, &machine->m, &failure);
        if (machine->m.address4.family == AF_UNSPEC && machine->m.address6.family == AF_UNSPEC)
                return;
        if (r >= 0)
                r = firewall_add(fw, &machine->m, &failure);
        if (r < 0)
                syslog(LOG_WARNING, "Machine '%s': %s", machine->name, failure.text);
        else
                begin_kernel_way(machine);
}

static uint64_t next_of(const struct machine *machine)
{
        uint64_t health = machine->has_kernel_way ? machine->health.next_ms : NEVER;

        return MIN_OF(health, machine->restart_ms);
}

static void set_timer(struct port_service *service)
{
        struct itimerspec when = { .it_value = { .tv_sec = 0 } };
        uint64_t next = NEVER;

        for (const struct machine *i = service->machines; i; i = i->next)
                next = MIN_OF(next, next_of(i));
        if (next != NEVER)
                when.it_value = (struct timespec){ .tv_sec = (time_t) (next / 1000),
                                                   .tv_nsec = (long) (next % 1000) * 1000000 + 1 };
        (void) timerfd_settime(service->timer_fd, TFD_TIMER_ABSTIME, &when, NULL);
}

/* ---- machines ---------------------------------------------------------------------------- */

static struct machine **find(struct port_service *service, const char *name)
{
        struct machine **i = &service->machines;

        while (*i && !streq((*i)->name, name))
                i = &(*i)->next;
        return i;
}

static void machine_free(struct machine *machine)
{
        struct failure failure = { .error = 0 };

        if (!machine)
                return;
        proxy_end(machine);
        if (machine->may_have_rules &&
            firewall_remove(machine->service->fw, &machine->m, &failure) < 0)
                syslog(LOG_WARNING, "Machine '%s': %s", machine->name, failure.text);
        fd_close(machine->leader_fd);
        free(machine->ports);
        free(machine->name);
        free(machine);
}

static struct machine *machine_new(const struct firewall_member *m)
{
        struct machine *machine = calloc(1, sizeof(*machine));

        if (!machine)
                return NULL;
        machine->leader_fd = machine->pidfd = machine->status_fd = -1;
        machine->restart_ms = NEVER;
        machine->restart_after_ms = RESTART_MS;
        machine->m = *m;
        machine->m.others = NULL;
        machine->m.n_others = 0;
        machine->name = strdup(m->machine);
        machine->ports = calloc(m->n_ports, sizeof(*machine->ports));
        if (!machine->name || !machine->ports) {
                machine_free(machine);
                return NULL;
        }
        memcpy(machine->ports, m->ports, m->n_ports * sizeof(*m->ports));
        machine->m.machine = machine->name;
        machine->m.ports = machine->ports;
        return machine;
}

void port_service_remove(struct port_service *service, const char *name)
{
        struct machine **place = find(service, name), *machine = *place;

        if (!machine)
                return;
        *place = machine->next;
        machine_free(machine);
}

/* The answer, once. */
static void answer(struct machine *machine, const struct failure *failure)
{
        void (*ready)(void *data, const struct failure *failure) = machine->ready;

        machine->ready = NULL;
        if (ready)
                ready(machine->data, failure);
}

static void machine_failed(struct port_service *service, struct machine *machine, const char *why)
{
        struct failure failure = { .error = 0 };
        void (*ready)(void *data, const struct failure *failure) = machine->ready;
        void *data = machine->data;

        if (!ready) {
                syslog(LOG_WARNING, "Machine '%s': %s", machine->name, why);
                proxy_restart_later(machine);
                return;
        }
        (void) failure_set(&failure, -EADDRINUSE, "%s", why);
        port_service_remove(service, machine->name);
        ready(data, &failure);
}

/* All that it says; last what the keeper is told, for that may take the machine away. */
static void machine_event(struct port_service *service, struct machine *machine)
{
        struct port_proxy_event event = { .kind = PORT_PROXY_NOTHING };
        bool is_ready = false;
        int r;

        do {
                r = port_proxy_read(&machine->reader, machine->status_fd, &event);
                if (r >= 0 && event.kind == PORT_PROXY_READY)
                        is_ready = true;
                if (r >= 0 && (event.kind == PORT_PROXY_ADDRESS || event.kind == PORT_PROXY_LOST))
                        set_address(machine, &event);
        } while (r >= 0 && event.kind != PORT_PROXY_NOTHING && event.kind != PORT_PROXY_ENDED &&
                 event.kind != PORT_PROXY_FAILED);
        if (r < 0 || event.kind == PORT_PROXY_ENDED)
                machine_failed(service, machine, "The proxy of its published ports ended.");
        else if (event.kind == PORT_PROXY_FAILED)
                machine_failed(service, machine, event.text);
        else if (is_ready)
                answer(machine, NULL);
}

int port_service_add(struct port_service *service, const struct firewall_member *m, int leader_fd,
                     void (*ready)(void *data, const struct failure *failure), void *data,
                     struct failure *failure)
{
        struct machine *machine = machine_new(m);
        bool has_address = m->address4.family != AF_UNSPEC || m->address6.family != AF_UNSPEC;
        int r = 0;

        if (!machine)
                return failure_set(failure, -ENOMEM, "Out of memory.");
        port_service_remove(service, machine->name);
        machine->service = service;
        machine->ready = ready;
        machine->data = data;
        if (!has_address || !m->link[0])
                r = machine->leader_fd = fd_copy(leader_fd);
        if (!has_address && can_have_rules(service, m))
                machine->may_have_rules = machine->m.only_ports = true;
        if (r < 0)
                r = failure_set(failure, r, "Cannot keep the leader of machine '%s': %s.",
                                machine->name, error_text(r));
        if (r >= 0)
                r = proxy_begin(machine, failure);
        if (r < 0) {
                machine_free(machine);
                return r;
        }
        if (service->fw && has_address && m->link[0])
                begin_kernel_way(machine);
        machine->next = service->machines;
        service->machines = machine;
        set_timer(service);
        return 0;
}

bool port_service_is_by_kernel(const struct port_service *service, const char *name)
{
        for (const struct machine *i = service->machines; i; i = i->next)
                if (streq(i->name, name))
                        return i->has_kernel_way && i->health.by_kernel;
        return false;
}

/* ---- the loop ---------------------------------------------------------------------------- */

int port_service_open(struct firewall *fw, struct port_service **ret, struct failure *failure)
{
        struct port_service *service = calloc(1, sizeof(*service));
        int r = 0;

        if (!service)
                return failure_set(failure, -ENOMEM, "Out of memory.");
        service->fw = fw;
        service->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
        service->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
        if (service->epoll_fd < 0 || service->timer_fd < 0)
                r = -errno;
        if (r >= 0)
                r = watch(service, service->timer_fd, NULL);
        /* Without it the next try comes by itself. */
        if (r >= 0 && fw && port_rules_open(&service->rules) >= 0)
                r = watch(service, port_rules_fd(service->rules), service->rules);
        if (r < 0) {
                port_service_close(service);
                return failure_set(failure, r, "Cannot begin to publish ports: %s.", error_text(r));
        }
        *ret = service;
        return 0;
}

void port_service_close(struct port_service *service)
{
        if (!service)
                return;
        while (service->machines)
                port_service_remove(service, service->machines->name);
        port_rules_close(service->rules);
        fd_close(service->timer_fd);
        fd_close(service->epoll_fd);
        free(service);
}

int port_service_fd(const struct port_service *service)
{
        return service->epoll_fd;
}

static void check_all(struct port_service *service, uint64_t now)
{
        bool is_due = false, looks = false;
        uint64_t begin, rest_ms;

        for (const struct machine *i = service->machines; i; i = i->next)
                if (i->has_kernel_way && i->health.next_ms <= now) {
                        is_due = true;
                        looks = looks || i->health.by_kernel;
                }
        if (!is_due)
                return;
        begin = clock_now_us();
        if (looks && firewall_look(service->fw) < 0) {
                for (struct machine *i = service->machines; i; i = i->next)
                        i->health.next_ms = MAX_OF(i->health.next_ms, now + AGAIN_MS);
                return;
        }
        rest_ms = (clock_now_us() - begin) * LOOK_SHARE / 1000;
        for (struct machine *i = service->machines; i; i = i->next) {
                struct port_health *h = &i->health;
                bool together = looks && h->by_kernel && h->confirmed == 0;

                if (!i->has_kernel_way || h->next_ms > now + (together ? TOGETHER_MS : 0))
                        continue;
                check_health(i, now);
                if (h->confirmed == 0)
                        h->next_ms = MAX_OF(h->next_ms, now + rest_ms);
        }
}

static void run_timers(struct port_service *service)
{
        uint64_t now = clock_now_ms();

        for (struct machine *i = service->machines; i; i = i->next)
                if (i->restart_ms <= now)
                        proxy_restart(i);
        check_all(service, now);
}

static void rules_changed(struct port_service *service)
{
        uint64_t now = clock_now_ms();

        if (!port_rules_dispatch(service->rules))
                return;
        for (struct machine *i = service->machines; i; i = i->next)
                port_health_rules_changed(&i->health, now);
}

void port_service_dispatch(struct port_service *service)
{
        struct epoll_event event;
        uint64_t expirations;

        /* One at a time: what it leads to may take the others away. */
        while (epoll_wait(service->epoll_fd, &event, 1, 0) > 0) {
                if (!event.data.ptr) {
                        (void) !read(service->timer_fd, &expirations, sizeof(expirations));
                        run_timers(service);
                } else if (event.data.ptr == service->rules)
                        rules_changed(service);
                else
                        machine_event(service, event.data.ptr);
                set_timer(service);
        }
}
