/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The supervisor: reads the facts, makes the plan, starts, and then waits for one of few things to
 * happen, in one poll(2): a signal, the end of the leader, the console, a message of the payload,
 * the host. A reboot from inside begins again at the plan, under the same locks.
 */

#include "nspawn/container.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "basic/channel.h"
#include "basic/fd.h"
#include "basic/io.h"
#include "basic/log.h"
#include "basic/parse.h"
#include "basic/path.h"
#include "basic/strv.h"
#include "nspawn/explain.h"
#include "nspawn/facts.h"
#include "nspawn/network.h"
#include "nspawn/notify.h"
#include "nspawn/plan.h"
#include "nspawn/protocol.h"
#include "nspawn/rootfs.h"
#include "nspawn/start.h"
#include "nspawn/stop.h"
#include "nspawn/tree-lock.h"

/* How one boot of the container ended. */
enum outcome { OUTCOME_EXITED, OUTCOME_POWEROFF, OUTCOME_REBOOT, OUTCOME_KILLED };

/* All that outlives a boot. */
struct run {
        const struct container_config *config;
        char **host_argv, **host_environment;
        struct host_facts host;
        struct tree_facts tree;
        struct source_fact *sources;
        struct credentials credentials;
        struct journal_facts journal;
        struct bound_users users;
        struct journal_receiver_facts receiver;
        struct ephemeral_facts ephemeral;
        struct machine_network network;
        char suffix[EPHEMERAL_SUFFIX_SIZE]; /* of an ephemeral machine's name and tree */
        struct passing_tree passing;        /* that is run, or has the layer */
        bool is_template;                   /* the tree is to be made first */
        char *machine;
        struct tree_lock lock;
        struct ids ids;
        int signal_fd;
        struct container_plan plan; /* of the first boot, as far as it was made already */
        struct id128 uuid;          /* drawn once: a reboot does not change who the machine is */
        bool root_is_mapped, api_from_outside; /* see struct plan_inputs */
        /* Neither is forgotten when the guest answers with a reboot. */
        bool asked_to_stop, asked_to_die;
};

#define RUN_NULL                                                                                   \
        {                                                                                          \
                .tree = { .fd = -1, .root_fd = -1, .layer_fd = -1 }, .passing = PASSING_TREE_NULL, \
                .lock = TREE_LOCK_NULL, .ids = IDS_NULL, .signal_fd = -1, .root_is_mapped = true,  \
                .network = MACHINE_NETWORK_NULL                                                    \
        }

static void run_done(struct run *run)
{
        machine_network_done(&run->network, run->machine);
        plan_done(&run->plan);
        ids_done(&run->ids);
        tree_lock_release(&run->lock);
        host_facts_done(&run->host);
        tree_facts_done(&run->tree);
        passing_tree_done(&run->passing);
        free(run->sources);
        credentials_done(&run->credentials);
        bound_users_done(&run->users);
        free(run->machine);
        run->signal_fd = fd_close(run->signal_fd);
}

static void info(const struct run *run, const char *format, ...) PRINTF_LIKE(2, 3);
static void info(const struct run *run, const char *format, ...)
{
        va_list ap;

        /* Who asks for pipes wants the payload's words alone. */
        if (run->config->quiet || run->plan.console == CONSOLE_PIPE)
                return;
        va_start(ap, format);
        log_message_v(LOG_LEVEL_INFO, format, ap);
        va_end(ap);
}

/* ---- before the first boot --------------------------------------------------------------- */

/* Which id the container has is decided as in the plan. */
static int read_journal_facts(struct run *run, struct failure *failure)
{
        bool is_new = !run->tree.machine_id_set && !run->config->uuid_set;
        const struct id128 *id = run->tree.machine_id_set ? &run->tree.machine_id
                                 : is_new                 ? &run->uuid
                                                          : &run->config->uuid;

        return journal_facts_read(run->config, &run->tree, id, is_new, &run->journal, failure);
}

/* A template stands for the tree that will be made from it. */
static int read_tree(struct run *run, struct failure *failure)
{
        const struct container_config *c = run->config;
        char *path CLEANUP_FREE = NULL;
        int r;

        run->is_template = c->template_path && access(c->tree, F_OK) < 0 && errno == ENOENT;
        r = tree_facts_read(c, run->is_template ? c->template_path : c->tree, &run->host,
                            &run->tree, failure);
        if (r < 0 || !run->is_template)
                return r;
        path = strdup(c->tree);
        if (!path)
                return failure_set(failure, -ENOMEM, "Out of memory.");
        free(run->tree.path);
        run->tree.path = TAKE_PTR(path);
        return 0;
}

static int check_root_of_host(const struct run *run, struct failure *failure)
{
        const struct container_config *c = run->config;

        if (!streq(run->tree.path, "/") || c->ephemeral || c->volatile_mode == VOLATILE_YES ||
            c->volatile_mode == VOLATILE_STATE)
                return 0;
        return failure_set(failure, -EINVAL,
                           "Cannot start a container on the host's own root directory, which it "
                           "would change. Add --ephemeral, --volatile=yes or --volatile=state, or "
                           "use --directory= with the tree of another system.");
}

/* Digits behind the name tell ephemeral machines of one tree apart. */
static int decide_name(struct run *run, struct failure *failure)
{
        const struct container_config *c = run->config;
        char *name CLEANUP_FREE = NULL;
        int r = machine_name_decide(c, c->host_name ? c->host_name : c->tree, &name, failure);

        if (r < 0)
                return r;
        if (c->ephemeral && !run->suffix[0])
                r = ephemeral_suffix_draw(run->suffix);
        if (r < 0)
                return failure_set(failure, r, "Cannot get random numbers: %s.", error_text(r));
        if (!c->ephemeral || !c->ephemeral_is_another || c->machine)
                run->machine = TAKE_PTR(name);
        else {
                run->machine = ephemeral_machine_name(name, run->suffix);
                if (!run->machine)
                        return failure_set(failure, -ENOMEM, "Out of memory.");
        }
        return 0;
}

static int read_facts(struct run *run, struct failure *failure)
{
        int r = kernel_check(failure);

        if (r >= 0)
                r = host_facts_read(run->config, &run->host, failure);
        if (r >= 0)
                r = read_tree(run, failure);
        if (r < 0)
                return r;
        r = check_root_of_host(run, failure);
        if (r >= 0 && run->config->ephemeral)
                r = ephemeral_facts_read(run->config, &run->tree, &run->ephemeral, failure);
        if (r < 0)
                return r;
        r = source_facts_read(run->config, &run->tree, &run->sources, failure);
        if (r < 0)
                return r;
        r = decide_name(run, failure);
        if (r >= 0 && run->config->n_credentials > 0)
                r = credentials_load(run->config, run->config->action == ACTION_DRY_RUN,
                                     &run->credentials, failure);
        if (r < 0)
                return r;
        if (!run->tree.machine_id_set && !run->config->uuid_set)
                r = id128_random(&run->uuid);
        if (r < 0)
                return failure_set(failure, r, "Cannot get random numbers: %s.", error_text(r));
        r = read_journal_facts(run, failure);
        /* The lease is taken once it is certain that there will be a start. */
        if (r >= 0)
                r = machine_network_look(&run->network, &run->config->network, run->machine,
                                         failure);
        if (r >= 0)
                r = journal_receiver_look(run->config, &run->receiver, failure);
        return r < 0 ? r : bound_users_read(run->config, &run->tree, &run->users, failure);
}

static int check_source(const struct custom_mount *m, size_t i, const struct source_fact *fact,
                        struct failure *failure)
{
        const struct custom_source *source = &m->sources[i];
        const char *place = source->place == SOURCE_TREE ? " in the container's tree" : "";
        bool is_upper = m->type == CUSTOM_OVERLAY && !m->read_only && i + 1 == m->n_sources;

        if (source->place == SOURCE_TEMPORARY)
                return 0;
        if (!fact->exists && !is_upper) /* which is made */
                return failure_set(failure, -ENOENT,
                                   "The source '%s' of '%s' does not exist%s. Create it, or "
                                   "leave the option out.",
                                   source->path, m->origin, place);
        if (fact->exists && m->type == CUSTOM_OVERLAY && !S_ISDIR(fact->mode))
                return failure_set(failure, -ENOTDIR,
                                   "'%s' in '%s' is not a directory%s. The layers of an overlay "
                                   "are directories.",
                                   source->path, m->origin, place);
        return 0;
}

static int check_sources(const struct run *run, struct failure *failure)
{
        for (size_t i = 0; i < run->config->n_custom_mounts; i++) {
                const struct custom_mount *m = &run->config->custom_mounts[i];

                for (size_t k = 0; k < m->n_sources; k++) {
                        int r = check_source(m, k, &run->sources[m->first_source + k], failure);

                        if (r < 0)
                                return r;
                }
        }
        return 0;
}

static int make_plan(struct run *run, const struct ids *ids, struct container_plan *ret,
                     struct failure *failure)
{
        struct plan_inputs in = {
                .config = run->config,
                .host = &run->host,
                .tree = &run->tree,
                .ids = ids,
                .sources = run->sources,
                .credentials = run->credentials.list,
                .journal = &run->journal,
                .users = &run->users,
                .receiver = &run->receiver,
                .ephemeral = &run->ephemeral,
                .network = &run->network.facts,
                .machine = run->machine,
                .random_uuid = run->uuid,
                .root_is_mapped = run->root_is_mapped,
                .api_from_outside = run->api_from_outside,
        };
        int r = id128_random(&in.boot_id);

        if (r < 0)
                return failure_set(failure, r, "Cannot get random numbers: %s.", error_text(r));
        return plan_build(&in, ret, failure);
}

/* An ephemeral start has a lock on what it changes, and changes nothing of the tree. */
static int lock_tree(struct run *run, struct failure *failure)
{
        if (!run->config->lock_tree || run->config->ephemeral)
                return 0;
        return tree_lock_take(&run->tree,
                              config_tree_is_read_only(run->config) ? LOCK_SHARED : LOCK_EXCLUSIVE,
                              &run->lock, failure);
}

static int check_host(const struct run *run, struct failure *failure)
{
        if (geteuid() != 0)
                return failure_set(failure, -EPERM,
                                   "Starting a container needs to be root. Use sudo or su; "
                                   "--dry-run works without.");
        if (run->config->register_mode == REGISTER_YES)
                return failure_set(failure, -EOPNOTSUPP,
                                   "Cannot register machine %s: registration is not built yet. Use "
                                   "--register=no or --register=auto.",
                                   run->machine);
        return 0;
}

/* Everything that can be known to be wrong is found before anything is touched. */
static int check_plan(struct run *run, struct failure *failure)
{
        struct ids ids = IDS_NULL;
        int r = ids_preview(run->config, &run->host, &run->tree, run->machine, &ids, failure);

        if (r >= 0)
                r = make_plan(run, &ids, &run->plan, failure);
        return r < 0 ? r : check_sources(run, failure);
}

/* ---- signals ----------------------------------------------------------------------------- */

/*
 * Every signal that would end us comes through a descriptor, so that nothing is left undone. Left
 * alone are those that report a fault of ours, that stop and continue a job, or that do nothing.
 */
static int open_signals(struct run *run, struct failure *failure)
{
        static const int left_alone[] = { SIGSEGV, SIGBUS,  SIGFPE,  SIGILL,  SIGABRT,
                                          SIGTRAP, SIGSYS,  SIGTSTP, SIGTTIN, SIGTTOU,
                                          SIGCONT, SIGCHLD, SIGURG };
        const struct sigaction normal = { .sa_handler = SIG_DFL };
        sigset_t set;

        (void) sigfillset(&set);
        for (size_t i = 0; i < ARRAY_SIZE(left_alone); i++)
                (void) sigdelset(&set, left_alone[i]);
        /* A caller that ignores it would have our children vanish before we wait for them. */
        if (sigaction(SIGCHLD, &normal, NULL) >= 0 && sigprocmask(SIG_BLOCK, &set, NULL) >= 0)
                run->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
        return run->signal_fd < 0 ? failure_set(failure, -errno, "Cannot receive signals: %s.",
                                                error_text(errno))
                                  : 0;
}

/* ---- one boot ---------------------------------------------------------------------------- */

enum step_answer { GO_ON, STOP_NOW, LEADER_ENDED };

struct boot {
        struct run *run;
        const struct container_plan *plan;
        struct container container;
        struct process_end end;
        struct stop stop;
        bool stop_now;        /* we killed it */
        uint64_t watchdog_us; /* 0: nobody watches */
};

static void notify(const char *format, ...) PRINTF_LIKE(1, 2);
static void notify(const char *format, ...)
{
        struct strbuf text CLEANUP_STRBUF = STRBUF_NULL;
        va_list ap;

        va_start(ap, format);
        strbuf_addv(&text, format, ap);
        va_end(ap);
        /* Whoever supervises us may be gone; the container is not to suffer from that. */
        if (strbuf_ok(&text))
                (void) notify_send(strbuf_text(&text));
}

/* A terminal in raw mode needs to be told to go to the left. */
static const char *line_end(const struct boot *b)
{
        return b->container.console.raw ? "\r" : "";
}

static enum step_answer on_stop(const struct boot *b, enum stop_answer answer, const char *text)
{
        if (text[0] && answer == STOP_GO_ON)
                info(b->run, "%s%s", text, line_end(b));
        else if (text[0])
                log_warning("%s%s", text, line_end(b));
        return answer == STOP_KILL ? STOP_NOW : GO_ON;
}

/* The program runs once the other end of the channel is closed. */
static bool payload_runs(const struct boot *b)
{
        return b->container.channel_fd < 0;
}

static enum step_answer ask(struct boot *b, enum init_request request)
{
        char text[STOP_TEXT_MAX];

        if (b->container.leader_pidfd < 0)
                return STOP_NOW; /* it has ended; its number may be another's by now */
        return on_stop(b, stop_begin(&b->stop, &b->container, request, payload_runs(b), text),
                       text);
}

static enum step_answer go_on_asking(struct boot *b)
{
        char text[STOP_TEXT_MAX];

        return on_stop(b, stop_continue(&b->stop, &b->container, payload_runs(b), text), text);
}

/* The first request goes to the payload; one that comes while it restarts is the second. */
static enum step_answer ask_to_stop(struct boot *b)
{
        if (b->run->asked_to_stop)
                return STOP_NOW;
        b->run->asked_to_stop = true;
        return ask(b, INIT_REQUEST_STOP);
}

static enum step_answer on_signal(struct boot *b)
{
        struct signalfd_siginfo si;

        if (read(b->run->signal_fd, &si, sizeof(si)) != (ssize_t) sizeof(si))
                return GO_ON;
        switch (si.ssi_signo) {
        case SIGWINCH:
                console_resized(&b->container.console);
                return GO_ON;
        case SIGTERM:
        case SIGINT:
                return ask_to_stop(b);
        case SIGPIPE: /* the write says so, too */
        case SIGXFSZ:
                return GO_ON;
        default:
                break;
        }
        if (si.ssi_signo == (uint32_t) SIGRTMIN + 18) {
                (void) malloc_trim(0);
                return GO_ON;
        }
        return STOP_NOW; /* would have ended a simpler program */
}

static enum step_answer on_notify(struct boot *b)
{
        char **forward CLEANUP_STRV = NULL;

        /* A datagram for each, as who supervises us is used to it. */
        if (notify_receive(b->container.notify_fd, b->container.leader, &forward) > 0)
                STRV_FOREACH(text, forward)
        (void) notify_send(*text);
        return GO_ON;
}

static enum step_answer on_console(struct boot *b, const struct pollfd *fds, size_t n)
{
        switch (console_dispatch(&b->container.console, fds, n)) {
        case CONSOLE_NOTHING:
                break;
        case CONSOLE_KILL:
                return STOP_NOW;
        case CONSOLE_POWEROFF:
                return ask(b, INIT_REQUEST_POWEROFF);
        case CONSOLE_REBOOT:
                return ask(b, INIT_REQUEST_REBOOT);
        }
        return GO_ON;
}

static void announce_running(const struct boot *b)
{
        notify("STATUS=Container running.\nX_NSPAWN_LEADER_PID=%d", (int) b->container.leader);
        if (!b->plan->config->notify_ready)
                notify("READY=1");
}

/* The first process says that it failed; or nothing, and then it runs the payload. */
static int on_channel(struct boot *b, struct failure *failure)
{
        struct channel_message message;
        size_t n = 0;
        int r = channel_receive(b->container.channel_fd, 0, &message, NULL, 0, &n);

        b->container.channel_fd = fd_close(b->container.channel_fd);
        if (r >= 0 && (message.type == MSG_FAILED || message.type == MSG_API_REFUSED))
                return container_failed(&message, failure);
        /* What was not heard may have been that it failed. */
        if (r < 0 && r != -EPIPE && r != -ETIMEDOUT)
                return failure_set(failure, r,
                                   "Cannot hear whether the container's first process runs: %s.",
                                   error_text(r));
        return 0;
}

static enum step_answer on_host(struct boot *b)
{
        return scope_dispatch(&b->container.scope) > 0 ? ask_to_stop(b) : GO_ON;
}

#define N_OWN_FDS 6 /* besides those of the console */
#define MAX_POLL (N_OWN_FDS + 3)

static int poll_timeout_ms(const struct boot *b)
{
        int stop_ms = stop_timeout_ms(&b->stop), watchdog_ms;

        if (b->watchdog_us == 0)
                return stop_ms;
        watchdog_ms = (int) MIN_OF(b->watchdog_us / 2000 + 1, UINT64_C(3600000));
        return stop_ms < 0 ? watchdog_ms : MIN_OF(stop_ms, watchdog_ms);
}

static int supervise(struct boot *b, struct failure *failure)
{
        struct container *c = &b->container;
        enum step_answer answer = GO_ON;

        while (answer == GO_ON) {
                struct pollfd fds[MAX_POLL] = {
                        { .fd = b->run->signal_fd, .events = POLLIN },
                        { .fd = c->leader_pidfd, .events = POLLIN },
                        { .fd = c->notify_fd, .events = POLLIN },
                        { .fd = c->channel_fd, .events = POLLIN },
                        { .fd = c->scope.helper_fd, .events = POLLIN },
                        { .fd = b->run->network.keeper.fd, .events = POLLIN },
                };
                size_t n_console = console_poll(&c->console, fds + N_OWN_FDS);
                int r = poll(fds, N_OWN_FDS + n_console, poll_timeout_ms(b));

                if (r < 0 && errno != EINTR)
                        return failure_set(failure, -errno, "Cannot wait for the container: %s.",
                                           error_text(errno));
                if (b->watchdog_us)
                        notify("WATCHDOG=1");
                if (r <= 0) {
                        answer = go_on_asking(b);
                        continue;
                }
                if (fds[3].revents) {
                        r = on_channel(b, failure);
                        if (r < 0)
                                return r;
                        announce_running(b);
                }
                if (fds[2].revents)
                        answer = on_notify(b);
                if (answer == GO_ON)
                        answer = on_console(b, fds + N_OWN_FDS, n_console);
                if (fds[5].revents)
                        machine_network_dispatch(&b->run->network, &b->plan->network, line_end(b));
                if (answer == GO_ON && fds[4].revents)
                        answer = on_host(b);
                if (fds[0].revents && answer == GO_ON)
                        answer = on_signal(b);
                if (answer == GO_ON && !fds[1].revents)
                        answer = go_on_asking(b);
                /* Who wants it dead does not want it back, should it just have rebooted. */
                b->run->asked_to_die |= answer == STOP_NOW;
                if (fds[1].revents)
                        answer = LEADER_ENDED;
        }
        b->stop_now = answer == STOP_NOW;
        if (b->stop_now)
                process_kill_child(c->leader, c->leader_pidfd);
        return 0;
}

static void read_watchdog(struct boot *b)
{
        const char *us = getenv("WATCHDOG_USEC"), *pid = getenv("WATCHDOG_PID");
        unsigned long value = 0, owner = 0;

        if (us && parse_ulong(us, 1, UINT64_C(86400000000), &value) >= 0 &&
            (!pid ||
             (parse_ulong(pid, 1, INT32_MAX, &owner) >= 0 && owner == (unsigned long) getpid())))
                b->watchdog_us = value;
}

/* What the way in which the first process ended means (reboot(2), pid_namespaces(7)). */
static enum outcome outcome_of(const struct run *run, const struct process_end *end)
{
        if (end->exited)
                return OUTCOME_EXITED;
        /* Among the host's processes these signals are from anybody, and mean nothing. */
        if (run->config->shared_namespaces & CLONE_NEWPID)
                return OUTCOME_KILLED;
        /* What somebody wants to be over does not begin again. */
        if (end->status == SIGHUP)
                return run->asked_to_stop || run->asked_to_die ? OUTCOME_POWEROFF : OUTCOME_REBOOT;
        return end->status == SIGINT ? OUTCOME_POWEROFF : OUTCOME_KILLED;
}

static void announce_end(const struct boot *b, enum outcome outcome)
{
        const char *name = b->plan->machine;
        char *signal_name CLEANUP_FREE = NULL;

        switch (outcome) {
        case OUTCOME_EXITED:
                if (b->end.status == 0)
                        info(b->run, "Container %s exited successfully.", name);
                else
                        info(b->run, "Container %s failed with error code %d.", name,
                             b->end.status);
                break;
        case OUTCOME_POWEROFF:
                info(b->run, "Container %s has been shut down.", name);
                break;
        case OUTCOME_REBOOT:
                info(b->run, "Container %s is being rebooted.", name);
                break;
        case OUTCOME_KILLED:
                signal_name = signal_to_text(b->end.status);
                log_message(LOG_LEVEL_ERROR, "Container %s terminated by signal %s.", name,
                            signal_name ? signal_name + strlen("SIG") : "?");
                break;
        }
}

/* What a slow reader gets when somebody wants us to end. */
#define LAST_WORDS_MS 1000
/* More than the kernel keeps for a socket (net.unix.max_dgram_qlen is 10 or some hundreds). */
#define LAST_MESSAGES_MAX 4096

/* Waits for a slow reader of the console, unless somebody asks or has asked us to end. */
static void drain_console(struct boot *b)
{
        struct console *console = &b->container.console;

        while (!console_drain(console)) {
                struct pollfd fds[] = { { .fd = console->out.fd, .events = POLLOUT },
                                        { .fd = b->run->signal_fd, .events = POLLIN } };

                if (poll(fds, ARRAY_SIZE(fds),
                         b->stop_now || b->run->asked_to_stop ? LAST_WORDS_MS : -1) == 0)
                        break;
                if (fds[1].revents && on_signal(b) == STOP_NOW) {
                        b->run->asked_to_die = true;
                        break;
                }
        }
}

/* The container is over: pass on its last words, then give the terminal back before ours. */
static int wind_up(struct boot *b, enum outcome *ret, struct failure *failure)
{
        struct container *c = &b->container;
        int r = process_wait(c->leader_pidfd, &b->end);

        if (r < 0)
                return failure_set(failure, r, "Cannot reap the container's first process: %s.",
                                   error_text(r));
        c->leader_pidfd = fd_close(c->leader_pidfd);
        /* The payload may have ended before its failure to start was read. */
        if (c->channel_fd >= 0) {
                r = on_channel(b, failure);
                if (r < 0)
                        return r;
        }
        /* Who got a descriptor of the socket out of the container may go on for ever. */
        for (int i = 0; i < LAST_MESSAGES_MAX && notify_receive_pending(c->notify_fd); i++)
                (void) on_notify(b);
        drain_console(b);
        *ret = outcome_of(b->run, &b->end);
        if (!b->run->config->quiet && b->plan->console != CONSOLE_PIPE)
                console_end_line(&c->console);
        console_done(&c->console);
        return 0;
}

static int run_boot(struct boot *b, enum outcome *ret, struct failure *failure)
{
        int r = container_start(&b->container, b->plan, b->run->host_argv, b->run->host_environment,
                                failure);

        if (r < 0)
                return r;
        ids_release_password_lock(&b->run->ids);
        r = machine_network_wait(&b->run->network, &b->plan->network, b->container.leader_pidfd,
                                 failure);
        if (r >= 0)
                r = container_go(&b->container, failure);
        if (r >= 0) {
                read_watchdog(b);
                r = supervise(b, failure);
        }
        if (r >= 0)
                r = wind_up(b, ret, failure);
        container_done(&b->container);
        if (r >= 0)
                announce_end(b, *ret);
        return r;
}

/* The tree's file system cannot be mapped: what else is allowed changes the tree on disk. */
static int leave_mapping(struct run *run, struct failure *failure)
{
        if (run->tree.layer_fd >= 0)
                return failure_set(failure, -EOPNOTSUPP,
                                   "Cannot put a layer over '%s' with -U: its file system does not "
                                   "support id-mapped mounts (%s). Use --ephemeral-method=copy.",
                                   run->tree.path, error_text(-EINVAL));
        if (config_tree_is_read_only(run->config))
                return failure_set(failure, -EOPNOTSUPP,
                                   "The file system of '%s' does not support id-mapped mounts, and "
                                   "%s forbids to change the owners of its files. Leave out "
                                   "one of -U and that.",
                                   run->tree.path,
                                   run->config->read_only ? "--read-only" : "--volatile=");
        run->root_is_mapped = false;
        if (run->tree.uid < IDMAP_DEFAULT_COUNT)
                log_message(
                        LOG_LEVEL_NOTICE,
                        "The file system of '%s' does not support id-mapped mounts: changing the "
                        "owners of its files on disk.",
                        run->tree.path);
        return 0;
}

/* One boot, in the first way that the tree's file system allows. */
static int boot_once(struct run *run, enum outcome *ret, int *ret_status, struct failure *failure)
{
        int r = 0;

        /* What was made to check it is good, unless another range of ids was free. */
        if (!run->plan.machine || run->plan.idmap.base != run->ids.map.base) {
                plan_done(&run->plan);
                r = make_plan(run, &run->ids, &run->plan, failure);
        }
        if (r >= 0) {
                struct boot b = { .run = run, .plan = &run->plan, .container = CONTAINER_NULL };

                r = run_boot(&b, ret, failure);
                *ret_status = b.end.exited ? b.end.status : EXIT_FAILURE;
        }
        plan_done(&run->plan); /* a reboot has a boot id of its own */
        if (r == START_CANNOT_MAP && run->root_is_mapped) {
                r = leave_mapping(run, failure);
                return r < 0 ? r : boot_once(run, ret, ret_status, failure);
        }
        if (r == START_API_REFUSED && !run->api_from_outside) {
                run->api_from_outside = true;
                return boot_once(run, ret, ret_status, failure);
        }
        return r;
}

static int exit_status(const struct run *run, enum outcome outcome, int status)
{
        switch (outcome) {
        case OUTCOME_EXITED:
                return status == EXIT_REBOOT ? EXIT_FAILURE : status;
        case OUTCOME_POWEROFF:
                /* A command that was cut off did not succeed, however orderly it ended. */
                return run->asked_to_stop && run->config->start_mode == START_AS_PID2 &&
                                       run->config->kill_signal == 0
                               ? EXIT_FAILURE
                               : EXIT_SUCCESS;
        case OUTCOME_REBOOT:
                return run->config->keep_unit ? EXIT_REBOOT : EXIT_FAILURE;
        case OUTCOME_KILLED:
                break;
        }
        return EXIT_FAILURE;
}

/* Detached mounts are descriptors, so a caller's small limit would be hit at any of them. */
static void raise_file_limit(void)
{
        struct rlimit limit;

        if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur >= 1024)
                return;
        limit.rlim_cur = limit.rlim_max;
        (void) setrlimit(RLIMIT_NOFILE, &limit);
}

/* What was planned is about another tree. */
static int plan_again(struct run *run, struct failure *failure)
{
        plan_done(&run->plan);
        return check_plan(run, failure);
}

static int make_from_template(struct run *run, struct failure *failure)
{
        char text[1024] = "";
        int fd, r = template_populate(run->config, run->config->tree, failure, text, sizeof(text));

        if (r < 0)
                return r;
        info(run, "%s", text);
        fd = open(run->config->tree, O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0)
                return failure_set(failure, -errno, "Cannot open the root directory '%s': %s.",
                                   run->config->tree, error_text(errno));
        r = tree_facts_move(run->config, &run->tree, fd, failure);
        return r < 0 ? r : plan_again(run, failure);
}

static int make_ephemeral(struct run *run, struct failure *failure)
{
        int r = ephemeral_make(run->config, &run->plan.ephemeral, run->suffix, &run->tree,
                               &run->passing, failure);

        return r < 0 ? r : plan_again(run, failure);
}

static int join_network(struct run *run, struct failure *failure)
{
        const struct container_config *c = run->config;
        int r = machine_network_take(&run->network, &run->plan.network, &c->network,
                                     c->ephemeral && c->ephemeral_is_another && !c->machine,
                                     failure);

        if (r > 0) /* another machine got the address that was planned */
                r = plan_again(run, failure);
        return r < 0 ? r : machine_network_join(&run->network, &run->plan.network, failure);
}

static int prepare(struct run *run, struct failure *failure)
{
        int r = read_facts(run, failure);

        if (r >= 0)
                r = check_plan(run, failure);
        if (r >= 0)
                r = check_host(run, failure);
        if (r >= 0)
                r = open_signals(run, failure); /* from here on there is something to undo */
        if (r >= 0 && run->is_template)
                r = make_from_template(run, failure);
        if (r >= 0 && run->config->ephemeral)
                r = make_ephemeral(run, failure);
        if (r >= 0)
                r = lock_tree(run, failure);
        if (r >= 0)
                r = ids_take(run->config, &run->host, &run->tree, run->machine, &run->ids, failure);
        if (r >= 0)
                r = join_network(run, failure);
        return r;
}

/* A limit that is not there is worse than none: each is named. */
static void warn_of_properties(const struct container_config *config)
{
        struct strbuf names CLEANUP_STRBUF = STRBUF_NULL;

        STRV_FOREACH(item, config->properties)
        strbuf_addf(&names, "%s%s", names.length ? ", " : "", *item);
        log_warning("Properties have no effect with --keep-unit, where the container stays in the "
                    "unit of its caller: set them on that unit. Ignoring %s.",
                    strbuf_text(&names));
}

static void greet(const struct run *run)
{
        const struct container_config *config = run->config;

        if (config->shared_namespaces & CLONE_NEWPID)
                log_warning("The container shares the host's process numbers: its root may kill "
                            "and change processes of the host.");
        if (config->template_path && !run->is_template)
                info(run, "Directory %s already exists, not populating from template %s.",
                     config->tree, config->template_path);
        info(run, "Spawning container %s on %s.", run->machine, run->tree.path);
        if (run->plan.console == CONSOLE_INTERACTIVE)
                info(run, "Press Ctrl-] three times within 1s to kill container; two times "
                          "followed by r to reboot it, by p to power it off.");
        if (config->keep_unit && config->properties)
                warn_of_properties(config);
        if (config->keep_unit && config->slice)
                log_warning("--slice= has no effect with --keep-unit, ignoring.");
}

int container_run(const struct container_config *config, char **host_argv, char **host_environment)
{
        struct run run = RUN_NULL;
        struct failure failure = { .error = 0 };
        enum outcome outcome = OUTCOME_EXITED;
        int status = EXIT_FAILURE, r;

        run.config = config;
        run.host_argv = host_argv;
        run.host_environment = host_environment;
        raise_file_limit();
        (void) umask(0); /* modes are as the code says; the payload gets 0022 */
        r = prepare(&run, &failure);
        if (r >= 0) {
                greet(&run);
                do
                        r = boot_once(&run, &outcome, &status, &failure);
                while (r >= 0 && outcome == OUTCOME_REBOOT && !config->keep_unit);
                notify("STOPPING=1\nSTATUS=%s",
                       r >= 0 && outcome == OUTCOME_REBOOT ? "Restarting..." : "Terminating...");
        }
        status = r < 0 ? EXIT_FAILURE : exit_status(&run, outcome, status);
        run_done(&run);
        if (r < 0)
                (void) log_error(r, "%s", failure.error ? failure.text : error_text(r));
        return status;
}

int container_dry_run(const struct container_config *config)
{
        struct run run = RUN_NULL;
        struct ids ids = IDS_NULL;
        struct container_plan plan = { .machine = NULL };
        struct strbuf text CLEANUP_STRBUF = STRBUF_NULL;
        struct failure failure = { .error = 0 };
        int r;

        run.config = config;
        /* Each run has other digits; none are drawn for one that is only looked at. */
        memset(run.suffix, 'x', sizeof(run.suffix) - 1);
        r = read_facts(&run, &failure);
        if (r >= 0)
                r = ids_preview(config, &run.host, &run.tree, run.machine, &ids, &failure);
        if (r >= 0)
                r = make_plan(&run, &ids, &plan, &failure);
        if (r >= 0)
                r = check_sources(&run, &failure);
        if (r >= 0) {
                (config->json ? plan_print_json : plan_print)(&plan, &text);
                r = strbuf_ok(&text) ? write_all(STDOUT_FILENO, text.text, text.length) : -ENOMEM;
                if (r < 0)
                        (void) failure_set(&failure, r, "Cannot print the plan: %s.",
                                           error_text(r));
        }
        plan_done(&plan);
        run_done(&run);
        return r < 0 ? (log_error(r, "%s", failure.text), EXIT_FAILURE) : EXIT_SUCCESS;
}
