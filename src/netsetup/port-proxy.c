/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "netsetup/port-proxy.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <unistd.h>

#include "basic/fd.h"
#include "basic/log.h"
#include "basic/path.h"
#include "basic/process.h"
#include "basic/strv.h"

/* ---- starting ---------------------------------------------------------------------------- */

static int add_formatted(char ***argv, const char *format, ...) PRINTF_LIKE(2, 3);

static int add_formatted(char ***argv, const char *format, ...)
{
        char *text = NULL;
        va_list ap;
        int n;

        va_start(ap, format);
        n = vasprintf(&text, format, ap);
        va_end(ap);
        return n < 0 ? -ENOMEM : strv_add_take(argv, text);
}

static int add_target(char ***argv, const char *option, const struct net_address *a)
{
        char text[NET_ADDRESS_TEXT_SIZE];

        if (a->family == AF_UNSPEC)
                return 0;
        return add_formatted(argv, "%s%s", option, net_address_text(a, text));
}

/* What the host sees the machine's packets come from. Switches that are no bridge of the kernel's have an
 * interface of another name for that, which cannot be known. */
static bool is_behind(const char *link, char ret[LINK_NAME_SIZE])
{
        char path[64], target[PATH_MAX];
        ssize_t n;

        (void) snprintf(path, sizeof(path), "/sys/class/net/%s/master", link);
        n = readlink(path, target, sizeof(target) - 1);
        if (n < 0) {
                (void) snprintf(ret, LINK_NAME_SIZE, "%s", link);
                return true;
        }
        target[n] = '\0';
        (void) snprintf(ret, LINK_NAME_SIZE, "%s", path_basename(target));
        (void) snprintf(path, sizeof(path), "/sys/class/net/%s/bridge", ret);
        return access(path, F_OK) == 0;
}

static int make_argv(const struct port_proxy_config *config, char ***ret)
{
        char **argv CLEANUP_STRV = NULL, link[LINK_NAME_SIZE];
        int r = strv_add_take(&argv, path_of_program("port-proxy"));

        if (r >= 0 && config->machine)
                r = add_formatted(&argv, "--machine=%s", config->machine);
        if (r >= 0)
                r = add_target(&argv, "--target4=", &config->target4);
        if (r >= 0)
                r = add_target(&argv, "--target6=", &config->target6);
        if (r >= 0 && config->netns_fd >= 0)
                r = strv_add(&argv, config->inside ? "--inside" : "--follow");
        if (r >= 0 && config->link && is_behind(config->link, link))
                r = add_formatted(&argv, "--link=%s", link);
        for (size_t i = 0; i < config->n_ports && r >= 0; i++)
                r = add_formatted(&argv, "%s:%u:%u", net_protocol_name(config->ports[i].protocol),
                                  config->ports[i].host, config->ports[i].guest);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(argv);
        return 0;
}

int port_proxy_spawn(const struct port_proxy_config *config, int *ret_pidfd, int *ret_status_fd,
                     struct failure *failure)
{
        static char *const no_environment[] = { NULL };
        char **argv CLEANUP_STRV = NULL;
        int ends[2] = { -1, -1 }, r = make_argv(config, &argv);

        /* Neither side waits for the other. */
        if (r >= 0 && pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0)
                r = -errno;
        int read_fd CLEANUP_FD = ends[0], write_fd CLEANUP_FD = ends[1];

        if (r >= 0)
                r = process_spawn(argv, no_environment, config->netns_fd, write_fd, ret_pidfd);
        if (r < 0)
                return failure_set(failure, r, "Cannot start the proxy of published ports: %s.",
                                   error_text(r));
        *ret_status_fd = TAKE_FD(read_fd);
        return 0;
}

/* ---- what it says ------------------------------------------------------------------------ */

static int parse_address(int family, const char *text, struct port_proxy_event *ret)
{
        struct net_address a;

        ret->family = family;
        ret->kind = PORT_PROXY_LOST;
        if (streq(text, "-"))
                return 0;
        if (net_address_parse(text, &a) < 0 || a.family != family)
                return -EPROTO;
        ret->kind = PORT_PROXY_ADDRESS;
        ret->address = a;
        return 0;
}

static int parse_line(const char *line, struct port_proxy_event *ret)
{
        const char *rest;

        *ret = (struct port_proxy_event){ .kind = PORT_PROXY_READY };
        if (streq(line, "ready"))
                return 0;
        if ((rest = startswith(line, "failed "))) {
                ret->kind = PORT_PROXY_FAILED;
                (void) snprintf(ret->text, sizeof(ret->text), "%s", rest);
                return 0;
        }
        if ((rest = startswith(line, "address4 ")))
                return parse_address(AF_INET, rest, ret);
        if ((rest = startswith(line, "address6 ")))
                return parse_address(AF_INET6, rest, ret);
        return -EPROTO;
}

int port_proxy_read(struct port_proxy_reader *reader, int status_fd, struct port_proxy_event *ret)
{
        for (;;) {
                char *end = memchr(reader->buffer, '\n', reader->length);
                ssize_t n;

                if (end) {
                        size_t used = (size_t) (end - reader->buffer) + 1;
                        int r;

                        *end = 0;
                        r = parse_line(reader->buffer, ret);
                        reader->length -= used;
                        memmove(reader->buffer, end + 1, reader->length);
                        return r;
                }
                if (reader->length == sizeof(reader->buffer))
                        return -EPROTO;
                n = read(status_fd, reader->buffer + reader->length,
                         sizeof(reader->buffer) - reader->length);
                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0 && errno != EAGAIN)
                        return -errno;
                *ret = (struct port_proxy_event){ .kind = n == 0 ? PORT_PROXY_ENDED
                                                                 : PORT_PROXY_NOTHING };
                if (n <= 0)
                        return 0;
                reader->length += (size_t) n;
        }
}
