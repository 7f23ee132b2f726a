/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "netsetup/moved-record.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "basic/env-file.h"
#include "basic/fd.h"
#include "basic/io.h"
#include "basic/log.h"
#include "basic/mount-api.h"
#include "basic/parse.h"
#include "basic/strv.h"
#include "netsetup/ifname.h"

#define NAMESPACE_SUFFIX ".netns"
#define FOLDER_TRIES 5

void moved_record_done(struct moved_record *record)
{
        record->altnames = strv_free(record->altnames);
}

/* ---- the text ---------------------------------------------------------------------------- */

static int add_number(struct strbuf *out, const char *name, unsigned long value)
{
        char text[24];

        (void) snprintf(text, sizeof(text), "%lu", value);
        return env_file_add(out, name, text);
}

static int add_mac(struct strbuf *out, const char *name, const uint8_t mac[MAC_SIZE])
{
        char text[MAC_TEXT_SIZE];

        return env_file_add(out, name, mac_text(mac, text));
}

static int add_lists(struct strbuf *out, const struct moved_record *record)
{
        char text[NET_ADDRESS_TEXT_SIZE];
        int r = 0;

        for (size_t i = 0; r >= 0 && i < record->n_addresses; i++) {
                r = env_file_add(out, "ADDRESS",
                                 net_address_prefix_text(&record->addresses[i], text));
                if (r >= 0 && record->has_broadcast[i])
                        r = env_file_add(out, "BROADCAST", "yes");
        }
        STRV_FOREACH(name, record->altnames)
        if (r >= 0)
                r = env_file_add(out, "ALTNAME", *name);
        return r;
}

int moved_record_to_text(const struct moved_record *record, char **ret)
{
        struct strbuf out CLEANUP_STRBUF = STRBUF_NULL;
        int r = env_file_add(&out, "MACHINE", record->machine);

        if (r >= 0)
                r = env_file_add(&out, "NAME", record->name);
        if (r >= 0)
                r = env_file_add(&out, "PASSING", record->passing);
        if (r >= 0)
                r = env_file_add(&out, "KIND", record->kind);
        /* An alias that is no text was made by hand; it is worth less than the interface. */
        if (r >= 0 && utf8_is_valid(record->alias))
                r = env_file_add(&out, "ALIAS", record->alias);
        if (r >= 0)
                r = add_number(&out, "HOST", record->host);
        if (r >= 0)
                r = add_number(&out, "INDEX", (unsigned long) record->index);
        if (r >= 0)
                r = add_number(&out, "INSIDE", (unsigned long) record->inside);
        if (r >= 0)
                r = add_number(&out, "MTU", record->mtu);
        if (r >= 0)
                r = env_file_add(&out, "UP", record->up ? "yes" : "no");
        if (r >= 0 && record->has_flags)
                r = add_number(&out, "FLAGS", record->flags);
        if (r >= 0 && record->has_mac)
                r = add_mac(&out, "MAC", record->mac);
        if (r >= 0 && record->has_permanent_mac)
                r = add_mac(&out, "PERMANENT_MAC", record->permanent_mac);
        if (r >= 0)
                r = add_lists(&out, record);
        if (r < 0)
                return r;
        *ret = strbuf_take(&out);
        return *ret ? 0 : -ENOMEM;
}

static int take_text(const char *value, char *ret, size_t size)
{
        int n = snprintf(ret, size, "%s", value);

        return n < 0 || (size_t) n >= size ? -EINVAL : 0;
}

static int take_number(const char *value, int *ret)
{
        unsigned long number;
        int r = parse_ulong(value, 0, INT_MAX, &number);

        if (r >= 0)
                *ret = (int) number;
        return r;
}

static int take_address(const char *value, struct moved_record *record)
{
        return record->n_addresses == MOVED_MAX_ADDRESSES
                       ? -E2BIG
                       : net_address_parse(value, &record->addresses[record->n_addresses++]);
}

static int take_item(const struct env_assignment *item, struct moved_record *record)
{
        const char *name = item->name, *value = item->value;
        int mtu = 0, flags = 0, r;

        if (streq(name, "MACHINE"))
                return take_text(value, record->machine, sizeof(record->machine));
        if (streq(name, "NAME"))
                return take_text(value, record->name, sizeof(record->name));
        if (streq(name, "PASSING"))
                return take_text(value, record->passing, sizeof(record->passing));
        if (streq(name, "KIND"))
                return take_text(value, record->kind, sizeof(record->kind));
        if (streq(name, "ALIAS"))
                return take_text(value, record->alias, sizeof(record->alias));
        if (streq(name, "HOST"))
                return parse_ulong(value, 0, ULONG_MAX, &record->host);
        if (streq(name, "INDEX"))
                return take_number(value, &record->index);
        if (streq(name, "INSIDE"))
                return take_number(value, &record->inside);
        if (streq(name, "MTU")) {
                r = take_number(value, &mtu);
                record->mtu = (unsigned) mtu;
                return r;
        }
        if (streq(name, "FLAGS")) {
                r = take_number(value, &flags);
                record->flags = (unsigned) flags & MOVED_FLAGS;
                record->has_flags = true;
                return r;
        }
        if (streq(name, "UP"))
                return parse_boolean(value, &record->up);
        if (streq(name, "MAC")) {
                record->has_mac = true;
                return mac_parse(value, record->mac);
        }
        if (streq(name, "PERMANENT_MAC")) {
                record->has_permanent_mac = true;
                return mac_parse(value, record->permanent_mac);
        }
        if (streq(name, "ADDRESS"))
                return take_address(value, record);
        if (streq(name, "BROADCAST") && record->n_addresses > 0)
                return parse_boolean(value, &record->has_broadcast[record->n_addresses - 1]);
        return streq(name, "ALTNAME") ? strv_add(&record->altnames, value) : -EINVAL;
}

int moved_record_parse(const char *text, size_t size, struct moved_record *ret)
{
        struct moved_record record CLEANUP_MOVED_RECORD = { .index = 0 };
        struct env_file file CLEANUP_ENV_FILE = { .n = 0 };
        int r = env_file_parse(text, size, &file);

        if (r >= 0 && file.bad_line)
                r = -EINVAL;
        for (size_t i = 0; r >= 0 && i < file.n; i++)
                r = take_item(&file.items[i], &record);
        if (r >= 0 &&
            (!record.machine[0] || !record.name[0] || !record.passing[0] || record.index == 0))
                r = -EINVAL;
        if (r < 0)
                return r;
        *ret = record;
        record.altnames = NULL;
        return 0;
}

/* ---- the files --------------------------------------------------------------------------- */

static unsigned long number_of_namespace(void)
{
        struct stat st;

        return stat("/proc/self/ns/net", &st) < 0 ? 0 : st.st_ino;
}

static int open_folder(void)
{
        int fd = open(MOVED_FOLDER, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

        return fd < 0 ? -errno : fd;
}

/* Machines' names have no slash and do not begin with a dot. */
static void file_name(const struct moved_record *record, char *ret, size_t size)
{
        (void) snprintf(ret, size, "%s.%d", record->machine, record->index);
}

int moved_record_store(struct moved_record *record, struct failure *failure)
{
        char *text CLEANUP_FREE = NULL, name[96];
        int fd CLEANUP_FD = -1, r;

        record->host = number_of_namespace();
        file_name(record, name, sizeof(name));
        r = moved_record_to_text(record, &text);
        /* Whoever takes the last file away removes the folder, which may be just now. */
        for (int i = 0; r >= 0 && i < FOLDER_TRIES; i++) {
                fd = fd_close(fd);
                r = make_directories(MOVED_FOLDER, 0700);
                if (r >= 0)
                        r = fd = open_folder();
                if (r >= 0)
                        r = replace_file_at(fd, name, 0600, text);
                if (r != -ENOENT)
                        break;
                r = i + 1 < FOLDER_TRIES ? 0 : r;
        }
        if (r < 0)
                return failure_set(failure, r,
                                   "Cannot write down, in '%s/%s', how interface '%s' is now: %s.",
                                   MOVED_FOLDER, name, record->name, error_text(r));
        return 0;
}

int moved_record_forget(const struct moved_record *record)
{
        int fd CLEANUP_FD = open_folder();
        char name[96];

        file_name(record, name, sizeof(name));
        if (fd < 0)
                return fd == -ENOENT ? 0 : fd;
        if (unlinkat(fd, name, 0) < 0 && errno != ENOENT)
                return -errno;
        (void) rmdir(MOVED_FOLDER); /* if it was the last one */
        return 0;
}

/* One file; those that are none of ours, or were damaged, are left alone. One that cannot be read now may
 * be the one that is looked for. */
static int load(int folder, const char *name, const char *machine, struct moved_record **list,
                size_t *n)
{
        struct moved_record record CLEANUP_MOVED_RECORD = { .index = 0 }, *grown;
        char *text CLEANUP_FREE = NULL;
        size_t size;
        int r;

        if (name[0] == '.' || endswith(name, NAMESPACE_SUFFIX))
                return 0;
        r = read_file_at(folder, name, ENV_FILE_MAX_SIZE, &text, &size);
        if (r < 0)
                return r == -ENOENT || r == -EFBIG ? 0 : r;
        if (moved_record_parse(text, size, &record) < 0 || !streq(record.machine, machine) ||
            record.host != number_of_namespace())
                return 0;
        grown = reallocarray(*list, *n + 1, sizeof(*grown));
        if (!grown)
                return -ENOMEM;
        *list = grown;
        grown[(*n)++] = record;
        record.altnames = NULL;
        return 0;
}

int moved_records_load(const char *machine, struct moved_record **ret, size_t *ret_n)
{
        struct moved_record *list = NULL;
        int fd CLEANUP_FD = open_folder(), r = 0;
        DIR *folder;
        size_t n = 0;

        *ret = NULL;
        *ret_n = 0;
        if (fd < 0)
                return fd;
        folder = fdopendir(fd);
        if (!folder)
                return -errno;
        (void) TAKE_FD(fd);
        errno = 0;
        for (const struct dirent *e = readdir(folder); r >= 0 && e; e = readdir(folder)) {
                r = load(dirfd(folder), e->d_name, machine, &list, &n);
                errno = 0;
        }
        if (r >= 0 && errno != 0)
                r = -errno;
        (void) closedir(folder);
        if (r < 0) {
                moved_records_free(list, n);
                return r;
        }
        *ret = list;
        *ret_n = n;
        return 0;
}

void moved_records_free(struct moved_record *records, size_t n)
{
        for (size_t i = 0; i < n; i++)
                moved_record_done(&records[i]);
        free(records);
}

/* ---- the namespace ----------------------------------------------------------------------- */

static void namespace_path(const char *machine, char *ret, size_t size)
{
        (void) snprintf(ret, size, "%s/%s%s", MOVED_FOLDER, machine, NAMESPACE_SUFFIX);
}

int moved_namespace_keep(const char *machine, int netns_fd)
{
        char path[PATH_MAX], source[64];
        int mount_fd CLEANUP_FD = -1, file CLEANUP_FD = -1, r;

        (void) moved_namespace_forget(machine); /* that of a machine of this name which ended */
        namespace_path(machine, path, sizeof(path));
        (void) snprintf(source, sizeof(source), "/proc/self/fd/%d", netns_fd);
        file = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (file < 0)
                return -errno;
        mount_fd = mount_copy(AT_FDCWD, source, MOUNT_ONE);
        r = mount_fd < 0 ? mount_fd : mount_attach_path(mount_fd, path);
        if (r < 0)
                (void) unlink(path);
        return r;
}

int moved_namespace_open(const char *machine)
{
        char path[PATH_MAX];
        int fd;

        namespace_path(machine, path, sizeof(path));
        fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
        return fd < 0 ? -errno : fd;
}

int moved_namespace_forget(const char *machine)
{
        char path[PATH_MAX];
        int r;

        namespace_path(machine, path, sizeof(path));
        r = unlink(path) < 0 ? -errno : 0;
        if (r == -EBUSY) {
                r = mount_detach(path);
                if (r >= 0)
                        r = unlink(path) < 0 ? -errno : 0;
        }
        (void) rmdir(MOVED_FOLDER);
        return r == -ENOENT ? 0 : r;
}
