/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "basic/bpf-device.h"
#include "basic/failure.h"
#include "basic/strbuf.h"

/*
 * --property=NAME=VALUE: the part of systemd.resource-control(5) that is about a machine's
 * resources and devices. Three steps: read the text (pure), read what the values depend on from
 * the host, make rows for the group's files out of both (pure).
 */
enum property_id {
        PROPERTY_MEMORY_MAX,
        PROPERTY_MEMORY_HIGH,
        PROPERTY_MEMORY_LOW,
        PROPERTY_MEMORY_MIN,
        PROPERTY_MEMORY_SWAP_MAX,
        PROPERTY_CPU_QUOTA,
        PROPERTY_CPU_QUOTA_PERIOD,
        PROPERTY_CPU_WEIGHT,
        PROPERTY_ALLOWED_CPUS,
        PROPERTY_ALLOWED_MEMORY_NODES,
        PROPERTY_TASKS_MAX,
        PROPERTY_IO_WEIGHT,
        PROPERTY_IO_READ_BANDWIDTH_MAX,
        PROPERTY_IO_WRITE_BANDWIDTH_MAX,
        PROPERTY_IO_READ_IOPS_MAX,
        PROPERTY_IO_WRITE_IOPS_MAX,
        PROPERTY_DEVICE_ALLOW,
        PROPERTY_DEVICE_POLICY,
        PROPERTY_DESCRIPTION,
        PROPERTY_TASKS_ACCOUNTING,
        PROPERTY_MEMORY_ACCOUNTING,
        PROPERTY_CPU_ACCOUNTING,
        PROPERTY_IO_ACCOUNTING,
        N_PROPERTIES,
};

enum property_form {
        VALUE_NUMBER,   /* bytes, microseconds, tasks, weight, operations, boolean, policy */
        VALUE_PERCENT,  /* .number in hundredths of a percent */
        VALUE_INFINITY, /* no limit */
        VALUE_IDLE,     /* CPUWeight=idle */
        VALUE_TEXT,     /* only .text */
};

enum device_policy { DEVICE_POLICY_CLOSED, DEVICE_POLICY_AUTO, DEVICE_POLICY_STRICT };

struct property {
        enum property_id id;
        enum property_form form;
        uint64_t number;
        unsigned access; /* of DeviceAllow= */
        char *text;      /* a list, a path, a device pattern, a description; may be NULL */
        char *value;     /* as it was given */
};

struct property_set {
        struct property *items;
        size_t n;
};

#define CLEANUP_PROPERTY_SET CLEANUP(property_set_done)
void property_set_done(struct property_set *set);

/*
 * Adds "NAME=VALUE". A property that is given again replaces the earlier one; DeviceAllow= and the
 * limits per device add up; an empty value takes back what was given so far.
 * Returns 0, -EINVAL with a sentence in @failure, or -ENOMEM.
 */
int property_set_add(struct property_set *set, const char *assignment, struct failure *failure);

/* The property, or NULL. Borrowed. */
const struct property *property_set_find(const struct property_set *set, enum property_id id);

/* "MemoryMax" */
const char *property_name(enum property_id id);

/*
 * The property that @name is, as a number of enum property_id, if it may be a key of a settings file:
 * all that limit or count resources. -ENOENT: none. Pure.
 */
int property_from_key(const char *name);

/* The controller (CGROUP_*) that it needs; 0: none. */
unsigned property_controller(enum property_id id);

/* What values depend on. Tests write it by hand. */
struct property_device {
        const char *path; /* borrowed from the property */
        bool is_limit;    /* the disk behind a path of an IO limit; else the node of DeviceAllow= */
        char type;        /* 'c' or 'b' */
        unsigned major, minor;
};

struct property_facts {
        uint64_t memory_total; /* bytes */
        uint64_t tasks_total;  /* what TasksMax= is a part of */
        uint64_t page_size;
        char *proc_devices; /* text of /proc/devices, or NULL */
        struct property_device *devices;
        size_t n_devices;
};

#define CLEANUP_PROPERTY_FACTS CLEANUP(property_facts_done)
void property_facts_done(struct property_facts *facts);

/* Reads only what @set needs. Returns 0, or a negative errno with a sentence. */
int property_facts_read(const struct property_set *set, struct property_facts *ret,
                        struct failure *failure);

/* One write to a file of the group. */
struct property_row {
        const struct property *property; /* borrowed */
        unsigned controller;             /* CGROUP_* */
        const char *file;                /* a constant string */
        char text[128];
        char expected[128]; /* what the file then says; "": the kernel rewords it */
        char *long_text;    /* instead of .text if that is too short; owned */
};

void property_rows_free(struct property_row *rows, size_t n);

/* The rows of @set, in the order of writing; the caller gives them to property_rows_free(). Pure. */
int property_rows(const struct property_set *set, const struct property_facts *facts,
                  struct property_row **ret, size_t *ret_n, struct failure *failure);

/*
 * Whether @rule, one of the launcher's own, does not count: with DevicePolicy=strict those of the
 * standard nodes (null, zero, full, random, urandom, tty, ptmx). Pure.
 */
bool property_drops_device(const struct property_set *set, const struct device_rule *rule);

/* The device rules: @base without those that are dropped, plus DeviceAllow=. Caller frees. Pure. */
int property_device_rules(const struct property_set *set, const struct property_facts *facts,
                          const struct device_rule *base, size_t n_base, struct device_rule **ret,
                          size_t *ret_n, struct failure *failure);

/* For --dry-run: a line per property, "MemoryMax=20% (memory.max)", after @indent. Pure. */
void property_set_describe(const struct property_set *set, const char *indent, struct strbuf *out);

/* The name that /proc/devices gives a major number, copied; NULL: none, or no memory. Pure. */
char *proc_devices_name(const char *proc_devices, char type, unsigned major);
