/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "nspawn/options.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <linux/capability.h>
#include <sched.h>
#include <stdio.h>
#include <unistd.h>

#include "basic/parse.h"
#include "basic/strv.h"
#include "nspawn/setters.h"

/* ---- the table --------------------------------------------------------------------------- */

#define AT(name) offsetof(struct container_config, name)
#define HEADING(text)                                                                              \
        {                                                                                          \
                .help = (text)                                                                     \
        }
#define REPEAT OPTION_REPEATABLE
#define TRUSTED OPTION_TRUSTED
#define WORDS OPTION_WORDS
#define RESETS OPTION_RESETS
#define EARLY OPTION_EARLY
#define SECRET OPTION_SECRET
#define STRICT OPTION_STRICT
#define CHOICE OPTION_CHOICE
#define PLANNED OPTION_PLANNED, .apply = refuse_planned

/* clang-format off */
const struct option_row option_rows[] = {
        HEADING("General"),
        { "help", 'h', TAKES_NOTHING, NULL, NULL, NULL, OPTION_ENDS, GROUP_NONE, set_action, 0,
          "Show this text" },
        { "version", 0, TAKES_NOTHING, NULL, NULL, NULL, OPTION_ENDS, GROUP_NONE, set_action, 0,
          "Show the version" },
        { "dry-run", 0, TAKES_NOTHING, NULL, NULL, NULL, 0, GROUP_NONE, set_action, 0,
          "Show what would be done, and change nothing; needs no privileges" },
        { "json", 0, TAKES_NOTHING, NULL, NULL, NULL, 0, GROUP_NONE, set_true, AT(json),
          "Show it as JSON" },
        { "quiet", 'q', TAKES_NOTHING, NULL, NULL, NULL, 0, GROUP_NONE, set_true, AT(quiet),
          "No messages besides warnings and errors" },
        { "no-pager", 0, TAKES_NOTHING, NULL, NULL, NULL, 0, GROUP_NONE, ignore_setting, 0,
          "Accepted; no pager is ever used" },
        { "settings", 0, TAKES_VALUE, "MODE", NULL, NULL, EARLY, GROUP_NONE, set_settings, 0,
          "Use of .nspawn files: yes, no, override, trusted" },
        { "cleanup", 0, TAKES_NOTHING, NULL, NULL, NULL, EARLY, GROUP_NONE, set_action, 0,
          "Remove what a dead container left" },
        { "no-ask-password", 0, TAKES_NOTHING, NULL, NULL, NULL, 0, GROUP_NONE, ignore_setting, 0,
          "Accepted; nobody is ever asked for a password" },
        { "system", 0, TAKES_NOTHING, NULL, NULL, NULL, 0, GROUP_NONE, ignore_setting, 0,
          "Work with the system's registry (the default for root)" },
        { "background", 0, TAKES_VALUE, "COLOR", NULL, NULL, 0, GROUP_NONE, set_background, 0,
          "Tint of the terminal while the container has it" },

        HEADING("Image"),
        { "directory", 'D', TAKES_VALUE, "PATH", NULL, NULL, EARLY, GROUP_DIRECTORY, set_directory,
          0,
          "Root directory of the container" },
        { "template", 0, TAKES_VALUE, "PATH", NULL, NULL, EARLY, GROUP_DIRECTORY, set_template, 0,
          "Make the root directory from this tree if it is missing" },
        { "ephemeral", 'x', TAKES_NOTHING, NULL, "Exec", "Ephemeral", RESETS | TRUSTED | EARLY,
          GROUP_EPHEMERAL, set_ephemeral, 0, "Forget all changes of the tree at the end" },
        { "ephemeral-method", 0, TAKES_VALUE, "METHOD", "Exec", "EphemeralMethod",
          RESETS | TRUSTED, GROUP_NONE, set_ephemeral_method, 0,
          "How: auto, snapshot, overlay, reflink, copy" },
        { "ephemeral-directory", 0, TAKES_VALUE, "PATH", "Exec", "EphemeralDirectory",
          RESETS | TRUSTED, GROUP_NONE, set_ephemeral_directory, 0,
          "Where changes are kept until the end; default is beside the tree" },
        { "image", 'i', TAKES_VALUE, "PATH", NULL, NULL, PLANNED, .help =
          "Disk image with the root file system" },
        { "image-policy", 0, TAKES_VALUE, "POLICY", NULL, NULL, PLANNED, .help =
          "Which partitions may be used" },
        { "oci-bundle", 0, TAKES_VALUE, "PATH", NULL, NULL, PLANNED, .help =
          "OCI runtime bundle" },
        { "mstack", 0, TAKES_VALUE, "PATH", NULL, NULL, PLANNED, .help =
          "Stack of layers with the root file system" },
        { "read-only", 0, TAKES_NOTHING, NULL, "Files", "ReadOnly", RESETS, GROUP_READ_ONLY,
          set_boolean, AT(read_only), "Mount the root read-only" },
        { "volatile", 0, TAKES_OPTIONAL, "MODE", "Files", "Volatile", RESETS, GROUP_VOLATILE,
          set_volatile, 0, "Forget changes: no, yes, state, overlay" },
        { "root-hash", 0, TAKES_VALUE, "HASH", NULL, NULL, PLANNED, .help = "dm-verity root hash" },
        { "root-hash-sig", 0, TAKES_VALUE, "SIG", NULL, NULL, PLANNED, .help =
          "Signature of the root hash" },
        { "verity-data", 0, TAKES_VALUE, "PATH", NULL, NULL, PLANNED, .help =
          "File with verity data" },
        { "pivot-root", 0, TAKES_VALUE, "NEW[:OLD]", "Exec", "PivotRoot", RESETS,
          GROUP_PIVOT_ROOT, set_pivot_root, 0, "Make a directory of the tree the root" },

        HEADING("Execution"),
        { "as-pid2", 'a', TAKES_NOTHING, NULL, "Exec", "ProcessTwo", 0, GROUP_START_MODE,
          set_start_mode, 0, "Run the command under a small init" },
        { "boot", 'b', TAKES_NOTHING, NULL, "Exec", "Boot", 0, GROUP_START_MODE, set_start_mode, 0,
          "Run the system's own init" },
        { "chdir", 0, TAKES_VALUE, "PATH", "Exec", "WorkingDirectory", RESETS,
          GROUP_WORKING_DIRECTORY, set_working_directory, 0, "Working directory of the command" },
        { "setenv", 'E', TAKES_VALUE, "NAME[=VALUE]", "Exec", "Environment",
          REPEAT | WORDS | RESETS, GROUP_ENVIRONMENT, set_environment, 0,
          "Set a variable for the first process" },
        { "uid", 'u', TAKES_VALUE, "USER", "Exec", "User", RESETS, GROUP_USER, set_user, 0,
          "Run the command as this user of the container" },
        { "user", 0, TAKES_VALUE, "USER", NULL, NULL, OPTION_HIDDEN, GROUP_USER, set_user, 0,
          "Another name of --uid=" },
        { "kill-signal", 0, TAKES_VALUE, "SIGNAL", "Exec", "KillSignal", 0, GROUP_KILL_SIGNAL,
          set_kill_signal, 0, "What asks the first process to shut down" },
        { "stop-timeout", 0, TAKES_VALUE, "TIME", "Lifecycle", "StopTimeout", RESETS | TRUSTED, GROUP_NONE,
          set_stop_timeout, 0, "How long a shutdown may take; default 90s with --boot, else 10s" },
        { "time", 0, TAKES_VALUE, "MODE", "Lifecycle", "Time", RESETS, GROUP_NONE, set_time, 0,
          "Whose uptime is seen inside: host, private; auto is private with --boot" },
        { "notify-ready", 0, TAKES_VALUE, "BOOL", "Exec", "NotifyReady", RESETS, GROUP_NOTIFY_READY,
          set_boolean, AT(notify_ready), "Ready only when the first process says so" },
        { "suppress-sync", 0, TAKES_VALUE, "BOOL", "Exec", "SuppressSync", RESETS, GROUP_OTHER,
          set_boolean, AT(suppress_sync), "Make sync() and the like do nothing" },

        HEADING("Identity"),
        { "machine", 'M', TAKES_VALUE, "NAME", NULL, NULL, EARLY, GROUP_NONE, set_machine, 0,
          "Name of the machine" },
        { "hostname", 0, TAKES_VALUE, "NAME", "Exec", "Hostname", RESETS, GROUP_HOSTNAME,
          set_hostname, 0, "Host name inside; default is the machine's name" },
        { "uuid", 0, TAKES_VALUE, "ID", "Exec", "MachineID", TRUSTED, GROUP_MACHINE_ID, set_uuid, 0,
          "Machine id, if the tree has none" },

        HEADING("Resources and registration"),
        { "slice", 'S', TAKES_VALUE, "SLICE", NULL, NULL, 0, GROUP_SLICE, set_slice, 0,
          "Slice for the machine's cgroup" },
        { "property", 0, TAKES_VALUE, "NAME=VALUE", "Resources", "*", REPEAT | RESETS | TRUSTED,
          GROUP_PROPERTY, set_property, 0, "Resource property of the machine's cgroup" },
        { "register", 0, TAKES_VALUE, "MODE", NULL, NULL, 0, GROUP_NONE, set_register, 0,
          "Tell the registry: yes, no, auto" },
        { "keep-unit", 0, TAKES_NOTHING, NULL, NULL, NULL, 0, GROUP_NONE, set_true, AT(keep_unit),
          "Stay in the caller's cgroup" },

        HEADING("User namespaces"),
        { "private-users", 0, TAKES_OPTIONAL, "MODE", "Exec", "PrivateUsers", TRUSTED, GROUP_USERNS,
          set_private_users, 0, "yes, no, pick, identity, BASE[:COUNT]" },
        { NULL, 'U', TAKES_NOTHING, NULL, NULL, NULL, 0, GROUP_USERNS, set_userns_pick, 0,
          "Short for --private-users=pick --private-users-ownership=auto" },
        { "private-users-ownership", 0, TAKES_VALUE, "MODE", "Files", "PrivateUsersOwnership",
          TRUSTED, GROUP_USERNS, set_ownership, 0,
          "How files get their owners: off, chown, map, auto" },
        { "private-users-chown", 0, TAKES_OPTIONAL, NULL, "Files", "PrivateUsersChown",
          TRUSTED | OPTION_HIDDEN, GROUP_USERNS, set_ownership_chown, 0,
          "Old name of --private-users-ownership=chown" },
        { "private-users-delegate", 0, TAKES_VALUE, "N", "Exec", "PrivateUsersDelegate",
          TRUSTED | PLANNED, .help = "Further ranges for use inside" },

        HEADING("Network"),
        { "private-network", 0, TAKES_NOTHING, NULL, "Network", "Private", RESETS | TRUSTED,
          GROUP_NETWORK, set_boolean, AT(network.private_network), "A network with just a loopback" },
        { "network-veth", 'n', TAKES_NOTHING, NULL, "Network", "VirtualEthernet", RESETS | TRUSTED,
          GROUP_NETWORK, set_boolean, AT(network.veth), "A virtual link to the host" },
        { "network-zone", 0, TAKES_VALUE, "ZONE", "Network", "Zone", RESETS | TRUSTED,
          GROUP_NETWORK, set_network_zone, 0, "Join the bridge that all of this zone share" },
        { "network-bridge", 0, TAKES_VALUE, "BRIDGE", "Network", "Bridge", RESETS | TRUSTED,
          GROUP_NETWORK, set_network_bridge, 0, "Join an existing bridge of the host" },
        { "network-veth-extra", 0, TAKES_VALUE, "HOST[:NAME]", "Network", "VirtualEthernetExtra",
          REPEAT | TRUSTED, GROUP_NETWORK, set_network_pair, 0, "One more virtual link" },
        { "network-interface", 0, TAKES_VALUE, "HOST[:NAME]", "Network", "Interface",
          REPEAT | WORDS | RESETS | TRUSTED | STRICT, GROUP_NETWORK, set_network_pair, 0,
          "Move an interface of the host in" },
        { "network-macvlan", 0, TAKES_VALUE, "HOST[:NAME]", "Network", "MACVLAN",
          REPEAT | WORDS | RESETS | TRUSTED | STRICT, GROUP_NETWORK, set_network_pair, 0,
          "Add a macvlan interface" },
        { "network-ipvlan", 0, TAKES_VALUE, "HOST[:NAME]", "Network", "IPVLAN",
          REPEAT | WORDS | RESETS | TRUSTED | STRICT, GROUP_NETWORK, set_network_pair, 0,
          "Add an ipvlan interface" },
        { "network-namespace-path", 0, TAKES_VALUE, "PATH", "Network", "NamespacePath",
          RESETS | TRUSTED, GROUP_NETWORK, set_network_namespace_path, 0,
          "Join an existing network namespace" },
        { "port", 'p', TAKES_VALUE, "[PROTO:]HOST[:PORT]", "Network", "Port",
          REPEAT | RESETS | TRUSTED, GROUP_EXPOSE_PORTS, set_port, 0, "Publish a port" },
        { "network-address", 0, TAKES_VALUE, "ADDR/LEN,…", "Network", "Address",
          REPEAT | WORDS | RESETS | TRUSTED | CHOICE, GROUP_OTHER, set_network_address, 0,
          "Addresses of the link, instead of those that follow from the name" },
        { "network-gateway", 0, TAKES_VALUE, "ADDR,…", "Network", "Gateway",
          RESETS | TRUSTED | CHOICE, GROUP_OTHER, set_network_gateway, 0,
          "Where its default routes lead" },
        { "network-mac", 0, TAKES_VALUE, "MAC", "Network", "MACAddress",
          RESETS | TRUSTED | CHOICE, GROUP_OTHER, set_network_mac, 0,
          "MAC address of its container's end" },
        { "network-mtu", 0, TAKES_VALUE, "BYTES", "Network", "MTU", RESETS | TRUSTED | CHOICE,
          GROUP_OTHER, set_network_mtu, 0, "Size of its largest packet" },
        { "network-name", 0, TAKES_VALUE, "NAME", "Network", "Name", RESETS | TRUSTED | CHOICE,
          GROUP_OTHER, set_network_name, 0, "Name of its container's end instead of host0" },
        { "network-setup", 0, TAKES_VALUE, "MODE", "Network", "Setup", RESETS | TRUSTED | CHOICE,
          GROUP_OTHER, set_network_setup, 0,
          "Whether nspawn gives it addresses: auto, yes, no" },
        { "network-isolate", 0, TAKES_OPTIONAL, "BOOL", "Network", "Isolate",
          RESETS | TRUSTED | CHOICE, GROUP_OTHER, set_boolean, AT(network.isolate),
          "Of the host, only DHCP, DNS and ICMP can be reached over it" },

        HEADING("Security"),
        { "capability", 0, TAKES_VALUE, "CAP,…", "Exec", "Capability", REPEAT | WORDS | TRUSTED,
          GROUP_CAPABILITY, set_capability, 0, "Capabilities to keep in addition" },
        { "drop-capability", 0, TAKES_VALUE, "CAP,…", "Exec", "DropCapability", REPEAT | WORDS,
          GROUP_CAPABILITY, set_capability, 0, "Capabilities to drop" },
        { "ambient-capability", 0, TAKES_VALUE, "CAP,…", "Exec", "AmbientCapability",
          REPEAT | WORDS | TRUSTED, GROUP_CAPABILITY, set_ambient_capability, 0,
          "Ambient capabilities of the command" },
        { "no-new-privileges", 0, TAKES_VALUE, "BOOL", "Exec", "NoNewPrivileges", RESETS,
          GROUP_NO_NEW_PRIVILEGES, set_boolean, AT(no_new_privileges),
          "Nothing inside may gain privileges" },
        { "nesting", 0, TAKES_OPTIONAL, "BOOL", "Exec", "Nesting", TRUSTED | RESETS, GROUP_NESTING,
          set_boolean, AT(nesting),
          "Let other containers run inside; needs a user namespace" },
        { "system-call-filter", 0, TAKES_VALUE, "LIST", "Exec", "SystemCallFilter", REPEAT,
          GROUP_SYSTEM_CALL_FILTER, set_system_call_filter, 0,
          "System calls to allow, or to deny with ~" },
        { "restrict-address-families", 0, TAKES_VALUE, "LIST", "Exec", "RestrictAddressFamilies",
          REPEAT | RESETS, GROUP_ADDRESS_FAMILIES, set_address_families, 0,
          "Kinds of sockets to allow, or to deny with ~" },
        { "selinux-context", 'Z', TAKES_VALUE, "LABEL", NULL, NULL, 0, GROUP_NONE, set_selinux_label,
          AT(selinux_context), "SELinux label of processes" },
        { "selinux-apifs-context", 'L', TAKES_VALUE, "LABEL", NULL, NULL, 0, GROUP_NONE,
          set_selinux_label, AT(selinux_apifs_context), "SELinux label of API file systems" },
        { "rlimit", 0, TAKES_VALUE, "NAME=LIMIT", "Exec", "Limit*", REPEAT | TRUSTED, GROUP_LIMIT,
          set_limit, 0, "Set a resource limit" },
        { "oom-score-adjust", 0, TAKES_VALUE, "N", "Exec", "OOMScoreAdjust", RESETS | TRUSTED,
          GROUP_OTHER, set_oom_score_adjust, 0, "Adjust the score for the out-of-memory killer" },
        { "cpu-affinity", 0, TAKES_VALUE, "CPUS", "Exec", "CPUAffinity", RESETS | TRUSTED,
          GROUP_OTHER, set_cpu_affinity, 0, "CPUs to run on" },
        { "personality", 0, TAKES_VALUE, "ARCH", "Exec", "Personality", RESETS, GROUP_OTHER,
          set_personality, 0, "Architecture that uname shows" },

        HEADING("Integration"),
        { "resolv-conf", 0, TAKES_VALUE, "MODE", "Exec", "ResolvConf", 0, GROUP_NONE,
          set_resolv_conf, 0, "How /etc/resolv.conf follows the host's; see help" },
        { "timezone", 0, TAKES_VALUE, "MODE", "Exec", "Timezone", 0, GROUP_NONE, set_timezone,
          0, "How /etc/localtime follows the host's; see help" },
        { "link-journal", 0, TAKES_VALUE, "MODE", "Exec", "LinkJournal", TRUSTED,
          GROUP_LINK_JOURNAL, set_link_journal, 0,
          "Where the journal is kept: no, host, guest, try-host, try-guest, auto" },
        { NULL, 'j', TAKES_NOTHING, NULL, NULL, NULL, 0, GROUP_LINK_JOURNAL, set_link_journal, 0,
          "Short for --link-journal=try-guest" },
        { "forward-journal", 0, TAKES_VALUE, "PATH", NULL, NULL, 0, GROUP_NONE, set_forward_journal,
          0, "Receive the journal that the container sends, in a file or directory" },
        { "forward-journal-max-use", 0, TAKES_VALUE, "BYTES", NULL, NULL, 0, GROUP_NONE,
          set_forward_limit, AT(forward_limits[FORWARD_MAX_USE]), "Limit of the received journal" },
        { "forward-journal-keep-free", 0, TAKES_VALUE, "BYTES", NULL, NULL, 0, GROUP_NONE,
          set_forward_limit, AT(forward_limits[FORWARD_KEEP_FREE]), "Space to keep free" },
        { "forward-journal-max-file-size", 0, TAKES_VALUE, "BYTES", NULL, NULL, 0, GROUP_NONE,
          set_forward_limit, AT(forward_limits[FORWARD_MAX_FILE_SIZE]), "Limit of one journal file" },
        { "forward-journal-max-files", 0, TAKES_VALUE, "N", NULL, NULL, 0, GROUP_NONE,
          set_forward_limit, AT(forward_limits[FORWARD_MAX_FILES]), "Number of journal files" },

        HEADING("Mounts and users"),
        { "bind", 0, TAKES_VALUE, "SOURCE[:DEST[:OPTS]]", "Files", "Bind", REPEAT | TRUSTED,
          GROUP_CUSTOM_MOUNTS, set_bind, 0, "Show a path of the host inside" },
        { "bind-ro", 0, TAKES_VALUE, "SOURCE[:DEST[:OPTS]]", "Files", "BindReadOnly",
          REPEAT | TRUSTED, GROUP_CUSTOM_MOUNTS, set_bind, 0, "The same, read-only" },
        { "inaccessible", 0, TAKES_VALUE, "PATH", "Files", "Inaccessible", REPEAT | TRUSTED,
          GROUP_CUSTOM_MOUNTS, set_inaccessible, 0, "Hide a path" },
        { "tmpfs", 0, TAKES_VALUE, "PATH[:OPTS]", "Files", "TemporaryFileSystem", REPEAT | TRUSTED,
          GROUP_CUSTOM_MOUNTS, set_tmpfs, 0, "Mount an empty tmpfs" },
        { "overlay", 0, TAKES_VALUE, "LOWER:…:UPPER:DEST", "Files", "Overlay", REPEAT | TRUSTED,
          GROUP_CUSTOM_MOUNTS, set_overlay, 0, "Mount an overlay" },
        { "overlay-ro", 0, TAKES_VALUE, "LOWER:…:DEST", "Files", "OverlayReadOnly",
          REPEAT | TRUSTED, GROUP_CUSTOM_MOUNTS, set_overlay, 0, "The same, read-only" },
        { "bind-user", 0, TAKES_VALUE, "USER", "Files", "BindUser",
          REPEAT | WORDS | RESETS | TRUSTED, GROUP_NONE, set_bind_user, 0,
          "Make a user of the host known inside, with the home directory" },
        { "bind-user-shell", 0, TAKES_VALUE, "SHELL", "Files", "BindUserShell", TRUSTED, GROUP_NONE,
          set_bind_user_shell, 0, "Shell of such users: no, yes (the host's), or a path" },
        { "bind-user-group", 0, TAKES_VALUE, "GROUP", NULL, NULL, REPEAT, GROUP_NONE,
          set_bind_user_group, 0, "Further group of such users" },

        HEADING("Console and credentials"),
        { "console", 0, TAKES_VALUE, "MODE", NULL, NULL, 0, GROUP_CONSOLE_MODE, set_console, 0,
          "interactive, read-only, passive, pipe, autopipe" },
        { "pipe", 'P', TAKES_NOTHING, NULL, NULL, NULL, 0, GROUP_CONSOLE_MODE, set_pipe, 0,
          "Short for --console=pipe" },
        { "set-credential", 0, TAKES_VALUE, "ID:VALUE", NULL, NULL, REPEAT | SECRET, GROUP_NONE,
          set_credential, 0, "Pass a credential" },
        { "share-system", 0, TAKES_NOTHING, NULL, NULL, NULL, OPTION_HIDDEN, GROUP_NONE,
          set_share_system, 0, "Old form of SYSTEMD_NSPAWN_SHARE_SYSTEM=yes" },
        { "load-credential", 0, TAKES_VALUE, "ID:PATH", NULL, NULL, REPEAT, GROUP_NONE,
          set_load_credential, 0, "Pass a credential from a file or socket" },
};
/* clang-format on */

const size_t n_option_rows = ARRAY_SIZE(option_rows);

/* ---- reading the command line ------------------------------------------------------------ */

/* Nothing of it stays in memory. */
static void wipe(const struct setting *s)
{
        if (s->row && s->row->flags & OPTION_SECRET && s->value)
                explicit_bzero(s->value, strlen(s->value));
}

void settings_done(struct settings *s)
{
        for (size_t i = 0; i < s->n; i++) {
                wipe(&s->list[i]);
                free(s->list[i].value);
                free(s->list[i].origin);
        }
        free(s->list);
        strv_free(s->words);
        *s = (struct settings){ .n = 0 };
}

static char *argv_origin(const struct option_row *row, const char *value)
{
        struct strbuf b CLEANUP_STRBUF = STRBUF_NULL;

        if (row->flags & OPTION_SECRET)
                strbuf_addf(&b, "--%s=%.*s:…", row->name, (int) strcspn(value, ":"), value);
        else if (row->name)
                strbuf_addf(&b, "--%s%s%s", row->name, value ? "=" : "", value ? value : "");
        else
                strbuf_addf(&b, "-%c", row->letter);
        return strbuf_take(&b);
}

int settings_add(struct settings *s, const struct option_row *row, const char *value,
                 const char *origin, bool from_file)
{
        struct setting item = { .row = row, .from_file = from_file };

        if (s->n == s->size) {
                size_t size = s->size ? 2 * s->size : 16;
                struct setting *grown = realloc(s->list, size * sizeof(*grown));

                if (!grown)
                        return -ENOMEM;
                s->list = grown;
                s->size = size;
        }
        item.origin = strdup(origin);
        item.value = value ? strdup(value) : NULL;
        if (!item.origin || (value && !item.value)) {
                free(item.origin);
                free(item.value);
                return -ENOMEM;
        }
        s->list[s->n++] = item;
        return 0;
}

static int add_argument(struct settings *s, const struct option_row *row, const char *value)
{
        char *origin CLEANUP_FREE = argv_origin(row, value);

        return origin ? settings_add(s, row, value, origin, false) : -ENOMEM;
}

/* What getopt_long wants to have, made from the table. */
struct getopt_tables {
        struct option long_options[ARRAY_SIZE(option_rows) + 1];
        char letters[2 * ARRAY_SIZE(option_rows) + 2];
};

/* Values that getopt gives back: the letter, or this much more than the row's number. */
#define LONG_OPTION_BASE 256

static void make_getopt_tables(struct getopt_tables *t)
{
        size_t n = 0, k = 0;

        t->letters[k++] = '+'; /* stop at the first word: the rest is the payload's */
        for (size_t i = 0; i < n_option_rows; i++) {
                const struct option_row *row = &option_rows[i];

                if (row->name)
                        t->long_options[n++] = (struct option){
                                .name = row->name,
                                .has_arg = row->takes == TAKES_NOTHING    ? no_argument
                                           : row->takes == TAKES_OPTIONAL ? optional_argument
                                                                          : required_argument,
                                .val = LONG_OPTION_BASE + (int) i,
                        };
                if (row->letter) {
                        t->letters[k++] = row->letter;
                        if (row->takes == TAKES_VALUE)
                                t->letters[k++] = ':';
                }
        }
        t->long_options[n] = (struct option){ .name = NULL };
        t->letters[k] = '\0';
}

static const struct option_row *find_row(int value)
{
        if (value >= LONG_OPTION_BASE)
                return &option_rows[value - LONG_OPTION_BASE];
        for (size_t i = 0; i < n_option_rows; i++)
                if (option_rows[i].letter == value)
                        return &option_rows[i];
        return NULL;
}

/* Everybody may look at our command line (/proc/PID/cmdline). What is shown is as long as before. */
static void hide_secret(char *value)
{
        char *colon = strchr(value, ':');

        if (colon)
                memset(colon + 1, 'x', strlen(colon + 1));
}

int settings_add_argv(struct settings *s, int argc, char **argv, struct failure *failure)
{
        struct getopt_tables tables;
        int value;

        make_getopt_tables(&tables);
        optind = 0;
        while ((value = getopt_long(argc, argv, tables.letters, tables.long_options, NULL)) >= 0) {
                const struct option_row *row = find_row(value);

                if (!row)
                        return -EINVAL; /* getopt has said why */
                if (add_argument(s, row, optarg) < 0)
                        return failure_set(failure, -ENOMEM, "Out of memory.");
                if (row->flags & OPTION_SECRET)
                        hide_secret(optarg);
                if (row->flags & OPTION_ENDS)
                        return 0;
        }
        for (int i = optind; i < argc; i++)
                if (strv_add(&s->words, argv[i]) < 0)
                        return failure_set(failure, -ENOMEM, "Out of memory.");
        return 0;
}

bool settings_end_early(const struct settings *s)
{
        return s->n > 0 && (s->list[s->n - 1].row->flags & OPTION_ENDS);
}

int settings_apply_early(struct settings *s, struct container_config *c, struct failure *failure)
{
        int r = 0;

        for (size_t i = 0; r == 0 && i < s->n; i++)
                if (s->list[i].row->flags & OPTION_EARLY)
                        r = s->list[i].row->apply(c, &s->list[i], failure);
        s->early_are_applied = r == 0;
        return r;
}

int settings_apply(const struct settings *s, struct container_config *c, struct failure *failure)
{
        for (size_t i = 0; i < s->n; i++) {
                const struct option_row *row = s->list[i].row;
                int r = 0;

                if (!(row->flags & OPTION_EARLY && s->early_are_applied && !s->list[i].from_file))
                        r = row->apply(c, &s->list[i], failure);
                if (r != 0)
                        return r;
        }
        if (s->file_gives_network && s->argv_gives_capabilities)
                c->capabilities_dropped |= (UINT64_C(1) << CAP_NET_ADMIN) & ~c->capabilities_added;
        strv_free(c->parameters);
        c->parameters = strv_copy(s->words);
        if (s->words && !c->parameters)
                return failure_set(failure, -ENOMEM, "Out of memory.");
        return 0;
}

/* ---- environment ------------------------------------------------------------------------- */

static int environment_boolean(const char *name, bool *value, struct failure *failure)
{
        const char *text = getenv(name);

        if (!text)
                return 0;
        if (parse_boolean(text, value) < 0)
                return failure_set(failure, -EINVAL,
                                   "Cannot use %s='%s' from the environment: write yes or no.",
                                   name, text);
        return 0;
}

/*
 * Descriptors handed to us by who started us are the payload's (sd_listen_fds(3)). Only those that
 * are there: else the next ones that we open would take their numbers, and go along.
 */
static void read_listen_fds(struct container_config *c)
{
        const char *pid_text = getenv("LISTEN_PID"), *n_text = getenv("LISTEN_FDS");
        unsigned long pid = 0, n = 0;

        if (!pid_text || !n_text || parse_ulong(pid_text, 1, INT_MAX, &pid) < 0 ||
            pid != (unsigned long) getpid() || parse_ulong(n_text, 1, 512, &n) < 0)
                return;
        while (c->n_listen_fds < n && fcntl(3 + (int) c->n_listen_fds, F_SETFD, FD_CLOEXEC) >= 0)
                c->n_listen_fds++;
}

static int read_cgroups(struct container_config *c, struct failure *failure)
{
        static const char *const names[] = { "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY",
                                             "UNIFIED_CGROUP_HIERARCHY" };

        for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
                bool unified = true;
                int r;

                if (!getenv(names[i]))
                        continue;
                r = environment_boolean(names[i], &unified, failure);
                if (r >= 0)
                        c->cgroups = unified ? CGROUPS_UNIFIED : CGROUPS_NAMED;
                return r;
        }
        return 0;
}

static int read_sharing(struct container_config *c, struct failure *failure)
{
        static const struct {
                const char *name;
                uint64_t namespaces;
        } variables[] = {
                { "SYSTEMD_NSPAWN_SHARE_NS_IPC", CLONE_NEWIPC },
                { "SYSTEMD_NSPAWN_SHARE_NS_PID", CLONE_NEWPID },
                { "SYSTEMD_NSPAWN_SHARE_NS_UTS", CLONE_NEWUTS },
                { "SYSTEMD_NSPAWN_SHARE_SYSTEM", CLONE_NEWIPC | CLONE_NEWPID | CLONE_NEWUTS },
        };
        int r = 0;

        for (size_t i = 0; r >= 0 && i < ARRAY_SIZE(variables); i++) {
                bool share = false;

                r = environment_boolean(variables[i].name, &share, failure);
                if (share)
                        c->shared_namespaces |= variables[i].namespaces;
        }
        return r;
}

/* A group namespace is what makes the container's own groups look like all that there are. */
static int check_cgroup_namespace(struct failure *failure)
{
        bool use = true;
        int r = environment_boolean("SYSTEMD_NSPAWN_USE_CGNS", &use, failure);

        return r >= 0 && !use ? failure_set(failure, -EOPNOTSUPP,
                                            "SYSTEMD_NSPAWN_USE_CGNS=no cannot be had: a container "
                                            "always has a control group namespace. Leave the "
                                            "variable out.")
                              : r;
}

/* What the terminal may get. $SYSTEMD_COLORS knows more words than yes and no; all mean yes. */
static int read_terminal(struct container_config *c, struct failure *failure)
{
        const char *colors = getenv("SYSTEMD_COLORS"), *no_color = getenv("NO_COLOR");
        bool value = true;
        int r;

        if (colors)
                c->colors = parse_boolean(colors, &value) >= 0 && !value ? COLORS_NO : COLORS_YES;
        else if (no_color && *no_color)
                c->colors = COLORS_NO;
        r = environment_boolean("SYSTEMD_TINT_BACKGROUND", &c->tint_by_default, failure);
        return r < 0 ? r
                     : environment_boolean("SYSTEMD_ADJUST_TERMINAL_TITLE", &c->adjust_title,
                                           failure);
}

int settings_apply_environment(struct container_config *c, struct failure *failure)
{
        const char *api = getenv("SYSTEMD_NSPAWN_API_VFS_WRITABLE");
        const char *service = getenv("SYSTEMD_NSPAWN_CONTAINER_SERVICE");
        bool filter = true, writable = false;
        int r = environment_boolean("SYSTEMD_NSPAWN_TMPFS_TMP", &c->tmpfs_on_tmp, failure);

        if (r >= 0)
                r = environment_boolean("SYSTEMD_NSPAWN_LOCK", &c->lock_tree, failure);
        if (r >= 0)
                r = environment_boolean("SYSTEMD_NSPAWN_CHECK_OS_RELEASE", &c->check_os_release,
                                        failure);
        if (r >= 0)
                r = environment_boolean("SYSTEMD_SECCOMP", &filter, failure);
        if (r >= 0)
                r = read_sharing(c, failure);
        if (r >= 0)
                r = check_cgroup_namespace(failure);
        if (r >= 0)
                r = read_terminal(c, failure);
        if (r >= 0)
                r = environment_boolean("SYSTEMD_LOG_SECCOMP", &c->log_filter, failure);
        if (r >= 0)
                r = environment_boolean("SYSTEMD_SUPPRESS_SYNC", &c->suppress_sync, failure);
        if (r >= 0)
                r = read_cgroups(c, failure);
        if (r < 0)
                return r;
        c->system_call_filter_off = !filter;
        read_listen_fds(c);
        if (api && streq(api, "network"))
                c->api_vfs = API_VFS_NETWORK;
        else {
                r = environment_boolean("SYSTEMD_NSPAWN_API_VFS_WRITABLE", &writable, failure);
                if (r < 0)
                        return r;
                c->api_vfs = writable ? API_VFS_WRITABLE : API_VFS_PROTECTED;
        }
        if (service && (*service == '\0' || strpbrk(service, "\n/")))
                return failure_set(failure, -EINVAL,
                                   "Cannot use SYSTEMD_NSPAWN_CONTAINER_SERVICE='%s' from the "
                                   "environment: it must be a plain word.",
                                   service);
        return setting_replace_string(&c->service, service ? service : "systemd-nspawn", failure);
}

/* ---- help -------------------------------------------------------------------------------- */

#define HELP_COLUMN 42

static size_t count_characters(const char *text)
{
        size_t n = 0;

        for (; *text; text++)
                n += ((unsigned char) *text & 0xc0) != 0x80; /* not inside of one (UTF-8) */
        return n;
}

static void help_row(struct strbuf *out, const struct option_row *row)
{
        struct strbuf left CLEANUP_STRBUF = STRBUF_NULL;
        size_t width;

        if (row->letter)
                strbuf_addf(&left, "  -%c", row->letter);
        else
                strbuf_add(&left, "    ");
        if (row->name)
                strbuf_addf(&left, " --%s", row->name);
        if (row->takes == TAKES_VALUE)
                strbuf_addf(&left, "=%s", row->argument);
        else if (row->takes == TAKES_OPTIONAL && row->argument)
                strbuf_addf(&left, "[=%s]", row->argument);
        strbuf_add(out, strbuf_text(&left));
        width = count_characters(strbuf_text(&left));
        if (width >= HELP_COLUMN)
                strbuf_add(out, "\n");
        for (size_t i = width >= HELP_COLUMN ? 0 : width; i < HELP_COLUMN; i++)
                strbuf_add(out, " ");
        strbuf_addf(out, "%s%s\n", row->help,
                    row->flags & OPTION_PLANNED ? " (not built yet)" : "");
}

void options_help(struct strbuf *out)
{
        strbuf_add(out, "nspawn [OPTION…] [COMMAND [ARGUMENT…]]\n\n"
                        "Runs a command, or boots an operating system, in a container.\n");
        for (size_t i = 0; i < n_option_rows; i++) {
                const struct option_row *row = &option_rows[i];

                if (!row->name && !row->letter)
                        strbuf_addf(out, "\n%s:\n", row->help);
                else if (!(row->flags & OPTION_HIDDEN))
                        help_row(out, row);
        }
        strbuf_add(out, "\nSee nspawn(1).\n");
}
