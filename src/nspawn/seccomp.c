/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "nspawn/seccomp.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/seccomp.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "basic/fd.h"
#include "basic/io.h"
#include "basic/path.h"
#include "basic/process.h"
#include "basic/siphash.h"
#include "basic/strv.h"
#include "nspawn/seccomp-groups.h"

/*
 * Making a program takes a library with tables of all calls of all architectures; that is a
 * helper's work. Default settings have theirs built in, others have it made once per boot: it is
 * kept in a file named after the hash of all that it depends on.
 */

#define CACHE_PARENT "/run/stead"
#define CACHE CACHE_PARENT "/seccomp"
#define PROGRAM_MAX (BPF_MAXINSNS * sizeof(struct sock_filter))

/* Part of the hash; to be changed when the same settings begin to mean another program. */
#define CACHE_FORMAT "stead seccomp 2"

static uint64_t effective_caps(const struct seccomp_spec *spec)
{
        return spec->retained_caps & SECCOMP_CONDITIONAL_CAPS;
}

static bool has_nothing_but_terms(const struct seccomp_spec *spec)
{
        return effective_caps(spec) == (SECCOMP_DEFAULT_CAPS & SECCOMP_CONDITIONAL_CAPS) &&
               !spec->suppress_sync && strv_length(spec->families) == 0;
}

bool seccomp_spec_is_default(const struct seccomp_spec *spec)
{
        return strv_length(spec->terms) == 0 && has_nothing_but_terms(spec);
}

static bool spec_is_nesting(const struct seccomp_spec *spec)
{
        return strv_length(spec->terms) == 1 && streq(spec->terms[0], SECCOMP_NESTING_TERM) &&
               has_nothing_but_terms(spec);
}

void seccomp_describe(const struct seccomp_spec *spec, struct strbuf *out)
{
        if (seccomp_spec_is_default(spec)) {
                strbuf_add(out, "default");
                return;
        }
        strbuf_addf(out, "custom, for capabilities 0x%" PRIx64, spec->retained_caps);
        STRV_FOREACH(term, spec->terms)
        strbuf_addf(out, "; %s %s", (*term)[0] == '~' ? "deny" : "allow",
                    *term + ((*term)[0] == '~'));
        STRV_FOREACH(family, spec->families)
        strbuf_addf(out, "; %s sockets of %s", (*family)[0] == '~' ? "deny" : "allow",
                    *family + ((*family)[0] == '~'));
        if (spec->suppress_sync)
                strbuf_add(out, "; suppress sync");
}

void seccomp_program_done(struct seccomp_program *p)
{
        free(p->owned);
        strv_free(p->unknown);
        *p = (struct seccomp_program) SECCOMP_PROGRAM_NULL;
}

/* Takes @bytes, also on failure. */
static int program_from_bytes(char *bytes, size_t size, struct seccomp_program *ret)
{
        if (size == 0 || size > PROGRAM_MAX || size % sizeof(struct sock_filter) != 0) {
                free(bytes);
                return -EPROTO;
        }
        *ret = (struct seccomp_program){
                /* malloc() aligns for everything. */
                .filter = (const struct sock_filter *) (const void *) bytes,
                .length = (unsigned short) (size / sizeof(struct sock_filter)),
                .owned = bytes,
        };
        return 0;
}

/* What the program depends on, as a file name. The helper's times stand for its version. */
static int find_cache_name(const struct seccomp_spec *spec, const struct stat *helper,
                           char ret[2 * sizeof(uint64_t) + 1])
{
        static const uint8_t key[16] = "stead/seccomp/1";
        struct strbuf b CLEANUP_STRBUF = STRBUF_NULL;

        strbuf_addf(&b, "%s\n%" PRIx64 "\n%jd %jd.%09ld %jd\n", CACHE_FORMAT, effective_caps(spec),
                    (intmax_t) helper->st_ino, (intmax_t) helper->st_ctim.tv_sec,
                    helper->st_ctim.tv_nsec, (intmax_t) helper->st_size);
        STRV_FOREACH(term, spec->terms)
        strbuf_add_bytes(&b, *term, strlen(*term) + 1);
        strbuf_addf(&b, "\n%d", spec->suppress_sync);
        STRV_FOREACH(family, spec->families)
        strbuf_addf(&b, ",%s", *family);
        if (!strbuf_ok(&b))
                return -ENOMEM;
        (void) snprintf(ret, 2 * sizeof(uint64_t) + 1, "%016" PRIx64,
                        siphash24(b.text, b.length, key));
        return 0;
}

/* Whoever else can write there chooses our filter. */
static bool only_owner_writes(const struct stat *st, uid_t owner)
{
        return st->st_uid == owner && (st->st_mode & (S_IWGRP | S_IWOTH)) == 0;
}

/* Opens the cache folder, which is created. Returns its fd or a negative errno. */
static int open_cache(const struct seccomp_places *places)
{
        int fd CLEANUP_FD = -1;
        struct stat st;

        if (!places->cache || geteuid() != places->cache_owner)
                return -ENOENT;
        if (startswith(places->cache, CACHE_PARENT "/"))
                (void) mkdir(CACHE_PARENT, 0755);
        (void) mkdir(places->cache, 0700);
        fd = open(places->cache, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (fd < 0 || fstat(fd, &st) < 0)
                return -errno;
        return only_owner_writes(&st, places->cache_owner) ? TAKE_FD(fd) : -EPERM;
}

static int load(int cache_fd, const char *name, uid_t owner, struct seccomp_program *ret)
{
        int fd CLEANUP_FD = openat(cache_fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
        char *bytes = NULL;
        size_t size = 0;
        struct stat st;
        int r;

        if (fd < 0 || fstat(fd, &st) < 0)
                return -errno;
        if (!S_ISREG(st.st_mode) || !only_owner_writes(&st, owner))
                return -EPERM;
        r = read_all(fd, PROGRAM_MAX, &bytes, &size);
        return r < 0 ? r : program_from_bytes(bytes, size, ret);
}

/* The file has no name until it is complete, so that a launcher that is killed leaves nothing. */
static int write_unnamed(int cache_fd, const struct seccomp_program *p)
{
        int fd CLEANUP_FD = openat(cache_fd, ".", O_WRONLY | O_TMPFILE | O_CLOEXEC, 0600);
        int r = fd < 0 ? -errno : write_all(fd, p->filter, p->length * sizeof(*p->filter));

        return r < 0 ? r : TAKE_FD(fd);
}

static void store(int cache_fd, const char *name, const struct seccomp_program *p)
{
        int fd CLEANUP_FD = write_unnamed(cache_fd, p);
        char path[64];

        if (fd < 0)
                return;
        /* One that is there could not be loaded, or another launcher was faster. */
        (void) unlinkat(cache_fd, name, 0);
        (void) snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
        if (linkat(AT_FDCWD, path, cache_fd, name, AT_SYMLINK_FOLLOW) < 0)
                return; /* the cache is a help, and may be without it */
}

static _Noreturn void exec_helper(char *const *argv, int out_fd, int error_fd)
{
        static char *const no_environment[] = { NULL };
        int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);

        if (process_reset_signals() < 0 || null_fd < 0 || dup2(null_fd, 0) < 0 ||
            dup2(out_fd, 1) < 0 || dup2(error_fd, 2) < 0 || fd_cloexec_from(3) < 0)
                _exit(126);
        execve(argv[0], argv, no_environment);
        _exit(127);
}

/* A pipe whose ends are above the standard three, so that dup2() onto those meets none of them. */
static int open_pipe(int *ret_read, int *ret_write)
{
        int fds[2];

        if (pipe2(fds, O_CLOEXEC) < 0)
                return -errno;
        int read_fd CLEANUP_FD = fd_above_stdio_take_fd(fds[0]);
        int write_fd CLEANUP_FD = fd_above_stdio_take_fd(fds[1]);

        if (read_fd < 0 || write_fd < 0)
                return read_fd < 0 ? read_fd : write_fd;
        *ret_read = TAKE_FD(read_fd);
        *ret_write = TAKE_FD(write_fd);
        return 0;
}

/* As process_capture(), with standard error too. The helper closes the one before it writes to
 * the other, so that reading them in turn cannot hang. */
static int run_helper(char *const *argv, char **ret_output, size_t *ret_size, char **ret_errors)
{
        int out CLEANUP_FD = -1, child_out CLEANUP_FD = -1, errors CLEANUP_FD = -1;
        int child_errors CLEANUP_FD = -1, pidfd CLEANUP_FD = -1;
        char *output CLEANUP_FREE = NULL, *text CLEANUP_FREE = NULL;
        struct process_end end;
        size_t size = 0;
        pid_t pid;
        int r = open_pipe(&out, &child_out);

        if (r >= 0)
                r = open_pipe(&errors, &child_errors);
        if (r < 0)
                return r;
        pid = process_clone(0, -1, &pidfd);
        if (pid == 0)
                exec_helper(argv, child_out, child_errors);
        if (pid < 0)
                return (int) pid;
        child_out = fd_close(child_out);
        child_errors = fd_close(child_errors);
        r = read_all(out, PROGRAM_MAX, &output, &size);
        if (r >= 0)
                r = read_all(errors, 1 << 20, &text, NULL);
        if (r < 0)
                (void) process_signal(pidfd, SIGKILL);
        if (process_wait(pidfd, &end) < 0 || r < 0)
                return r < 0 ? r : -ECHILD;
        if (!end.exited)
                return -ECHILD;
        *ret_output = TAKE_PTR(output);
        *ret_size = size;
        *ret_errors = TAKE_PTR(text);
        return end.status;
}

static int build_argv(const struct seccomp_places *places, const struct seccomp_spec *spec,
                      char ***ret)
{
        struct strbuf families CLEANUP_STRBUF = STRBUF_NULL;
        char **argv CLEANUP_STRV = NULL;
        char caps[2 * sizeof(uint64_t) + 1];
        int r = strv_add(&argv, places->helper);

        (void) snprintf(caps, sizeof(caps), "%" PRIx64, effective_caps(spec));
        STRV_FOREACH(family, spec->families)
        strbuf_addf(&families, "%s%s", families.length ? "," : "", *family);
        if (!strbuf_ok(&families))
                return -ENOMEM;
        if (r >= 0)
                r = strv_add(&argv, caps);
        if (r >= 0)
                r = strv_add(&argv, spec->suppress_sync ? "1" : "0");
        if (r >= 0)
                r = strv_add(&argv, strbuf_text(&families));
        if (r >= 0)
                r = strv_add_all(&argv, spec->terms);
        if (r >= 0)
                *ret = TAKE_PTR(argv);
        return r;
}

static int compile(const struct seccomp_places *places, const struct seccomp_spec *spec,
                   struct seccomp_program *ret, struct failure *failure)
{
        struct seccomp_program program CLEANUP_SECCOMP_PROGRAM = SECCOMP_PROGRAM_NULL;
        char **argv CLEANUP_STRV = NULL;
        char *output CLEANUP_FREE = NULL, *errors CLEANUP_FREE = NULL;
        size_t size = 0;
        int r = build_argv(places, spec, &argv);

        if (r >= 0)
                r = run_helper(argv, &output, &size, &errors);
        if (r < 0)
                return failure_set(failure, r,
                                   "Cannot run '%s' to make the system call filter: %s.",
                                   places->helper, strerror(-r));
        for (size_t n = strlen(errors); n > 0 && errors[n - 1] == '\n'; n--)
                errors[n - 1] = '\0'; /* its words become a part of our line */
        if (r > 0)
                return failure_set(failure, -EPROTO,
                                   "Cannot make the system call filter: '%s' exited with %d%s%s",
                                   places->helper, r, errors[0] ? ": " : "", errors);
        r = program_from_bytes(TAKE_PTR(output), size, &program);
        if (r < 0)
                return failure_set(failure, r,
                                   "Cannot make the system call filter: '%s' wrote %zu bytes, "
                                   "which is no program",
                                   places->helper, size);
        r = strv_split(errors, "\n", &program.unknown);
        if (r < 0)
                return failure_set(failure, r, "Cannot make the system call filter: %s",
                                   strerror(-r));
        *ret = program;
        program = (struct seccomp_program) SECCOMP_PROGRAM_NULL;
        return 0;
}

int seccomp_program_get_at(const struct seccomp_places *places, const struct seccomp_spec *spec,
                           struct seccomp_program *ret, struct failure *failure)
{
        char name[2 * sizeof(uint64_t) + 1];
        int cache_fd CLEANUP_FD = -1;
        struct stat helper;
        int r;

        if (seccomp_spec_is_default(spec)) {
                *ret = (struct seccomp_program){ .filter = seccomp_default_program,
                                                 .length = seccomp_default_length };
                return 0;
        }
        if (spec_is_nesting(spec)) {
                *ret = (struct seccomp_program){ .filter = seccomp_nesting_program,
                                                 .length = seccomp_nesting_length };
                return 0;
        }
        if (stat(places->helper, &helper) < 0)
                return failure_set(failure, -errno,
                                   "Cannot make the system call filter, because the program '%s' "
                                   "is missing: %s. Install it, or leave the filter and the "
                                   "capabilities at their defaults.",
                                   places->helper, strerror(errno));
        r = find_cache_name(spec, &helper, name);
        if (r < 0)
                return failure_set(failure, r, "Cannot make the system call filter: %s",
                                   strerror(-r));
        cache_fd = open_cache(places);
        if (cache_fd >= 0 && load(cache_fd, name, places->cache_owner, ret) >= 0)
                return 0;
        r = compile(places, spec, ret, failure);
        /* With unknown words it is made anew each time, so that they are warned about each time. */
        if (r >= 0 && cache_fd >= 0 && !ret->unknown)
                store(cache_fd, name, ret);
        return r;
}

int seccomp_program_get(const struct seccomp_spec *spec, struct seccomp_program *ret,
                        struct failure *failure)
{
        char *helper CLEANUP_FREE = path_of_program("seccomp-compile");
        const struct seccomp_places places = { .helper = helper, .cache = CACHE };

        if (!helper)
                return failure_set(failure, -ENOMEM, "Cannot make the system call filter: %s",
                                   strerror(ENOMEM));
        return seccomp_program_get_at(&places, spec, ret, failure);
}

int seccomp_program_install(const struct seccomp_program *p, bool log)
{
        /* The kernel's structure has no const; it only reads. */
        const struct {
                unsigned short length;
                const struct sock_filter *filter;
        } program = { p->length, p->filter };

        static_assert(sizeof(program) == sizeof(struct sock_fprog), "this is a sock_fprog");
        return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, log ? SECCOMP_FILTER_FLAG_LOG : 0,
                       &program) < 0
                       ? -errno
                       : 0;
}
