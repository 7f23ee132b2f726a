/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "nspawn/forward-journal.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "basic/caps.h"
#include "basic/fd.h"
#include "basic/io.h"
#include "basic/log.h"
#include "basic/mount-api.h"
#include "basic/parse.h"
#include "basic/path.h"
#include "basic/process.h"
#include "basic/strbuf.h"

#define BACKLOG 16
#define SOCKET_NUMBER 3 /* the first one that is handed over (sd_listen_fds(3)) */
#define DRAIN_MS 100
#define END_MS 5000
#define VERSION_WITH_LIMITS 253

/* Where the program looks for settings beside those of the administrator; in a namespace of its own
 * nobody else sees what is there. */
#define SETTINGS_PLACE "/run/systemd"
#define SETTINGS_FOLDER SETTINGS_PLACE "/journal-remote.conf.d"

static bool has_limits(const struct container_config *c)
{
        for (size_t i = 0; i < N_FORWARD_LIMITS; i++)
                if (c->forward_limits[i].set)
                        return true;
        return false;
}

void journal_receiver_settings(const struct container_config *c, struct strbuf *out)
{
        strbuf_add(out, "[Remote]\n");
        for (size_t i = 0; i < N_FORWARD_LIMITS; i++)
                if (c->forward_limits[i].set)
                        strbuf_addf(out, "%s=%llu\n",
                                    forward_limit_name((enum forward_limit_kind) i),
                                    (unsigned long long) c->forward_limits[i].value);
}

/* ---- before a start ---------------------------------------------------------------------- */

static const char *find_program(void)
{
        static const char *const paths[] = { "/usr/lib/systemd/systemd-journal-remote",
                                             "/lib/systemd/systemd-journal-remote" };

        for (size_t i = 0; i < ARRAY_SIZE(paths); i++)
                if (access(paths[i], X_OK) == 0)
                        return paths[i];
        return NULL;
}

/* "systemd 252 (252.39-1~deb12u2)"; 0 if that is not what it says. */
static unsigned long read_version(const char *program)
{
        char *argv[] = { (char *) program, (char *) "--version", NULL };
        char *text CLEANUP_FREE = NULL;
        const char *number;
        unsigned long version = 0;

        if (process_capture(argv, 65536, &text, NULL) != 0)
                return 0;
        number = startswith(text, "systemd ");
        if (!number)
                return 0;
        text[strlen("systemd ") + strspn(number, "0123456789")] = '\0';
        return parse_ulong(number, 1, 100000, &version) < 0 ? 0 : version;
}

static int look_at_place(const struct container_config *c, struct journal_receiver_facts *facts,
                         struct failure *failure)
{
        const char *path = c->forward_journal;
        char *parent CLEANUP_FREE = NULL;
        struct stat st;

        if (stat(path, &st) < 0) {
                if (errno != ENOENT)
                        return failure_set(failure, -errno,
                                           "Cannot look at '%s' (--forward-journal=): %s.", path,
                                           error_text(errno));
                parent = strndup(path, (size_t) (path_basename(path) - path));
                if (!parent)
                        return failure_set(failure, -ENOMEM, "Out of memory.");
                if (stat(parent, &st) < 0 || !S_ISDIR(st.st_mode))
                        return failure_set(failure, -ENOENT,
                                           "The directory of '%s' (--forward-journal=) does not "
                                           "exist. Create it.",
                                           path);
        } else if (S_ISDIR(st.st_mode))
                facts->is_directory = true;
        if (!facts->is_directory && !endswith(path, ".journal"))
                return failure_set(failure, -EINVAL,
                                   "'%s' (--forward-journal=) is no directory, and the name of a "
                                   "journal file has to end with '.journal'. Create the directory, "
                                   "or change the name.",
                                   path);
        facts->uid = st.st_uid;
        facts->gid = st.st_gid;
        return 0;
}

int journal_receiver_look(const struct container_config *c, struct journal_receiver_facts *ret,
                          struct failure *failure)
{
        struct journal_receiver_facts facts = { .program = NULL };
        unsigned long version;
        int r;

        *ret = facts;
        if (!c->forward_journal)
                return 0;
        facts.program = find_program();
        if (!facts.program)
                return failure_set(failure, -ENOENT,
                                   "Cannot receive the journal (--forward-journal=): "
                                   "systemd-journal-remote is not installed on this host. Install "
                                   "the package of that name, or leave the option out.");
        if (has_limits(c)) {
                version = read_version(facts.program);
                if (version < VERSION_WITH_LIMITS)
                        return failure_set(failure, -EOPNOTSUPP,
                                           "'%s' of this host is version %lu, which has no limits "
                                           "(--forward-journal-max-use= and others); they need %d. "
                                           "Leave them out.",
                                           facts.program, version, VERSION_WITH_LIMITS);
        }
        r = look_at_place(c, &facts, failure);
        if (r >= 0)
                *ret = facts;
        return r;
}

int journal_receiver_socket_new(void)
{
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

        return fd < 0 ? -errno : fd;
}

/* ---- the program ------------------------------------------------------------------------- */

/* What the new process needs; all of it was made before. */
struct launch {
        const struct container_config *config;
        const struct journal_receiver_facts *facts;
        int socket_fd, error_fd;
        pid_t supervisor;
        char *settings, *output;
};

/* Nothing that is mounted or made here is seen by anybody else. */
static int put_settings(const struct launch *l)
{
        const struct mount_description d = { .type = "tmpfs",
                                             .source = "tmpfs",
                                             .options = "mode=0755,size=64k" };
        int r;

        if (!has_limits(l->config))
                return 0;
        r = mount_make_all_private();
        if (r >= 0)
                r = make_directories(SETTINGS_PLACE, 0755);
        if (r >= 0)
                r = mount_new_at(&d, SETTINGS_PLACE);
        if (r >= 0)
                r = make_directories(SETTINGS_FOLDER, 0755);
        if (r >= 0)
                r = create_file_at(AT_FDCWD, SETTINGS_FOLDER "/50-nspawn.conf", 0644, l->settings);
        return r;
}

static int drop_privileges(const struct launch *l)
{
        int r = 0;

        if (setgroups(0, NULL) < 0 || setresgid(l->facts->gid, l->facts->gid, l->facts->gid) < 0)
                return -errno;
        r = caps_limit_bounding(0);
        if (r >= 0 && setresuid(l->facts->uid, l->facts->uid, l->facts->uid) < 0)
                r = -errno;
        if (r >= 0)
                r = caps_set(0, 0, 0);
        if (r >= 0 && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
                r = -errno;
        /* Changing ids took the death signal away (prctl(2)). */
        if (r >= 0 && prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
                r = -errno;
        /* One that died before sends no signal. */
        if (r >= 0 && getppid() != l->supervisor)
                r = -ESRCH;
        return r;
}

/* Its streams are the host's null device, besides that for complaints. */
static int arrange_descriptors(const struct launch *l)
{
        int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC | O_NOCTTY);

        if (null_fd < 0 || dup2(null_fd, STDIN_FILENO) < 0 || dup2(null_fd, STDOUT_FILENO) < 0)
                return -errno;
        if (l->socket_fd == SOCKET_NUMBER)
                return fcntl(SOCKET_NUMBER, F_SETFD, 0) < 0 ? -errno : 0;
        return dup2(l->socket_fd, SOCKET_NUMBER) < 0 ? -errno : 0;
}

static int run_program(const struct launch *l)
{
        char listen_pid[32], listen_fds[] = "LISTEN_FDS=1", level[] = "SYSTEMD_LOG_LEVEL=warning";
        char *environment[] = { listen_pid, listen_fds, level, NULL };
        char *argv[] = {
                (char *) l->facts->program, l->output,
                (char *) (l->facts->is_directory ? "--split-mode=host" : "--split-mode=none"), NULL
        };
        int r = prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 ? -errno : put_settings(l);

        if (r >= 0)
                r = drop_privileges(l);
        if (r >= 0)
                r = process_reset_signals();
        if (r >= 0)
                r = arrange_descriptors(l);
        if (r < 0)
                return r;
        (void) umask(0027); /* a journal is not for everybody */
        (void) snprintf(listen_pid, sizeof(listen_pid), "LISTEN_PID=%d", (int) getpid());
        (void) execve(l->facts->program, argv, environment);
        return -errno;
}

static _Noreturn void become_program(const struct launch *l)
{
        int r = run_program(l);

        (void) write_all(l->error_fd, &r, sizeof(r));
        _exit(EXIT_FAILURE);
}

/* What the process says before it is the program: nothing, if all went well. */
static int hear_error(int fd)
{
        int error = 0;
        ssize_t n;

        do
                n = read(fd, &error, sizeof(error));
        while (n < 0 && errno == EINTR);
        return n < 0 ? -errno : n == (ssize_t) sizeof(error) ? error : 0;
}

static int launch(struct journal_receiver *r, struct launch *l)
{
        int fds[2], error;

        /* Above the number that the socket gets. */
        if (pipe2(fds, O_CLOEXEC) < 0)
                return -errno;
        l->error_fd = fcntl(fds[1], F_DUPFD_CLOEXEC, SOCKET_NUMBER + 1);
        (void) fd_close(fds[1]);
        error = l->error_fd < 0 ? -errno : 0;
        if (error >= 0) {
                r->pid = process_clone(CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC, -1, &r->pidfd);
                if (r->pid == 0)
                        become_program(l);
                error = MIN_OF(r->pid, 0);
        }
        l->error_fd = fd_close(l->error_fd);
        if (error >= 0)
                error = hear_error(fds[0]);
        (void) fd_close(fds[0]);
        return error;
}

int journal_receiver_start(struct journal_receiver *r, const struct container_config *c,
                           const struct journal_receiver_facts *facts, struct failure *failure)
{
        struct strbuf settings CLEANUP_STRBUF = STRBUF_NULL;
        struct strbuf output CLEANUP_STRBUF = STRBUF_NULL;
        struct launch l = {
                .config = c, .facts = facts, .socket_fd = r->socket_fd, .supervisor = getpid()
        };
        int error = 0;

        journal_receiver_settings(c, &settings);
        strbuf_addf(&output, "--output=%s", c->forward_journal);
        if (!strbuf_ok(&settings) || !strbuf_ok(&output))
                return failure_set(failure, -ENOMEM, "Out of memory.");
        l.settings = settings.text;
        l.output = output.text;
        if (listen(r->socket_fd, BACKLOG) < 0)
                error = -errno;
        else
                error = launch(r, &l);
        r->socket_fd = fd_close(r->socket_fd);
        return error < 0 ? failure_set(failure, error,
                                       "Cannot start '%s' to receive the journal "
                                       "(--forward-journal=): %s.",
                                       facts->program, error_text(error))
                         : 0;
}

/* Waits until it has ended. Returns whether it has. */
static bool ends_within(const struct journal_receiver *r, int ms)
{
        struct pollfd fd = { .fd = r->pidfd, .events = POLLIN };
        int n;

        do
                n = poll(&fd, 1, ms);
        while (n < 0 && errno == EINTR);
        return n > 0;
}

void journal_receiver_stop(struct journal_receiver *r)
{
        struct process_end end = { .exited = true };

        r->socket_fd = fd_close(r->socket_fd);
        if (r->pidfd < 0)
                return;
        /* The container's last words are in its socket; there is no telling when it has read them. */
        if (ends_within(r, DRAIN_MS))
                log_warning("systemd-journal-remote ended before the container; its journal is not "
                            "complete.");
        else if (process_signal(r->pidfd, SIGTERM) < 0 || !ends_within(r, END_MS)) {
                log_warning(
                        "systemd-journal-remote does not end and is killed; the journal that it "
                        "received may not be complete.");
                process_kill_child(r->pid, r->pidfd);
        }
        (void) process_wait(r->pidfd, &end);
        r->pidfd = fd_close(r->pidfd);
}
