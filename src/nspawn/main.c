/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "basic/fd.h"
#include "basic/io.h"
#include "basic/log.h"
#include "nspawn/cleanup.h"
#include "nspawn/container.h"
#include "nspawn/options.h"
#include "nspawn/settings-load.h"

static int print_help(void)
{
        struct strbuf text CLEANUP_STRBUF = STRBUF_NULL;

        options_help(&text);
        return strbuf_ok(&text) && write_all(STDOUT_FILENO, text.text, text.length) >= 0
                       ? EXIT_SUCCESS
                       : EXIT_FAILURE;
}

/* The first line is "word number": programs take the level of compatibility from it. */
static int print_version(void)
{
        return printf("stead %d (%s)\n+CGROUP2 +SECCOMP +USERNS +IDMAP -IMAGE +NETWORK -REGISTRY\n",
                      COMPATIBILITY_LEVEL, PACKAGE_VERSION) < 0 ||
                               fflush(stdout) != 0
                       ? EXIT_FAILURE
                       : EXIT_SUCCESS;
}

static int act(const struct container_config *config, char **argv, char **environment)
{
        switch (config->action) {
        case ACTION_HELP:
                return print_help();
        case ACTION_VERSION:
                return print_version();
        case ACTION_DRY_RUN:
                return container_dry_run(config);
        case ACTION_CLEANUP:
                return container_cleanup(config);
        case ACTION_RUN:
                break;
        }
        return container_run(config, argv, environment);
}

/* As systemd's programs: a name, or a number as syslog(3) has it. What it is not is ignored. */
static enum log_level log_level_from_environment(void)
{
        static const struct {
                const char *word;
                enum log_level level;
        } levels[] = {
                { "emerg", LOG_LEVEL_ERROR },     { "0", LOG_LEVEL_ERROR },
                { "alert", LOG_LEVEL_ERROR },     { "1", LOG_LEVEL_ERROR },
                { "crit", LOG_LEVEL_ERROR },      { "2", LOG_LEVEL_ERROR },
                { "err", LOG_LEVEL_ERROR },       { "3", LOG_LEVEL_ERROR },
                { "warning", LOG_LEVEL_WARNING }, { "4", LOG_LEVEL_WARNING },
                { "notice", LOG_LEVEL_NOTICE },   { "5", LOG_LEVEL_NOTICE },
                { "info", LOG_LEVEL_INFO },       { "6", LOG_LEVEL_INFO },
                { "debug", LOG_LEVEL_DEBUG },     { "7", LOG_LEVEL_DEBUG },
        };
        const char *text = getenv("SYSTEMD_LOG_LEVEL");

        for (size_t i = 0; text && i < ARRAY_SIZE(levels); i++)
                if (streq(levels[i].word, text))
                        return levels[i].level;
        if (text)
                log_warning(
                        "Ignoring SYSTEMD_LOG_LEVEL='%s': give a name such as info, or a number "
                        "from 0 to 7.",
                        text);
        return LOG_LEVEL_INFO;
}

int main(int argc, char **argv, char **environment)
{
        struct settings settings = { .n = 0 };
        struct container_config config;
        struct failure failure = { .error = 0 };
        enum log_level level;
        int r, status;

        r = fd_fill_stdio();
        if (r < 0) {
                /* Nothing else is open yet, so this cannot get into a foreign file. */
                (void) log_error(r, "Cannot open the standard streams: %s.", error_text(r));
                return EXIT_FAILURE;
        }
        config_init(&config);
        level = log_level_from_environment();
        log_set_level(level);
        r = settings_add_argv(&settings, argc, argv, &failure);
        if (r == 0)
                r = settings_load(&settings, &config, &failure);
        if (r == 0)
                r = settings_apply_environment(&config, &failure);
        if (r == 0)
                r = settings_apply(&settings, &config, &failure);
        if (r == 0 && config.action != ACTION_HELP && config.action != ACTION_VERSION)
                r = config_validate(&config, &failure);
        settings_done(&settings);
        if (config.quiet)
                log_set_level(MIN_OF(level, LOG_LEVEL_WARNING));
        if (r == 0)
                status = act(&config, argv, environment);
        else
                status = r > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
        if (r < 0 && failure.error != 0)
                (void) log_error(r, "%s", failure.text);
        config_done(&config);
        return status;
}
