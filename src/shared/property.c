/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "shared/property.h"

#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/sysinfo.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "basic/cgroup.h"
#include "basic/io.h"
#include "basic/log.h"
#include "basic/parse.h"
#include "basic/path.h"

/*
 * A property is a row of one table: what reads its value, which controller and file it goes to.
 * The set keeps typed values; rows() turns them into text for files, which is where percentages
 * meet the host's facts. cpu.max is one file for two properties, so its row is made for whichever
 * of them comes first.
 */

#define PERCENT_100 10000U /* in hundredths of a percent */
#define CPU_PERIOD_DEFAULT_US 100000U
#define CPU_PERIOD_MIN_US 1000U
#define CPU_PERIOD_MAX_US 1000000U
#define CPU_QUOTA_MIN_US 1000U
#define WEIGHT_MAX 10000U

typedef int read_value_fn(const char *value, struct property *p);

static read_value_fn read_memory, read_quota, read_period, read_cpu_weight, read_list, read_tasks,
        read_weight, read_bandwidth, read_iops, read_device, read_policy, read_text, read_boolean;

enum property_count { ONE, MANY };

static const struct {
        const char *name;
        read_value_fn *read;
        unsigned controller;
        const char *file;
        enum property_count count;
        const char *syntax; /* for the message about a bad value */
} table[] = {
        [PROPERTY_MEMORY_MAX] = { "MemoryMax", read_memory, CGROUP_MEMORY, "memory.max", ONE,
                                  "bytes with K, M, G or T, a percentage, or 'infinity'" },
        [PROPERTY_MEMORY_HIGH] = { "MemoryHigh", read_memory, CGROUP_MEMORY, "memory.high", ONE,
                                   "bytes with K, M, G or T, a percentage, or 'infinity'" },
        [PROPERTY_MEMORY_LOW] = { "MemoryLow", read_memory, CGROUP_MEMORY, "memory.low", ONE,
                                  "bytes with K, M, G or T, a percentage, or 'infinity'" },
        [PROPERTY_MEMORY_MIN] = { "MemoryMin", read_memory, CGROUP_MEMORY, "memory.min", ONE,
                                  "bytes with K, M, G or T, a percentage, or 'infinity'" },
        [PROPERTY_MEMORY_SWAP_MAX] = { "MemorySwapMax", read_memory, CGROUP_MEMORY,
                                       "memory.swap.max", ONE,
                                       "bytes with K, M, G or T, a percentage, or 'infinity'" },
        [PROPERTY_CPU_QUOTA] = { "CPUQuota", read_quota, CGROUP_CPU, "cpu.max", ONE,
                                 "a percentage of one CPU above zero, such as 150%" },
        [PROPERTY_CPU_QUOTA_PERIOD] = { "CPUQuotaPeriodSec", read_period, CGROUP_CPU, "cpu.max",
                                        ONE, "a time between 1ms and 1s" },
        [PROPERTY_CPU_WEIGHT] = { "CPUWeight", read_cpu_weight, CGROUP_CPU, "cpu.weight", ONE,
                                  "1 to 10000, or 'idle'" },
        [PROPERTY_ALLOWED_CPUS] = { "AllowedCPUs", read_list, CGROUP_CPUSET, "cpuset.cpus", ONE,
                                    "numbers and ranges, such as 0-3,7" },
        [PROPERTY_ALLOWED_MEMORY_NODES] = { "AllowedMemoryNodes", read_list, CGROUP_CPUSET,
                                            "cpuset.mems", ONE, "numbers and ranges, such as 0-1" },
        [PROPERTY_TASKS_MAX] = { "TasksMax", read_tasks, CGROUP_PIDS, "pids.max", ONE,
                                 "a number above zero, a percentage, or 'infinity'" },
        [PROPERTY_IO_WEIGHT] = { "IOWeight", read_weight, CGROUP_IO, "io.weight", ONE,
                                 "1 to 10000" },
        [PROPERTY_IO_READ_BANDWIDTH_MAX] = { "IOReadBandwidthMax", read_bandwidth, CGROUP_IO,
                                             "io.max", MANY,
                                             "an absolute path and bytes per second, such as "
                                             "'/dev/sda 5M'" },
        [PROPERTY_IO_WRITE_BANDWIDTH_MAX] = { "IOWriteBandwidthMax", read_bandwidth, CGROUP_IO,
                                              "io.max", MANY,
                                              "an absolute path and bytes per second, such as "
                                              "'/dev/sda 5M'" },
        [PROPERTY_IO_READ_IOPS_MAX] = { "IOReadIOPSMax", read_iops, CGROUP_IO, "io.max", MANY,
                                        "an absolute path and operations per second, such as "
                                        "'/dev/sda 1K'" },
        [PROPERTY_IO_WRITE_IOPS_MAX] = { "IOWriteIOPSMax", read_iops, CGROUP_IO, "io.max", MANY,
                                         "an absolute path and operations per second, such as "
                                         "'/dev/sda 1K'" },
        [PROPERTY_DEVICE_ALLOW] = { "DeviceAllow", read_device, 0, NULL, MANY,
                                    "a node below /dev, 'char-NAME' or 'block-NAME', and some of "
                                    "r, w and m" },
        [PROPERTY_DEVICE_POLICY] = { "DevicePolicy", read_policy, 0, NULL, ONE,
                                     "auto, closed or strict" },
        [PROPERTY_DESCRIPTION] = { "Description", read_text, 0, NULL, ONE, "any text" },
        [PROPERTY_TASKS_ACCOUNTING] = { "TasksAccounting", read_boolean, 0, NULL, ONE,
                                        "yes or no" },
        [PROPERTY_MEMORY_ACCOUNTING] = { "MemoryAccounting", read_boolean, 0, NULL, ONE,
                                         "yes or no" },
        [PROPERTY_CPU_ACCOUNTING] = { "CPUAccounting", read_boolean, 0, NULL, ONE, "yes or no" },
        [PROPERTY_IO_ACCOUNTING] = { "IOAccounting", read_boolean, 0, NULL, ONE, "yes or no" },
};
static_assert(ARRAY_SIZE(table) == N_PROPERTIES, "every property has a row");

const char *property_name(enum property_id id)
{
        return table[id].name;
}

unsigned property_controller(enum property_id id)
{
        return table[id].controller;
}

static void property_done(struct property *p)
{
        free(p->text);
        free(p->value);
}

void property_set_done(struct property_set *set)
{
        for (size_t i = 0; i < set->n; i++)
                property_done(&set->items[i]);
        free(set->items);
        *set = (struct property_set){ .items = NULL };
}

/* Readers of values. They return 0, -EINVAL, -ERANGE or -ENOMEM. */

static bool read_infinity(const char *value, struct property *p)
{
        if (!streq(value, "infinity"))
                return false;
        p->form = VALUE_INFINITY;
        return true;
}

/* "20%", from 0.01% to 100%. */
static int read_share(const char *value, struct property *p)
{
        int r = parse_percent(value, &p->number);

        if (r < 0)
                return r;
        p->form = VALUE_PERCENT;
        return p->number <= PERCENT_100 ? 0 : -ERANGE;
}

static int read_memory(const char *value, struct property *p)
{
        bool may_be_zero = p->id != PROPERTY_MEMORY_MAX && p->id != PROPERTY_MEMORY_HIGH;
        int r = read_infinity(value, p) ? 1
                : endswith(value, "%")  ? read_share(value, p)
                                        : parse_size(value, &p->number);

        if (r != 0)
                return MIN_OF(r, 0);
        if (p->number == UINT64_MAX)
                p->form = VALUE_INFINITY;
        /* A machine without memory is killed before it can say why. */
        return p->number > 0 || may_be_zero ? 0 : -ERANGE;
}

static int read_quota(const char *value, struct property *p)
{
        int r = parse_percent(value, &p->number);

        if (r < 0)
                return r;
        p->form = VALUE_PERCENT;
        return p->number > 0 ? 0 : -ERANGE;
}

static int read_period(const char *value, struct property *p)
{
        int r = parse_timespan_us(value, &p->number);

        if (r < 0)
                return r;
        return p->number >= CPU_PERIOD_MIN_US && p->number <= CPU_PERIOD_MAX_US ? 0 : -ERANGE;
}

static int read_weight(const char *value, struct property *p)
{
        unsigned long v = 0;
        int r = parse_ulong(value, 1, WEIGHT_MAX, &v);

        p->number = v;
        return r;
}

static int read_cpu_weight(const char *value, struct property *p)
{
        if (!streq(value, "idle"))
                return read_weight(value, p);
        p->form = VALUE_IDLE;
        return 0;
}

static int read_list(const char *value, struct property *p)
{
        p->form = VALUE_TEXT;
        return parse_cpu_list(value, &p->text);
}

static int read_tasks(const char *value, struct property *p)
{
        unsigned long v = 0;
        int r;

        if (read_infinity(value, p))
                return 0;
        if (endswith(value, "%"))
                return read_share(value, p) < 0 || p->number == 0 ? -EINVAL : 0;
        r = parse_ulong(value, 1, UINT32_MAX, &v);
        p->number = v;
        return r;
}

/* "PATH REST": keeps the path, gives the rest (borrowed from @value). */
static int read_path(const char *value, struct property *p, const char **ret_rest)
{
        size_t n = strcspn(value, " ");

        if (value[0] != '/' || value[n] == '\0')
                return -EINVAL;
        *ret_rest = value + n + strspn(value + n, " ");
        p->text = strndup(value, n);
        if (!p->text)
                return -ENOMEM;
        return path_is_normalized(p->text) ? 0 : -EINVAL;
}

/* A number with K, M, G or T by 1000, since speeds are counted so. */
static int read_decimal(const char *value, uint64_t *ret)
{
        static const char suffixes[] = "KMGTPE";
        size_t n = strspn(value, "0123456789");
        const char *suffix = value[n] ? strchr(suffixes, value[n]) : NULL;
        char digits[24];
        unsigned long v = 0;
        uint64_t result;
        int r;

        if (n >= sizeof(digits) || (value[n] && (!suffix || value[n + 1])))
                return -EINVAL;
        (void) snprintf(digits, sizeof(digits), "%.*s", (int) n, value);
        r = parse_ulong(digits, 1, UINT64_MAX, &v);
        if (r < 0)
                return r;
        result = v;
        if (suffix)
                for (ptrdiff_t i = suffix - suffixes; i >= 0; i--)
                        if (__builtin_mul_overflow(result, 1000, &result))
                                return -ERANGE;
        *ret = result;
        return 0;
}

static int read_io_limit(const char *value, struct property *p)
{
        const char *rest = NULL;
        int r = read_path(value, p, &rest);

        if (r < 0)
                return r;
        return read_infinity(rest, p) ? 0 : read_decimal(rest, &p->number);
}

static int read_bandwidth(const char *value, struct property *p)
{
        return read_io_limit(value, p);
}

static int read_iops(const char *value, struct property *p)
{
        return read_io_limit(value, p);
}

static bool device_pattern_is_valid(const char *text)
{
        const char *name = startswith(text, "char-");

        name = name ? name : startswith(text, "block-");
        if (name)
                return *name != '\0' && !strchr(name, '/');
        return startswith(text, "/dev/") && path_is_normalized(text);
}

static int read_device(const char *value, struct property *p)
{
        size_t n = strcspn(value, " ");
        const char *access = value + n + strspn(value + n, " ");

        p->form = VALUE_TEXT;
        p->access = DEVICE_ALL;
        p->text = strndup(value, n);
        if (!p->text)
                return -ENOMEM;
        if (!device_pattern_is_valid(p->text))
                return -EINVAL;
        return *access ? device_access_parse(access, &p->access) : 0;
}

static const char *const policy_names[] = {
        [DEVICE_POLICY_CLOSED] = "closed",
        [DEVICE_POLICY_AUTO] = "auto",
        [DEVICE_POLICY_STRICT] = "strict",
};

static int read_policy(const char *value, struct property *p)
{
        for (size_t i = 0; i < ARRAY_SIZE(policy_names); i++)
                if (streq(value, policy_names[i])) {
                        p->number = i;
                        return 0;
                }
        return -EINVAL;
}

static int read_text(const char *value, struct property *p)
{
        p->form = VALUE_TEXT;
        p->text = strdup(value);
        return p->text ? 0 : -ENOMEM;
}

static int read_boolean(const char *value, struct property *p)
{
        bool b = false;
        int r = parse_boolean(value, &b);

        p->number = b;
        return r;
}

/* The set */

static int find_row(const char *name, size_t n)
{
        for (size_t i = 0; i < ARRAY_SIZE(table); i++)
                if (strlen(table[i].name) == n && strncmp(table[i].name, name, n) == 0)
                        return (int) i;
        return -ENOENT;
}

int property_from_key(const char *name)
{
        int row = find_row(name, strlen(name));

        /* Names and other words about a unit are not a matter of resources. */
        return row == PROPERTY_DESCRIPTION ? -ENOENT : row;
}

static int fail_unknown(const char *assignment, struct failure *failure)
{
        struct strbuf names CLEANUP_STRBUF = STRBUF_NULL;

        for (size_t i = 0; i < ARRAY_SIZE(table); i++)
                strbuf_addf(&names, "%s%s", i > 0 ? ", " : "", table[i].name);
        return failure_set(failure, -EINVAL,
                           "Property '%.*s' (--property=%s) is not supported. Supported are: %s.",
                           (int) strcspn(assignment, "="), assignment, assignment,
                           strbuf_text(&names));
}

static void remove_all(struct property_set *set, enum property_id id)
{
        size_t kept = 0;

        for (size_t i = 0; i < set->n; i++)
                if (set->items[i].id == id)
                        property_done(&set->items[i]);
                else
                        set->items[kept++] = set->items[i];
        set->n = kept;
}

static int append(struct property_set *set, struct property *p)
{
        struct property *grown = reallocarray(set->items, set->n + 1, sizeof(*grown));

        if (!grown) {
                property_done(p);
                return -ENOMEM;
        }
        set->items = grown;
        set->items[set->n++] = *p;
        return 0;
}

int property_set_add(struct property_set *set, const char *assignment, struct failure *failure)
{
        size_t n = strcspn(assignment, "=");
        const char *value = assignment + n + (assignment[n] == '=');
        struct property p = { .id = N_PROPERTIES };
        int r, row = find_row(assignment, n);

        if (assignment[n] == '\0')
                return failure_set(failure, -EINVAL,
                                   "'--property=%s' is not of the form NAME=VALUE.", assignment);
        if (row < 0)
                return fail_unknown(assignment, failure);
        p.id = (enum property_id) row;
        if (*value == '\0') {
                remove_all(set, p.id);
                return 0;
        }
        p.value = strdup(value);
        r = p.value ? table[row].read(value, &p) : -ENOMEM;
        if (r < 0) {
                property_done(&p);
                return r == -ENOMEM ? failure_set(failure, r, "Out of memory.")
                                    : failure_set(failure, -EINVAL,
                                                  "'%s' is not a value for property '%s': it takes "
                                                  "%s.",
                                                  value, table[row].name, table[row].syntax);
        }
        if (table[row].count == ONE)
                remove_all(set, p.id);
        return append(set, &p);
}

const struct property *property_set_find(const struct property_set *set, enum property_id id)
{
        for (size_t i = 0; set && i < set->n; i++)
                if (set->items[i].id == id)
                        return &set->items[i];
        return NULL;
}

void property_set_describe(const struct property_set *set, const char *indent, struct strbuf *out)
{
        for (size_t i = 0; set && i < set->n; i++) {
                const struct property *p = &set->items[i];
                const char *file = p->form == VALUE_IDLE ? "cpu.idle" : table[p->id].file;

                strbuf_addf(out, "%s%s=%s", indent, table[p->id].name, p->value);
                if (file)
                        strbuf_addf(out, " (%s)", file);
                strbuf_add(out, "\n");
        }
}

/* Facts */

void property_facts_done(struct property_facts *facts)
{
        free(facts->proc_devices);
        free(facts->devices);
        *facts = (struct property_facts){ .memory_total = 0 };
}

static uint64_t read_number(const char *path)
{
        char line[32];
        unsigned long v = UINT32_MAX;

        if (read_line_at(AT_FDCWD, path, line, sizeof(line)) >= 0)
                (void) parse_ulong(line, 1, ULONG_MAX, &v);
        return v;
}

static bool is_io_limit(enum property_id id)
{
        return table[id].count == MANY && table[id].controller == CGROUP_IO;
}

/* A partition has no limits of its own: the kernel wants the disk. */
static void partition_to_disk(struct property_device *d)
{
        char path[64], line[32];
        unsigned major, minor;

        (void) snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/partition", d->major, d->minor);
        if (access(path, F_OK) < 0)
                return;
        (void) snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/../dev", d->major, d->minor);
        if (read_line_at(AT_FDCWD, path, line, sizeof(line)) >= 0 &&
            sscanf(line, "%u:%u", &major, &minor) == 2) { /* NOLINT(cert-err34-c): sysfs */
                d->major = major;
                d->minor = minor;
        }
}

static int read_node(const struct property *p, struct property_device *d, struct failure *failure)
{
        bool limit = is_io_limit(p->id);
        struct stat st;
        dev_t number;

        if (stat(p->text, &st) < 0)
                return failure_set(failure, -errno, "Cannot find '%s' (property %s=%s): %m.",
                                   p->text, table[p->id].name, p->value);
        if (!limit && !S_ISBLK(st.st_mode) && !S_ISCHR(st.st_mode))
                return failure_set(failure, -ENODEV, "'%s' (property %s=%s) is not a device node.",
                                   p->text, table[p->id].name, p->value);
        number = S_ISBLK(st.st_mode) || !limit ? st.st_rdev : st.st_dev;
        if (limit && major(number) == 0)
                return failure_set(failure, -ENODEV,
                                   "'%s' (property %s=%s) is neither a block device nor on one.",
                                   p->text, table[p->id].name, p->value);
        *d = (struct property_device){ .path = p->text,
                                       .is_limit = limit,
                                       .type = S_ISCHR(st.st_mode) && !limit ? 'c' : 'b',
                                       .major = major(number),
                                       .minor = minor(number) };
        if (limit)
                partition_to_disk(d);
        return 0;
}

static int read_nodes(const struct property_set *set, struct property_facts *facts,
                      struct failure *failure)
{
        facts->devices = calloc(set->n + 1, sizeof(*facts->devices));
        if (!facts->devices)
                return -ENOMEM;
        for (size_t i = 0; i < set->n; i++) {
                const struct property *p = &set->items[i];
                int r;

                if (!p->text || p->text[0] != '/' ||
                    (p->id != PROPERTY_DEVICE_ALLOW && !is_io_limit(p->id)))
                        continue;
                r = read_node(p, &facts->devices[facts->n_devices], failure);
                if (r < 0)
                        return r;
                facts->n_devices++;
        }
        return 0;
}

static void read_totals(const struct property *p, struct property_facts *facts)
{
        struct sysinfo info;

        facts->page_size = (uint64_t) sysconf(_SC_PAGESIZE);
        if (p->form != VALUE_PERCENT)
                return;
        if (table[p->id].controller == CGROUP_MEMORY && sysinfo(&info) == 0)
                facts->memory_total = (uint64_t) info.totalram * info.mem_unit;
        if (p->id == PROPERTY_TASKS_MAX)
                facts->tasks_total = MIN_OF(read_number("/proc/sys/kernel/pid_max"),
                                            read_number("/proc/sys/kernel/threads-max"));
}

int property_facts_read(const struct property_set *set, struct property_facts *ret,
                        struct failure *failure)
{
        struct property_facts facts CLEANUP_PROPERTY_FACTS = { .memory_total = 0 };
        int r;

        for (size_t i = 0; i < set->n; i++) {
                const struct property *p = &set->items[i];

                read_totals(p, &facts);
                if (p->id != PROPERTY_DEVICE_ALLOW || p->text[0] == '/' || facts.proc_devices)
                        continue;
                r = read_file_at(AT_FDCWD, "/proc/devices", 1U << 20, &facts.proc_devices, NULL);
                if (r < 0)
                        return failure_set(failure, r, "Cannot read '/proc/devices' (%s=%s): %s.",
                                           table[p->id].name, p->value, error_text(r));
        }
        if (set->n > 0) {
                r = read_nodes(set, &facts, failure);
                if (r < 0)
                        return r;
        }
        *ret = (struct property_facts){ .memory_total = facts.memory_total,
                                        .tasks_total = facts.tasks_total,
                                        .page_size = facts.page_size,
                                        .proc_devices = TAKE_PTR(facts.proc_devices),
                                        .devices = TAKE_PTR(facts.devices),
                                        .n_devices = facts.n_devices };
        return 0;
}

static const struct property_device *find_device(const struct property_facts *facts,
                                                 const struct property *p)
{
        for (size_t i = 0; i < facts->n_devices; i++)
                if (facts->devices[i].is_limit == is_io_limit(p->id) &&
                    streq(facts->devices[i].path, p->text))
                        return &facts->devices[i];
        return NULL;
}

/* Rows */

void property_rows_free(struct property_row *rows, size_t n)
{
        for (size_t i = 0; i < n; i++)
                free(rows[i].long_text);
        free(rows);
}

/* @part of @total, without overflow. */
static uint64_t share_of(uint64_t total, uint64_t part)
{
        return (uint64_t) ((unsigned __int128) total * part / PERCENT_100);
}

static void text_memory(const struct property *p, const struct property_facts *f,
                        struct property_row *row)
{
        uint64_t page = f->page_size ? f->page_size : 1, v = p->number;

        if (p->form == VALUE_INFINITY) {
                (void) snprintf(row->text, sizeof(row->text), "max");
                (void) snprintf(row->expected, sizeof(row->expected), "max");
                return;
        }
        if (p->form == VALUE_PERCENT)
                v = share_of(f->memory_total, p->number);
        (void) snprintf(row->text, sizeof(row->text), "%llu", (unsigned long long) v);
        /* The kernel counts whole pages. */
        (void) snprintf(row->expected, sizeof(row->expected), "%llu",
                        (unsigned long long) v / page * page);
        if (v >= INT64_MAX / page * page)
                row->expected[0] = '\0';
}

static void text_tasks(const struct property *p, const struct property_facts *f,
                       struct property_row *row)
{
        uint64_t v = p->form == VALUE_PERCENT
                             ? MAX_OF(share_of(f->tasks_total, p->number), (uint64_t) 1)
                             : p->number;

        if (p->form == VALUE_INFINITY)
                (void) snprintf(row->text, sizeof(row->text), "max");
        else
                (void) snprintf(row->text, sizeof(row->text), "%llu", (unsigned long long) v);
        memcpy(row->expected, row->text, sizeof(row->expected));
}

static void text_weight(const struct property *p, struct property_row *row)
{
        if (p->form == VALUE_IDLE) {
                row->file = "cpu.idle";
                (void) snprintf(row->text, sizeof(row->text), "1");
        } else
                (void) snprintf(row->text, sizeof(row->text), "%s%llu",
                                p->id == PROPERTY_IO_WEIGHT ? "default " : "",
                                (unsigned long long) p->number);
        if (p->id == PROPERTY_CPU_WEIGHT)
                memcpy(row->expected, row->text, sizeof(row->expected));
}

/*
 * CPUQuota= and its period. The kernel wants at least 1 ms in each period, so a small quota gets a
 * longer one.
 */
static void text_cpu_max(const struct property_set *set, struct property_row *row)
{
        const struct property *quota = property_set_find(set, PROPERTY_CPU_QUOTA);
        const struct property *period = property_set_find(set, PROPERTY_CPU_QUOTA_PERIOD);
        uint64_t us = period ? period->number : CPU_PERIOD_DEFAULT_US, part;

        if (!quota) {
                (void) snprintf(row->text, sizeof(row->text), "max %llu", (unsigned long long) us);
        } else {
                if (share_of(us, quota->number) < CPU_QUOTA_MIN_US)
                        us = MIN_OF((CPU_QUOTA_MIN_US * (uint64_t) PERCENT_100 + quota->number -
                                     1) / quota->number,
                                    (uint64_t) CPU_PERIOD_MAX_US);
                part = MAX_OF(share_of(us, quota->number), (uint64_t) CPU_QUOTA_MIN_US);
                (void) snprintf(row->text, sizeof(row->text), "%llu %llu",
                                (unsigned long long) part, (unsigned long long) us);
        }
        memcpy(row->expected, row->text, sizeof(row->expected));
}

static int text_io_limit(const struct property *p, const struct property_facts *f,
                         struct property_row *row)
{
        static const char *const keys[] = {
                [PROPERTY_IO_READ_BANDWIDTH_MAX] = "rbps",
                [PROPERTY_IO_WRITE_BANDWIDTH_MAX] = "wbps",
                [PROPERTY_IO_READ_IOPS_MAX] = "riops",
                [PROPERTY_IO_WRITE_IOPS_MAX] = "wiops",
        };
        const struct property_device *d = find_device(f, p);

        if (!d)
                return -ENODEV;
        if (p->form == VALUE_INFINITY)
                (void) snprintf(row->text, sizeof(row->text), "%u:%u %s=max", d->major, d->minor,
                                keys[p->id]);
        else
                (void) snprintf(row->text, sizeof(row->text), "%u:%u %s=%llu", d->major, d->minor,
                                keys[p->id], (unsigned long long) p->number);
        return 0;
}

static int text_list(const struct property *p, struct property_row *row)
{
        if (strlen(p->text) < sizeof(row->text)) {
                (void) snprintf(row->text, sizeof(row->text), "%s", p->text);
                return 0;
        }
        row->long_text = strdup(p->text);
        return row->long_text ? 0 : -ENOMEM;
}

static int row_fill(const struct property_set *set, const struct property *p,
                    const struct property_facts *facts, struct property_row *row)
{
        *row = (struct property_row){ .property = p,
                                      .controller = table[p->id].controller,
                                      .file = table[p->id].file };
        if (is_io_limit(p->id))
                return text_io_limit(p, facts, row);
        if (p->id == PROPERTY_ALLOWED_CPUS || p->id == PROPERTY_ALLOWED_MEMORY_NODES)
                return text_list(p, row);
        if (p->id == PROPERTY_CPU_QUOTA || p->id == PROPERTY_CPU_QUOTA_PERIOD)
                text_cpu_max(set, row);
        else if (p->id == PROPERTY_CPU_WEIGHT || p->id == PROPERTY_IO_WEIGHT)
                text_weight(p, row);
        else if (p->id == PROPERTY_TASKS_MAX)
                text_tasks(p, facts, row);
        else
                text_memory(p, facts, row);
        return 0;
}

int property_rows(const struct property_set *set, const struct property_facts *facts,
                  struct property_row **ret, size_t *ret_n, struct failure *failure)
{
        struct property_row *rows = calloc(set->n + 1, sizeof(*rows));
        size_t n = 0;

        if (!rows)
                return failure_set(failure, -ENOMEM, "Out of memory.");
        for (size_t i = 0; i < set->n; i++) {
                const struct property *p = &set->items[i];
                int r;

                if (!table[p->id].file || (p->id == PROPERTY_CPU_QUOTA_PERIOD &&
                                           property_set_find(set, PROPERTY_CPU_QUOTA)))
                        continue;
                r = row_fill(set, p, facts, &rows[n++]);
                if (r < 0) {
                        property_rows_free(rows, n);
                        return failure_set(failure, r, "Cannot apply property %s=%s: %s.",
                                           table[p->id].name, p->value, error_text(r));
                }
        }
        *ret = rows;
        *ret_n = n;
        return 0;
}

/* Devices */

/* Steps through "Character devices:" and "Block devices:" of /proc/devices (proc(5)). */
struct major_line {
        const char *next;
        char type, name[64];
        unsigned major;
};

static bool next_major(struct major_line *l)
{
        while (*l->next) {
                const char *line = l->next;
                int fields = sscanf(line, " %u %63[^\n]", /* NOLINT(cert-err34-c): procfs */
                                    &l->major, l->name);

                l->next += strcspn(line, "\n");
                l->next += *l->next == '\n';
                if (startswith(line, "Character"))
                        l->type = 'c';
                else if (startswith(line, "Block"))
                        l->type = 'b';
                else if (fields == 2 && l->type)
                        return true;
        }
        return false;
}

char *proc_devices_name(const char *proc_devices, char type, unsigned major)
{
        struct major_line l = { .next = proc_devices };

        while (next_major(&l))
                if (l.type == type && l.major == major)
                        return strdup(l.name);
        return NULL;
}

struct rule_list {
        struct device_rule *items;
        size_t n;
};

static int rule_add(struct rule_list *list, struct device_rule rule)
{
        struct device_rule *grown = reallocarray(list->items, list->n + 1, sizeof(*grown));

        if (!grown)
                return -ENOMEM;
        list->items = grown;
        list->items[list->n++] = rule;
        return 0;
}

static bool is_standard_node(const struct device_rule *rule)
{
        static const struct {
                int major, minor;
        } nodes[] = { { 1, 3 }, { 1, 5 }, { 1, 7 }, { 1, 8 }, { 1, 9 }, { 5, 0 }, { 5, 2 } };

        for (size_t i = 0; i < ARRAY_SIZE(nodes); i++)
                if (rule->type == 'c' && rule->major == nodes[i].major &&
                    rule->minor == nodes[i].minor)
                        return true;
        return false;
}

bool property_drops_device(const struct property_set *set, const struct device_rule *rule)
{
        const struct property *policy = property_set_find(set, PROPERTY_DEVICE_POLICY);

        return policy && policy->number == DEVICE_POLICY_STRICT && is_standard_node(rule);
}

static int add_matching_majors(struct rule_list *list, const struct property *p,
                               const char *proc_devices)
{
        const char *pattern = startswith(p->text, "char-");
        char type = pattern ? 'c' : 'b';
        struct major_line l = { .next = proc_devices ? proc_devices : "" };
        size_t before = list->n;
        int r;

        pattern = pattern ? pattern : p->text + strlen("block-");
        if (streq(pattern, "*"))
                return rule_add(list, (struct device_rule){ type, -1, -1, p->access });
        while (next_major(&l)) {
                if (l.type != type || fnmatch(pattern, l.name, 0) != 0)
                        continue;
                r = rule_add(list, (struct device_rule){ type, (int) l.major, -1, p->access });
                if (r < 0)
                        return r;
        }
        /* A pattern may match nothing yet; a name that the kernel does not know is a mistake. */
        return list->n == before && !strpbrk(pattern, "*?[") ? -ENODEV : 0;
}

static int add_allowed(struct rule_list *list, const struct property *p,
                       const struct property_facts *facts)
{
        const struct property_device *d;

        if (p->text[0] != '/')
                return add_matching_majors(list, p, facts->proc_devices);
        d = find_device(facts, p);
        if (!d)
                return -ENODEV;
        return rule_add(list,
                        (struct device_rule){ d->type, (int) d->major, (int) d->minor, p->access });
}

int property_device_rules(const struct property_set *set, const struct property_facts *facts,
                          const struct device_rule *base, size_t n_base, struct device_rule **ret,
                          size_t *ret_n, struct failure *failure)
{
        struct rule_list list = { .items = NULL };
        int r = 0;

        for (size_t i = 0; i < n_base && r >= 0; i++)
                if (!property_drops_device(set, &base[i]))
                        r = rule_add(&list, base[i]);
        for (size_t i = 0; set && i < set->n && r >= 0; i++) {
                const struct property *p = &set->items[i];

                if (p->id != PROPERTY_DEVICE_ALLOW)
                        continue;
                r = add_allowed(&list, p, facts);
                if (r == -ENODEV)
                        (void) failure_set(failure, r,
                                           "The kernel knows no device '%s' (property %s=%s); see "
                                           "/proc/devices. Is its module loaded?",
                                           p->text, table[p->id].name, p->value);
        }
        if (r < 0) {
                free(list.items);
                return failure_set(failure, r, "Out of memory.");
        }
        *ret = list.items;
        *ret_n = list.n;
        return 0;
}
