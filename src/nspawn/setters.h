/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "nspawn/options.h"

/*
 * What the rows of the option table do with a value: one setter for each kind of value. A setter
 * checks the value whole before it changes the configuration, and says in one sentence what it
 * takes. Returns as setting_apply_fn.
 */

/* ---- general setters, for the field that the row names ---- */
setting_apply_fn set_true;
setting_apply_fn set_boolean;
setting_apply_fn refuse_planned;
setting_apply_fn ignore_setting;

/* ---- setters of single options ---- */
setting_apply_fn set_action;
setting_apply_fn set_capability;
setting_apply_fn set_console;
setting_apply_fn set_directory;
setting_apply_fn set_environment;
setting_apply_fn set_hostname;
setting_apply_fn set_kill_signal;
setting_apply_fn set_limit;
setting_apply_fn set_machine;
setting_apply_fn set_ownership;
setting_apply_fn set_ownership_chown;
setting_apply_fn set_pipe;
setting_apply_fn set_private_users;
setting_apply_fn set_property;
setting_apply_fn set_register;
setting_apply_fn set_settings;
setting_apply_fn set_slice;
setting_apply_fn set_start_mode;
setting_apply_fn set_stop_timeout;
setting_apply_fn set_system_call_filter;
setting_apply_fn set_user;
setting_apply_fn set_userns_pick;
setting_apply_fn set_uuid;
setting_apply_fn set_working_directory;

/* ---- setters-mounts.c ---- */
setting_apply_fn set_bind;
setting_apply_fn set_inaccessible;
setting_apply_fn set_overlay;
setting_apply_fn set_tmpfs;

/* ---- setters-payload.c: what the payload is started with ---- */
setting_apply_fn set_address_families;
setting_apply_fn set_ambient_capability;
setting_apply_fn set_background;
setting_apply_fn set_cpu_affinity;
setting_apply_fn set_oom_score_adjust;
setting_apply_fn set_personality;
setting_apply_fn set_selinux_label;
setting_apply_fn set_share_system;
/* ---- setters-rootfs.c ---- */
setting_apply_fn set_ephemeral;
setting_apply_fn set_ephemeral_directory;
setting_apply_fn set_ephemeral_method;
setting_apply_fn set_pivot_root;
setting_apply_fn set_template;
setting_apply_fn set_volatile;
/* ---- setters-integration.c ---- */
setting_apply_fn set_bind_user;
setting_apply_fn set_bind_user_group;
setting_apply_fn set_bind_user_shell;
setting_apply_fn set_forward_journal;
setting_apply_fn set_forward_limit;
setting_apply_fn set_link_journal;
setting_apply_fn set_resolv_conf;
setting_apply_fn set_timezone;

/* ---- setters-life.c ---- */
setting_apply_fn set_time;

/* ---- setters-credentials.c ---- */
setting_apply_fn set_credential;
setting_apply_fn set_load_credential;

/* ---- setters-network.c ---- */
setting_apply_fn set_network_address;
setting_apply_fn set_network_bridge;
setting_apply_fn set_network_gateway;
setting_apply_fn set_network_mac;
setting_apply_fn set_network_mtu;
setting_apply_fn set_network_name;
setting_apply_fn set_network_namespace_path;
setting_apply_fn set_network_pair;
setting_apply_fn set_network_setup;
setting_apply_fn set_network_zone;
setting_apply_fn set_port;

/* ---- for other setters ---- */

/* The field of the row. */
void *setting_field(struct container_config *c, const struct option_row *row);

/* Says that the value cannot be used; @want goes on after a colon: what to write. Returns @error. */
int setting_refuse(const struct setting *s, struct failure *failure, int error, const char *want);

/* Whether the words that are accepted are to be printed, after which the setter returns 1. */
bool setting_asks_for_help(const struct setting *s);

/* Copies @value to @field, or to the end of @list. 0, or -ENOMEM and a sentence. */
int setting_replace_string(char **field, const char *value, struct failure *failure);
int setting_add_string(char ***list, const char *value, struct failure *failure);

/* The set of capabilities in the value; for "help" it is 1, and they were printed. */
int setting_capabilities(const struct setting *s, uint64_t *ret, struct failure *failure);

/* Adds a credential that an option brings along. */
int setting_add_credential(struct container_config *c, const struct setting *s, const char *id,
                           const char *text, struct failure *failure);

/* Sets an enum from a NULL-terminated list of words; "help" prints them. @numbers runs beside
 * @words. Returns as setting_apply_fn. */
int setting_set_word(const struct setting *s, const char *const *words, const int *numbers,
                     int *ret, struct failure *failure);
