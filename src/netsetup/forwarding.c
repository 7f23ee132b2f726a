/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "netsetup/forwarding.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "basic/fd.h"
#include "basic/io.h"
#include "basic/log.h"
#include "basic/strbuf.h"
#include "basic/strv.h"

/*
 * The record has a line for each sysctl: path, value before, value that it has because of us. It is put back
 * from the last line to the first, each one only if it still has our value. The kernel sets the switches of
 * all interfaces with the one for all, so those that were on while that was off are in it as well, first.
 */

#define ROOT "/proc/sys/net/"
#define IPV4_SWITCH "ipv4/ip_forward"
#define IPV6_SWITCH "ipv6/conf/all/forwarding"
#define RECORD_MAX ((size_t) 1024 * 1024)
#define VALUE_SIZE 32

static int read_sysctl(const char *path, char value[VALUE_SIZE])
{
        char full[512];

        if ((size_t) snprintf(full, sizeof(full), "%s%s", ROOT, path) >= sizeof(full))
                return -ENAMETOOLONG;
        return read_line_at(AT_FDCWD, full, value, VALUE_SIZE);
}

static int write_sysctl(const char *path, const char *value)
{
        char full[512];

        if ((size_t) snprintf(full, sizeof(full), "%s%s", ROOT, path) >= sizeof(full))
                return -ENAMETOOLONG;
        return write_file_at(AT_FDCWD, full, value);
}

static bool is(const char *path, const char *value)
{
        char current[VALUE_SIZE];

        return read_sysctl(path, current) >= 0 && streq(current, value);
}

void forwarding_read(struct forwarding *ret)
{
        ret->ipv4_was_off = is(IPV4_SWITCH, "0");
        ret->ipv6_was_off = is(IPV6_SWITCH, "0");
}

/* Links whose other end is a guest: "ve-…", "vb-…", "vz-…", and "vt-…" as others name such. */
static bool is_of_a_guest(const char *interface)
{
        return interface[0] == 'v' && interface[1] && strchr("bezt", interface[1]) &&
               interface[2] == '-';
}

typedef void (*each_interface)(const char *interface, struct strbuf *record);

static void for_each_interface(const char *family, each_interface each, struct strbuf *record)
{
        char folder[64];
        DIR *d;

        (void) snprintf(folder, sizeof(folder), "%s%s/conf", ROOT, family);
        d = opendir(folder);
        if (!d)
                return;
        for (const struct dirent *e = readdir(d); e; e = readdir(d))
                if (e->d_name[0] != '.' && !streq(e->d_name, "all") && !streq(e->d_name, "default"))
                        each(e->d_name, record);
        (void) closedir(d);
}

static void note_if(struct strbuf *record, const char *path, const char *before, const char *after)
{
        if (is(path, before))
                strbuf_addf(record, "%s %s %s\n", path, before, after);
}

static void note_forwarding4(const char *interface, struct strbuf *record)
{
        char path[256];

        (void) snprintf(path, sizeof(path), "ipv4/conf/%s/forwarding", interface);
        note_if(record, path, "1", "0");
}

static void note_forwarding6(const char *interface, struct strbuf *record)
{
        char path[256];

        (void) snprintf(path, sizeof(path), "ipv6/conf/%s/forwarding", interface);
        note_if(record, path, "1", "0");
}

static void note_accept_ra(const char *interface, struct strbuf *record)
{
        char path[256];

        (void) snprintf(path, sizeof(path), "ipv6/conf/%s/accept_ra", interface);
        if (!is_of_a_guest(interface))
                note_if(record, path, "1", "2");
}

/* Switches that are on while the one for all is off keep their value now and get it back later; the
 * line says what they have in between. */
static bool is_for_later(const char *before, const char *after)
{
        return streq(before, "1") && streq(after, "0");
}

/* "PATH BEFORE AFTER", which is cut up. */
static bool cut_line(char *line, char **ret_before, char **ret_after)
{
        *ret_before = strchr(line, ' ');
        *ret_after = *ret_before ? strchr(*ret_before + 1, ' ') : NULL;
        if (!*ret_after || startswith(line, "/") || strstr(line, ".."))
                return false;
        *(*ret_before)++ = *(*ret_after)++ = '\0';
        return true;
}

static int apply(const char *record, struct failure *failure)
{
        char **lines CLEANUP_STRV = NULL;
        int r = strv_split(record, "\n", &lines);

        if (r < 0)
                return failure_set(failure, r, "Out of memory.");
        STRV_FOREACH(line, lines)
        {
                char *before, *after;

                if (!cut_line(*line, &before, &after) || is_for_later(before, after))
                        continue;
                r = write_sysctl(*line, after);
                if (r == -ENOENT) /* an interface that has just gone */
                        continue;
                if (r < 0)
                        return failure_set(
                                failure, r,
                                "Cannot write %s to '%s%s', so that machines reach the outside: "
                                "%s.",
                                after, ROOT, *line, error_text(r));
        }
        return 0;
}

int forwarding_enable(int run_folder_fd, struct failure *failure)
{
        struct strbuf record CLEANUP_STRBUF = STRBUF_NULL;
        struct forwarding now;
        int r;

        forwarding_read(&now);
        if (now.ipv4_was_off) {
                for_each_interface("ipv4", note_forwarding4, &record);
                strbuf_add(&record, IPV4_SWITCH " 0 1\n");
        }
        if (now.ipv6_was_off) {
                for_each_interface("ipv6", note_accept_ra, &record);
                for_each_interface("ipv6", note_forwarding6, &record);
                strbuf_add(&record, IPV6_SWITCH " 0 1\n");
        }
        if (!strbuf_ok(&record))
                return failure_set(failure, -ENOMEM, "Out of memory.");
        if (record.length == 0)
                return 0;
        r = replace_file_at(run_folder_fd, FORWARDING_RECORD, 0644, strbuf_text(&record));
        if (r < 0)
                return failure_set(failure, r,
                                   "Cannot note down which sysctls are changed (" FORWARDING_RECORD
                                   "): %s.",
                                   error_text(r));
        return apply(strbuf_text(&record), failure);
}

int forwarding_put_back(int run_folder_fd, struct failure *failure)
{
        char *record CLEANUP_FREE = NULL;
        char **lines CLEANUP_STRV = NULL;
        int n = 0, r = read_file_at(run_folder_fd, FORWARDING_RECORD, RECORD_MAX, &record, NULL);

        if (r == -ENOENT)
                return 0;
        if (r >= 0)
                r = strv_split(record, "\n", &lines);
        if (r < 0)
                return failure_set(failure, r,
                                   "Cannot read which sysctls were changed (" FORWARDING_RECORD
                                   "): %s.",
                                   error_text(r));
        for (size_t i = strv_length(lines); i > 0; i--) {
                char *before, *after;

                if (!cut_line(lines[i - 1], &before, &after) || !is(lines[i - 1], after))
                        continue;
                r = write_sysctl(lines[i - 1], before);
                if (r < 0)
                        (void) failure_set(failure, r, "Cannot write %s back to '%s%s': %s.",
                                           before, ROOT, lines[i - 1], error_text(r));
                else
                        n++;
        }
        if (unlinkat(run_folder_fd, FORWARDING_RECORD, 0) < 0)
                (void) failure_set(failure, -errno, "Cannot remove '" FORWARDING_RECORD "': %s.",
                                   error_text(-errno));
        return failure->error < 0 ? failure->error : n;
}
