/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "netsetup/names-service.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "basic/fd.h"
#include "basic/io.h"
#include "basic/log.h"
#include "basic/process.h"
#include "basic/strbuf.h"
#include "netsetup/keeper.h"
#include "netsetup/names-config.h"
#include "netsetup/names-process.h"
#include "netsetup/net-facts.h"

/* After so many milliseconds it is started again, by how often it ended in a row. */
static const unsigned back_off_ms[] = { 0, 0, 100, 1000, 5000, 30000 };
#define SOUND_US UINT64_C(30000000) /* who lived so long is no longer counted */
#define ESTABLISHED_US UINT64_C(2000000)
#define RELOAD_DELAY_US UINT64_C(500000)
/* One that was killed together with its keeper may have the port a moment longer. */
#define PORT_TRIES 25
#define PORT_STEP_US UINT64_C(20000)
#define LINE_MAX_BYTES 400

struct names_service {
        sd_event *event;
        char *folder, *config_path, *program;
        char *network, *interface;
        struct net_subnet subnet;
        const struct net_pools *pools;
        names_notice notice;
        void *userdata;

        int folder_fd, dhcp_fd;
        int pidfd, stderr_fd;
        sd_event_source *child, *output, *restart, *reload;
        uint64_t started_us;
        unsigned n_ends, n_port_tries;
        bool no_dns, no_dhcp, ended_itself;
        bool reload_is_due;
        char line[LINE_MAX_BYTES], last_line[LINE_MAX_BYTES];
        size_t line_length;
        char problem[960];
};

static uint64_t now_us(const struct names_service *s)
{
        uint64_t t = 0;

        (void) sd_event_now(s->event, CLOCK_MONOTONIC, &t);
        return t;
}

static void PRINTF_LIKE(2, 3) say(struct names_service *s, const char *format, ...)
{
        va_list ap;

        va_start(ap, format);
        (void) vsnprintf(s->problem, sizeof(s->problem), format, ap);
        va_end(ap);
        s->notice(s->userdata, s->problem);
}

/* ---- its files --------------------------------------------------------------------------- */

static int fail_file(struct failure *failure, int error, const struct names_service *s,
                     const char *name)
{
        return failure_set(failure, error, "Cannot write '%s/%s': %s.", s->folder, name,
                           error_text(error));
}

static int write_config(struct names_service *s, struct failure *failure)
{
        struct strbuf text CLEANUP_STRBUF = STRBUF_NULL;
        char *dhcp CLEANUP_FREE = NULL;
        int r;

        if (asprintf(&dhcp, "%s/dhcp", s->folder) < 0) {
                dhcp = NULL;
                return failure_set(failure, -ENOMEM, "Out of memory.");
        }
        const struct names_config config = { .network = s->network,
                                             .interface = s->interface,
                                             .hosts_folder = NETWORK_RUN_HOSTS,
                                             .dhcp_folder = dhcp,
                                             .subnet = &s->subnet,
                                             .pools = s->pools,
                                             .no_dns = s->no_dns,
                                             .no_dhcp = s->no_dhcp };

        names_config_print(&config, &text);
        r = strbuf_ok(&text)
                    ? replace_file_at(s->folder_fd, "dnsmasq.conf", 0644, strbuf_text(&text))
                    : -ENOMEM;
        return r < 0 ? fail_file(failure, r, s, "dnsmasq.conf") : 0;
}

static int open_folders(struct names_service *s, struct failure *failure)
{
        s->folder_fd = open(s->folder, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (s->folder_fd < 0 || (mkdirat(s->folder_fd, "dhcp", 0755) < 0 && errno != EEXIST))
                return fail_file(failure, -errno, s, "dhcp");
        s->dhcp_fd = openat(s->folder_fd, "dhcp", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        return s->dhcp_fd < 0 ? fail_file(failure, -errno, s, "dhcp") : 0;
}

/* ---- its process ------------------------------------------------------------------------- */

static int start(struct names_service *s, struct failure *failure);

static void forget_process(struct names_service *s)
{
        s->child = sd_event_source_disable_unref(s->child);
        s->output = sd_event_source_disable_unref(s->output);
        s->reload = sd_event_source_disable_unref(s->reload);
        s->pidfd = fd_close(s->pidfd);
        s->stderr_fd = fd_close(s->stderr_fd);
        s->reload_is_due = false;
}

static void end_process(struct names_service *s)
{
        struct process_end end;

        /* It keeps nothing that it would have to write. */
        if (s->pidfd >= 0 && process_signal(s->pidfd, SIGKILL) >= 0)
                (void) process_wait(s->pidfd, &end);
        forget_process(s);
}

/* The last line is kept: when it ends, that is why. Guests can make it write, so that all is read, and
 * nothing is passed on while it runs. */
static void take_output(struct names_service *s)
{
        char buffer[1024];
        ssize_t n;

        while ((n = read(s->stderr_fd, buffer, sizeof(buffer))) > 0)
                for (ssize_t i = 0; i < n; i++) {
                        if (buffer[i] != '\n' && s->line_length + 1 < sizeof(s->line)) {
                                s->line[s->line_length++] = buffer[i];
                                continue;
                        }
                        s->line[s->line_length] = '\0';
                        if (s->line_length > 0)
                                memcpy(s->last_line, s->line, sizeof(s->line));
                        s->line_length = 0;
                }
}

static int on_output(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
        struct names_service *s = userdata;

        (void) fd;
        take_output(s);
        if (events & (EPOLLHUP | EPOLLERR))
                (void) sd_event_source_set_enabled(source, SD_EVENT_OFF);
        return 0;
}

static int on_restart(sd_event_source *source, uint64_t usec, void *userdata);

static void restart_later(struct names_service *s)
{
        size_t i = MIN_OF(s->n_ends, ARRAY_SIZE(back_off_ms) - 1);

        (void) sd_event_add_time_relative(s->event, &s->restart, CLOCK_MONOTONIC,
                                          back_off_ms[i] * UINT64_C(1000), 1000, on_restart, s);
}

static int on_restart(sd_event_source *source, uint64_t usec, void *userdata)
{
        struct names_service *s = userdata;
        struct failure failure = { .error = 0 };

        (void) source;
        (void) usec;
        s->restart = sd_event_source_disable_unref(s->restart);
        if (start(s, &failure) < 0) {
                if (!streq(s->problem, failure.text))
                        say(s, "%s", failure.text);
                s->n_ends++;
                restart_later(s);
        }
        return 0;
}

static void tell_end(struct names_service *s, const struct process_end *end)
{
        const char *why = startswith(s->last_line, "dnsmasq: ");

        if (end->exited && end->status == 127)
                say(s, "Machines of network '%s' have no names and no DHCP: '%s' cannot be run.",
                    s->network, s->program);
        else if (end->exited)
                say(s, "Machines of network '%s' have no names and no DHCP: dnsmasq ended (%d): %s",
                    s->network, end->status, why ? why : s->last_line);
        else
                say(s, "The dnsmasq of network '%s' was killed by signal %d, and is started again.",
                    s->network, end->status);
}

/* dnsmasq says in words only what it could not do, so that the words are looked at. */
static bool is_about_dhcp(const char *line)
{
        return strstr(line, "DHCP") && strstr(line, "ddress") && strstr(line, "in use");
}

static int on_end(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
        struct names_service *s = userdata;
        struct process_end end = { .exited = true, .status = -1 };

        (void) source;
        (void) fd;
        (void) events;
        (void) process_wait(s->pidfd, &end);
        take_output(s);
        forget_process(s);
        s->n_ends = now_us(s) - s->started_us > SOUND_US ? 1 : s->n_ends + 1;
        if (!s->no_dhcp && is_about_dhcp(s->last_line)) {
                s->no_dhcp = true;
                s->n_ends = 1;
                say(s,
                    "Machines of network '%s' cannot ask for their addresses: another DHCP server "
                    "has port 67 of all interfaces. They have them anyway.",
                    s->network);
        } else {
                s->ended_itself = end.exited;
                if (s->n_ends == 1)
                        tell_end(s, &end);
        }
        restart_later(s);
        return 0;
}

/*
 * With bind-dynamic dnsmasq says nothing when somebody else has its port, and goes on. So we look: a
 * name server on all addresses of the host is in the way.
 */
static bool port_is_taken(const struct net_address *gateway)
{
        const struct sockaddr_in address = { .sin_family = AF_INET,
                                             .sin_port = htons(53),
                                             .sin_addr = gateway->in4 };
        int fd CLEANUP_FD = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), yes = 1;

        /* The address may not be there yet. */
        return fd >= 0 && setsockopt(fd, IPPROTO_IP, IP_FREEBIND, &yes, sizeof(yes)) == 0 &&
               bind(fd, (const struct sockaddr *) &address, sizeof(address)) < 0 &&
               errno == EADDRINUSE;
}

static int watch_process(struct names_service *s)
{
        int r = sd_event_add_io(s->event, &s->child, s->pidfd, EPOLLIN, on_end, s);

        if (r >= 0)
                r = sd_event_add_io(s->event, &s->output, s->stderr_fd, EPOLLIN, on_output, s);
        return r;
}

static int start_process(struct names_service *s, struct failure *failure)
{
        char config[] = "--conf-file", foreground[] = "--keep-in-foreground";
        char no_pid_file[] = "--pid-file", log[] = "--log-facility=-";
        char *option CLEANUP_FREE = NULL;
        int r;

        r = write_config(s, failure);
        if (r < 0)
                return r;
        if (asprintf(&option, "%s=%s", config, s->config_path) < 0) {
                option = NULL;
                return failure_set(failure, -ENOMEM, "Out of memory.");
        }
        char *argv[] = { s->program, option, foreground, no_pid_file, log, NULL };

        s->line_length = 0;
        s->last_line[0] = '\0';
        r = names_process_start(argv, &s->pidfd, &s->stderr_fd, failure);
        if (r < 0)
                return r;
        (void) sd_event_now(s->event, CLOCK_MONOTONIC, &s->started_us);
        r = watch_process(s);
        if (r >= 0)
                return 0;
        end_process(s);
        return failure_set(failure, r, "Cannot watch dnsmasq: %s.", error_text(r));
}

static void say_port_is_taken(struct names_service *s)
{
        char text[NET_ADDRESS_TEXT_SIZE];

        s->no_dns = true;
        say(s,
            "Names of machines are not served in network '%s': another program has port 53 of %s. "
            "If it is a name server on all addresses, have it listen on its own only.",
            s->network, net_address_text(&s->subnet.gateway4, text));
}

static int start(struct names_service *s, struct failure *failure)
{
        if (!s->no_dns && port_is_taken(&s->subnet.gateway4)) {
                if (s->n_port_tries++ < PORT_TRIES) {
                        int r = sd_event_add_time_relative(s->event, &s->restart, CLOCK_MONOTONIC,
                                                           PORT_STEP_US, 1000, on_restart, s);

                        return r < 0 ? failure_set(failure, r, "Cannot wait for port 53: %s.",
                                                   error_text(r))
                                     : 0;
                }
                say_port_is_taken(s);
        }
        s->n_port_tries = 0;
        return start_process(s, failure);
}

/* ---- from outside ------------------------------------------------------------------------ */

static int set_up(struct names_service *s, const char *folder, const char *network,
                  const char *interface, struct failure *failure)
{
        char program[DNSMASQ_PATH_SIZE] = "";

        if (net_dnsmasq_find(s->pools, program) < 0) {
                program[0] = '\0';
                if (!s->pools->no_dnsmasq) /* else it is as somebody wants it */
                        (void) snprintf(s->problem, sizeof(s->problem),
                                        "Machines have no names and no DHCP, since %.200s is not "
                                        "installed; on Debian: apt-get install dnsmasq-base.",
                                        s->pools->dnsmasq ? s->pools->dnsmasq : "dnsmasq");
        }
        s->folder = strdup(folder);
        s->network = strdup(network);
        s->interface = strdup(interface);
        s->program = strdup(program);
        if (asprintf(&s->config_path, "%s/dnsmasq.conf", folder) < 0)
                s->config_path = NULL;
        if (!s->folder || !s->network || !s->interface || !s->program || !s->config_path)
                return failure_set(failure, -ENOMEM, "Out of memory.");
        return open_folders(s, failure);
}

int names_service_start(sd_event *event, const char *folder, const char *network,
                        const char *interface, const struct net_subnet *subnet,
                        const struct net_pools *pools, names_notice notice, void *userdata,
                        struct names_service **ret, struct failure *failure)
{
        struct names_service *s = calloc(1, sizeof(*s));
        int r;

        if (!s)
                return failure_set(failure, -ENOMEM, "Out of memory.");
        *s = (struct names_service){ .event = event,
                                     .subnet = *subnet,
                                     .pools = pools,
                                     .notice = notice,
                                     .userdata = userdata,
                                     .folder_fd = -1,
                                     .dhcp_fd = -1,
                                     .pidfd = -1,
                                     .stderr_fd = -1 };
        r = set_up(s, folder, network, interface, failure);
        if (r >= 0 && s->program[0])
                r = start(s, failure);
        if (r < 0) {
                names_service_stop(s);
                return r;
        }
        *ret = s;
        return 0;
}

void names_service_stop(struct names_service *s)
{
        if (!s)
                return;
        end_process(s);
        s->restart = sd_event_source_disable_unref(s->restart);
        (void) fd_close(s->folder_fd);
        (void) fd_close(s->dhcp_fd);
        free(s->folder);
        free(s->config_path);
        free(s->program);
        free(s->network);
        free(s->interface);
        free(s);
}

static void reload_now(struct names_service *s)
{
        s->reload = sd_event_source_disable_unref(s->reload);
        s->reload_is_due = false;
        if (s->pidfd >= 0)
                (void) process_signal(s->pidfd, SIGHUP);
}

static int on_reload(sd_event_source *source, uint64_t usec, void *userdata)
{
        (void) source;
        (void) usec;
        reload_now(userdata);
        return 0;
}

int names_service_add(struct names_service *s, const struct keeper_request *machine,
                      struct failure *failure)
{
        struct strbuf text CLEANUP_STRBUF = STRBUF_NULL;
        int r;

        names_dhcp_print(machine->machine, machine->mac, &machine->address4, &machine->address6,
                         &text);
        r = strbuf_ok(&text)
                    ? replace_file_at(s->dhcp_fd, machine->machine, 0644, strbuf_text(&text))
                    : -ENOMEM;
        if (r < 0)
                return fail_file(failure, r, s, machine->machine);
        /* dnsmasq would go on with what it had of a machine of that name. */
        if (s->reload_is_due)
                reload_now(s);
        return 0;
}

void names_service_remove(struct names_service *s, const char *machine)
{
        if (unlinkat(s->dhcp_fd, machine, 0) < 0 || s->pidfd < 0 || s->reload_is_due)
                return;
        /* New files are read at once, but that one is gone only with a signal. Many machines that go
         * together cost one. */
        s->reload_is_due = sd_event_add_time_relative(s->event, &s->reload, CLOCK_MONOTONIC,
                                                      RELOAD_DELAY_US, 0, on_reload, s) >= 0;
}

bool names_service_has_dns(const struct names_service *s)
{
        /* What ended by itself will mostly do so again. */
        return s->program[0] && !s->no_dns &&
               (!s->ended_itself || (s->pidfd >= 0 && now_us(s) - s->started_us > ESTABLISHED_US));
}

const char *names_service_problem(const struct names_service *s)
{
        return s->problem;
}
