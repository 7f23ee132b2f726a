/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "shared/host-scope.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <systemd/sd-bus.h>
#include <unistd.h>

#include "basic/channel.h"
#include "basic/failure.h"
#include "basic/fd.h"
#include "basic/io.h"
#include "basic/parse.h"
#include "shared/names.h"
#include "shared/property.h"

/*
 * host-scope: what the launcher has to say to systemd, in a program of its own. It collects the
 * request from the channel, has PID 1 make the scope around the leader (StartTransientUnit),
 * answers with the scope's group, and stays as the scope's controller: it passes PID 1's wish to
 * stop the machine on. The end of the channel is the end of the machine, or of the supervisor.
 */

#define DESTINATION "org.freedesktop.systemd1"
#define MANAGER_PATH "/org/freedesktop/systemd1"
#define MANAGER_INTERFACE "org.freedesktop.systemd1.Manager"
#define SCOPE_INTERFACE "org.freedesktop.systemd1.Scope"
#define CPU_BITS 8192U

struct request {
        char *machine, *slice;
        struct property_set properties;
        struct property_facts facts;
        struct device_rule *devices;
        size_t n_devices;
        bool closed_devices;
        int kill_signal;
        pid_t leader;
        int leader_pidfd;
};

struct helper {
        struct request request;
        sd_bus *bus;
        char *unit; /* "machine-a.scope" */
        char *job;  /* the path of the job that starts it */
        char *result;
        bool complete, started, stop_requested;
        struct failure failure;
};

/* The request */

static int add_device(struct request *q, uint64_t packed)
{
        struct device_rule *grown = reallocarray(q->devices, q->n_devices + 1, sizeof(*grown));

        if (!grown)
                return -ENOMEM;
        q->devices = grown;
        q->devices[q->n_devices++] = scope_device_unpack(packed);
        return 0;
}

static int replace_text(char **text, const char *value)
{
        free(*text);
        *text = strdup(value);
        return *text ? 0 : -ENOMEM;
}

static int take_message(struct helper *h, const struct channel_message *m)
{
        struct request *q = &h->request;

        switch ((enum scope_message) m->type) {
        case SCOPE_MACHINE:
                return replace_text(&q->machine, m->text);
        case SCOPE_SLICE:
                return replace_text(&q->slice, m->text);
        case SCOPE_PROPERTY:
                return property_set_add(&q->properties, m->text, &h->failure);
        case SCOPE_DEVICE:
                return add_device(q, m->value);
        case SCOPE_CLOSED_DEVICES:
                q->closed_devices = true;
                return 0;
        case SCOPE_KILL:
                q->kill_signal = (int) m->value;
                return 0;
        case SCOPE_START:
                h->complete = true;
                q->leader = (pid_t) m->value;
                return 0;
        case SCOPE_READY:
        case SCOPE_FAILED:
        case SCOPE_STOP_REQUESTED:
        default:
                return -EPROTO;
        }
}

static int read_request(struct helper *h)
{
        struct channel_message m = { .type = 0 };

        while (m.type != SCOPE_START) {
                size_t n = 0;
                int fd = -1, r = channel_receive(SCOPE_CHANNEL_FD, -1, &m, &fd, 1, &n);

                if (r < 0)
                        return r;
                if (n > 0) {
                        (void) fd_close(h->request.leader_pidfd);
                        h->request.leader_pidfd = fd;
                }
                r = take_message(h, &m);
                if (r < 0)
                        return r;
        }
        return h->request.machine && h->request.slice && h->request.leader > 0 ? 0 : -EPROTO;
}

/* Properties of the unit: each is a struct of a name and a variant. */

static int append_boolean(sd_bus_message *m, const char *name, bool value)
{
        return sd_bus_message_append(m, "(sv)", name, "b", (int) value);
}

static int append_text(sd_bus_message *m, const char *name, const char *value)
{
        return sd_bus_message_append(m, "(sv)", name, "s", value);
}

static int append_number(sd_bus_message *m, const char *name, uint64_t value)
{
        return sd_bus_message_append(m, "(sv)", name, "t", value);
}

static int append_device(sd_bus_message *m, const char *node, unsigned access)
{
        char letters[4];

        device_access_to_text(access, letters);
        return sd_bus_message_append(m, "(sv)", "DeviceAllow", "a(ss)", 1, node, letters);
}

/* A rule in systemd's words. It has no numbers without a minor, but names of majors. */
static int append_rule_of(sd_bus_message *m, const struct device_rule *rule, char type,
                          const char *proc_devices)
{
        const char *word = type == 'c' ? "char" : "block";
        char *name CLEANUP_FREE = NULL;
        char node[128];

        if (rule->major < 0)
                (void) snprintf(node, sizeof(node), "%s-*", word);
        else if (rule->minor >= 0)
                (void) snprintf(node, sizeof(node), "/dev/%s/%d:%d", word, rule->major,
                                rule->minor);
        else {
                name = proc_devices_name(proc_devices, type, (unsigned) rule->major);
                if (!name)
                        return 0; /* the kernel has no such driver, so nothing to allow */
                (void) snprintf(node, sizeof(node), "%s-%s", word, name);
        }
        return append_device(m, node, rule->access);
}

static int append_rules(sd_bus_message *m, const struct request *q)
{
        char *proc_devices CLEANUP_FREE = NULL;
        int r = read_file_at(AT_FDCWD, "/proc/devices", 1U << 20, &proc_devices, NULL);

        for (size_t i = 0; i < q->n_devices && r >= 0; i++) {
                const struct device_rule *rule = &q->devices[i];

                /* PID 1 adds the standard nodes to every policy but this one, by itself. */
                if (property_drops_device(&q->properties, rule))
                        continue;
                if (rule->type != 'b')
                        r = append_rule_of(m, rule, 'c', proc_devices);
                if (rule->type != 'c' && r >= 0)
                        r = append_rule_of(m, rule, 'b', proc_devices);
        }
        return r;
}

/* "0-3,7" as a bit map of bytes, least significant first. */
static int append_list(sd_bus_message *m, const char *name, const char *list)
{
        uint8_t bits[CPU_BITS / 8] = { 0 };
        size_t n_bytes = 0;
        int r;

        while (*list) {
                unsigned from = 0, to;
                int n = 0;

                if (sscanf(list, "%u%n", &from, &n) != 1) /* NOLINT(cert-err34-c): checked before */
                        return -EINVAL;
                list += n;
                to = from;
                if (*list == '-') {
                        if (sscanf(list, "-%u%n", &to, &n) != 1) /* NOLINT(cert-err34-c) */
                                return -EINVAL;
                        list += n;
                }
                if (to >= CPU_BITS)
                        return -ERANGE;
                for (; from <= to; from++) {
                        bits[from / 8] |= (uint8_t) (1U << from % 8);
                        n_bytes = MAX_OF(n_bytes, (size_t) from / 8 + 1);
                }
                list += *list == ',';
        }
        r = sd_bus_message_open_container(m, 'r', "sv");
        if (r >= 0)
                r = sd_bus_message_append(m, "s", name);
        if (r >= 0)
                r = sd_bus_message_open_container(m, 'v', "ay");
        if (r >= 0)
                r = sd_bus_message_append_array(m, 'y', bits, n_bytes);
        if (r >= 0)
                r = sd_bus_message_close_container(m);
        return r >= 0 ? sd_bus_message_close_container(m) : r;
}

/* Bytes or tasks: percentages are resolved here, by the same rows that the native host writes. */
static int append_limit(sd_bus_message *m, const struct request *q, const struct property *p)
{
        struct property_set one = { .items = (struct property *) p, .n = 1 };
        struct property_row *rows = NULL;
        struct failure failure = { .error = 0 };
        unsigned long v = 0;
        size_t n = 0;
        int r = property_rows(&one, &q->facts, &rows, &n, &failure);

        if (r >= 0 && n != 1)
                r = -EINVAL;
        if (r >= 0)
                r = streq(rows[0].text, "max") ? (v = ULONG_MAX, 0)
                                               : parse_ulong(rows[0].text, 0, ULONG_MAX, &v);
        property_rows_free(rows, n);
        return r < 0 ? r : append_number(m, property_name(p->id), v);
}

static int append_property(sd_bus_message *m, const struct request *q, const struct property *p)
{
        const char *name = property_name(p->id);

        switch (p->id) {
        case PROPERTY_MEMORY_MAX:
        case PROPERTY_MEMORY_HIGH:
        case PROPERTY_MEMORY_LOW:
        case PROPERTY_MEMORY_MIN:
        case PROPERTY_MEMORY_SWAP_MAX:
        case PROPERTY_TASKS_MAX:
                return append_limit(m, q, p);
        case PROPERTY_CPU_QUOTA: /* hundredths of a percent of a second, in microseconds */
                return append_number(m, "CPUQuotaPerSecUSec", p->number * 100);
        case PROPERTY_CPU_QUOTA_PERIOD:
                return append_number(m, "CPUQuotaPeriodUSec", p->number);
        case PROPERTY_CPU_WEIGHT: /* idle is 0 */
        case PROPERTY_IO_WEIGHT:
                return append_number(m, name, p->form == VALUE_IDLE ? 0 : p->number);
        case PROPERTY_ALLOWED_CPUS:
        case PROPERTY_ALLOWED_MEMORY_NODES:
                return append_list(m, name, p->text);
        case PROPERTY_IO_READ_BANDWIDTH_MAX:
        case PROPERTY_IO_WRITE_BANDWIDTH_MAX:
        case PROPERTY_IO_READ_IOPS_MAX:
        case PROPERTY_IO_WRITE_IOPS_MAX:
                return sd_bus_message_append(m, "(sv)", name, "a(st)", 1, p->text,
                                             p->form == VALUE_INFINITY ? UINT64_MAX : p->number);
        case PROPERTY_DEVICE_ALLOW:
                return append_device(m, p->text, p->access);
        case PROPERTY_DEVICE_POLICY:
        case PROPERTY_DESCRIPTION:
                return append_text(m, name, p->value);
        case PROPERTY_TASKS_ACCOUNTING:
        case PROPERTY_MEMORY_ACCOUNTING:
        case PROPERTY_CPU_ACCOUNTING:
        case PROPERTY_IO_ACCOUNTING:
                return append_boolean(m, name, p->number);
        case N_PROPERTIES:
        default:
                return -EINVAL;
        }
}

/* What is always sent. Ours come first: PID 1 takes the last of each, which is the user's. */
static int append_own_properties(sd_bus_message *m, const struct helper *h)
{
        const struct request *q = &h->request;
        char description[128];
        const char *unique = NULL;
        int r = sd_bus_get_unique_name(h->bus, &unique);

        (void) snprintf(description, sizeof(description), "Container %s", q->machine);
        if (r >= 0)
                r = append_text(m, "Description", description);
        if (r >= 0)
                r = append_boolean(m, "Delegate", true);
        if (r >= 0)
                r = append_text(m, "CollectMode", "inactive-or-failed");
        if (r >= 0)
                r = append_boolean(m, "AddRef", true);
        if (r >= 0)
                r = append_text(m, "Slice", q->slice);
        if (r >= 0)
                r = append_text(m, "Controller", unique);
        if (r >= 0 && q->closed_devices)
                r = append_text(m, "DevicePolicy", "closed");
        if (r >= 0)
                r = append_rules(m, q);
        if (r >= 0 && q->kill_signal > 0) {
                r = sd_bus_message_append(m, "(sv)", "KillSignal", "i", q->kill_signal);
                if (r >= 0)
                        r = append_text(m, "KillMode", "mixed");
        }
        return r;
}

enum leader_form { LEADER_PIDFD, LEADER_PID };

static int append_leader(sd_bus_message *m, const struct request *q, enum leader_form form)
{
        if (form == LEADER_PIDFD)
                return sd_bus_message_append(m, "(sv)", "PIDFDs", "ah", 1, q->leader_pidfd);
        return sd_bus_message_append(m, "(sv)", "PIDs", "au", 1, (uint32_t) q->leader);
}

static int append_properties(sd_bus_message *m, const struct helper *h, enum leader_form form)
{
        const struct request *q = &h->request;
        int r = sd_bus_message_open_container(m, 'a', "(sv)");

        if (r >= 0)
                r = append_own_properties(m, h);
        for (size_t i = 0; i < q->properties.n && r >= 0; i++)
                r = append_property(m, q, &q->properties.items[i]);
        if (r >= 0)
                r = append_leader(m, q, form);
        return r >= 0 ? sd_bus_message_close_container(m) : r;
}

/* The bus */

static int on_job_removed(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
        struct helper *h = userdata;
        const char *path = NULL, *unit = NULL, *result = NULL;
        uint32_t id = 0;

        (void) error;
        /* It may come before the reply that tells us the job's path: then the unit must do. */
        if (sd_bus_message_read(m, "uoss", &id, &path, &unit, &result) >= 0 && !h->result &&
            (h->job ? streq(path, h->job) : streq(unit, h->unit)))
                h->result = strdup(result);
        return 0;
}

static int on_stop(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
        struct helper *h = userdata;

        (void) m;
        (void) error;
        h->stop_requested = true;
        return 0;
}

static int connect_bus(struct helper *h)
{
        char *path CLEANUP_FREE = NULL;
        int r = sd_bus_open_system(&h->bus);

        if (r < 0)
                return failure_set(&h->failure, r,
                                   "Cannot connect to the system bus, where systemd makes the "
                                   "machine's scope: %s. Without a scope there is --keep-unit.",
                                   strerror(-r));
        r = sd_bus_path_encode("/org/freedesktop/systemd1/unit", h->unit, &path);
        if (r >= 0)
                r = sd_bus_match_signal(h->bus, NULL, DESTINATION, MANAGER_PATH, MANAGER_INTERFACE,
                                        "JobRemoved", on_job_removed, h);
        if (r >= 0)
                r = sd_bus_match_signal(h->bus, NULL, DESTINATION, path, SCOPE_INTERFACE,
                                        "RequestStop", on_stop, h);
        if (r < 0)
                return failure_set(&h->failure, r, "Cannot listen to systemd's signals: %s.",
                                   strerror(-r));
        /* Not essential: the maker of a job is told about it anyway. */
        (void) sd_bus_call_method(h->bus, DESTINATION, MANAGER_PATH, MANAGER_INTERFACE, "Subscribe",
                                  NULL, NULL, NULL);
        return 0;
}

static int call_start(struct helper *h, enum leader_form form, sd_bus_error *error)
{
        sd_bus_message *m = NULL, *reply = NULL;
        const char *job = NULL;
        int r = sd_bus_message_new_method_call(h->bus, &m, DESTINATION, MANAGER_PATH,
                                               MANAGER_INTERFACE, "StartTransientUnit");

        if (r >= 0)
                r = sd_bus_message_append(m, "ss", h->unit, "fail");
        if (r >= 0)
                r = append_properties(m, h, form);
        if (r >= 0)
                r = sd_bus_message_append(m, "a(sa(sv))", 0);
        if (r >= 0)
                r = sd_bus_call(h->bus, m, 0, error, &reply);
        if (r >= 0)
                r = sd_bus_message_read(reply, "o", &job);
        if (r >= 0) {
                h->job = strdup(job);
                r = h->job ? 0 : -ENOMEM;
        }
        sd_bus_message_unref(m);
        sd_bus_message_unref(reply);
        return r;
}

/* What a manager says that does not know PIDFDs (before systemd 253). */
static bool is_unknown_property(const sd_bus_error *error)
{
        return sd_bus_error_has_name(error, SD_BUS_ERROR_PROPERTY_READ_ONLY) ||
               sd_bus_error_has_name(error, SD_BUS_ERROR_UNKNOWN_PROPERTY) ||
               sd_bus_error_has_name(error, SD_BUS_ERROR_INVALID_ARGS) ||
               sd_bus_error_has_name(error, SD_BUS_ERROR_NOT_SUPPORTED);
}

static int start_scope(struct helper *h)
{
        sd_bus_error error = SD_BUS_ERROR_NULL;
        int r = -EOPNOTSUPP;

        if (h->request.leader_pidfd >= 0)
                r = call_start(h, LEADER_PIDFD, &error);
        if (r < 0 && (h->request.leader_pidfd < 0 || is_unknown_property(&error))) {
                sd_bus_error_free(&error);
                r = call_start(h, LEADER_PID, &error);
        }
        if (r < 0 && sd_bus_error_has_name(&error, "org.freedesktop.systemd1.UnitExists"))
                (void) failure_set(&h->failure, -EBUSY,
                                   "Machine '%s' is already running: systemd has a unit '%s'. Stop "
                                   "it (systemctl stop '%s'), or start this one under another name "
                                   "(--machine=).",
                                   h->request.machine, h->unit, h->unit);
        else if (r < 0)
                (void) failure_set(&h->failure, r, "systemd did not make the scope '%s': %s.",
                                   h->unit, error.message ? error.message : strerror(-r));
        sd_bus_error_free(&error);
        return r;
}

/*
 * Handles what has come from the bus; waits for more, or for the channel. Returns 1 (something
 * came from the bus), 0 (the channel has ended) or a negative errno.
 */
static int wait_for_event(struct helper *h)
{
        struct pollfd fds[2] = { { .fd = SCOPE_CHANNEL_FD, .events = POLLIN } };
        int r, events;

        do {
                r = sd_bus_process(h->bus, NULL);
                if (r < 0)
                        return r;
                if (r > 0)
                        return 1;
                events = sd_bus_get_events(h->bus);
                if (events < 0)
                        return events;
                fds[1] = (struct pollfd){ .fd = sd_bus_get_fd(h->bus), .events = (short) events };
                r = poll(fds, ARRAY_SIZE(fds), -1);
                if (r < 0 && errno != EINTR)
                        return -errno;
        } while (r < 0 || !(fds[0].revents | fds[1].revents));
        /* Nothing is said to us after the request, so this can only be the end. */
        return fds[0].revents ? 0 : 1;
}

static int wait_for_job(struct helper *h)
{
        int r = 1;

        while (!h->result && r > 0)
                r = wait_for_event(h);
        if (h->result && streq(h->result, "done"))
                return 0;
        return failure_set(&h->failure, r < 0 ? r : -EIO,
                           "systemd's job to start the scope '%s' ended: %s.", h->unit,
                           h->result ? h->result
                           : r < 0   ? strerror(-r)
                                     : "the supervisor has gone");
}

static int call_unit(struct helper *h, const char *method)
{
        return sd_bus_call_method(h->bus, DESTINATION, MANAGER_PATH, MANAGER_INTERFACE, method,
                                  NULL, NULL, "s", h->unit);
}

static int read_group(struct helper *h, char **ret)
{
        sd_bus_error error = SD_BUS_ERROR_NULL;
        char *path CLEANUP_FREE = NULL;
        int r = sd_bus_path_encode("/org/freedesktop/systemd1/unit", h->unit, &path);

        if (r >= 0)
                r = sd_bus_get_property_string(h->bus, DESTINATION, path, SCOPE_INTERFACE,
                                               "ControlGroup", &error, ret);
        if (r < 0)
                (void) failure_set(&h->failure, r, "Cannot ask systemd for the group of '%s': %s.",
                                   h->unit, error.message ? error.message : strerror(-r));
        sd_bus_error_free(&error);
        return r;
}

static int start(struct helper *h, char **ret_group)
{
        struct request *q = &h->request;
        int r = property_facts_read(&q->properties, &q->facts, &h->failure);

        if (r >= 0)
                r = start_scope(h);
        if (r < 0)
                return r;
        h->started = true;
        r = wait_for_job(h);
        return r < 0 ? r : read_group(h, ret_group);
}

static int report(enum scope_message type, int error, const char *text)
{
        struct channel_message m = { .type = type, .error = error };

        (void) snprintf(m.text, sizeof(m.text), "%s", text);
        return channel_send(SCOPE_CHANNEL_FD, &m, NULL, 0);
}

/* After the whole request only: what is left unread would turn our answer into a broken pipe. */
static int report_failure(struct helper *h, int error)
{
        struct channel_message m = { .type = 0 };

        while (!h->complete && m.type != SCOPE_START) {
                size_t n = 0;
                int fd = -1;

                if (channel_receive(SCOPE_CHANNEL_FD, -1, &m, &fd, 1, &n) < 0)
                        return error;
                (void) fd_close(fd);
        }
        (void) failure_set(&h->failure, error, "The scope could not be made: %s.",
                           strerror(-error));
        return report(SCOPE_FAILED, h->failure.error, h->failure.text);
}

/* Until the supervisor goes, or the bus. */
static void serve(struct helper *h)
{
        int r = 1;

        while (r > 0) {
                r = wait_for_event(h);
                if (h->stop_requested && report(SCOPE_STOP_REQUESTED, 0, "") < 0)
                        return;
                h->stop_requested = false;
        }
}

/* An abandoned scope whose last process goes is removed by systemd. */
static void give_up(struct helper *h)
{
        if (!h->bus || !h->started)
                return;
        (void) call_unit(h, "AbandonScope");
        (void) call_unit(h, "UnrefUnit");
}

static void helper_done(struct helper *h)
{
        struct request *q = &h->request;

        sd_bus_flush_close_unref(h->bus);
        property_set_done(&q->properties);
        property_facts_done(&q->facts);
        (void) fd_close(q->leader_pidfd);
        free(q->machine);
        free(q->slice);
        free(q->devices);
        free(h->unit);
        free(h->job);
        free(h->result);
}

/* The request tells the machine first; meanwhile the leader is made, and we connect. */
static int prepare(struct helper *h)
{
        struct channel_message m = { .type = 0 };
        int r = channel_receive(SCOPE_CHANNEL_FD, -1, &m, NULL, 0, NULL);

        if (r < 0)
                return r;
        if (m.type != SCOPE_MACHINE || !machine_name_is_valid(m.text))
                return -EPROTO;
        r = replace_text(&h->request.machine, m.text);
        if (r >= 0)
                r = machine_scope_name(h->request.machine, &h->unit);
        return r < 0 ? r : connect_bus(h);
}

int main(void)
{
        struct helper h = { .request = { .leader_pidfd = -1 } };
        char *group CLEANUP_FREE = NULL;
        int r, status = EXIT_FAILURE;

        /* In the supervisor's terminal, ^C is for the machine and not for us. */
        (void) setpgid(0, 0);
        r = prepare(&h);
        if (r >= 0)
                r = read_request(&h);
        if (r >= 0)
                r = start(&h, &group);
        if (r < 0)
                (void) report_failure(&h, r);
        else if (report(SCOPE_READY, 0, group) >= 0) {
                serve(&h);
                status = EXIT_SUCCESS;
        }
        give_up(&h);
        helper_done(&h);
        return status;
}
