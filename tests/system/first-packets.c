/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * A payload that uses the network with its first instructions, and tells how long it took: one ping of
 * the gateway, one look-up of a name. It waits for nothing and tries nothing twice.
 *
 *     first-packets [NAME]   "gateway 10.0.0.1 after 0.21 ms", "name 10.0.0.7 after 0.40 ms"
 *     first-packets -w FILE  tries until the gateway answers, and writes into the file when that was:
 *                            CLOCK_MONOTONIC, in nanoseconds
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/ip_icmp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static double now_ms(void)
{
        struct timespec t;

        clock_gettime(CLOCK_MONOTONIC, &t);
        return (double) t.tv_sec * 1e3 + (double) t.tv_nsec / 1e6;
}

static _Noreturn void give_up(const char *what)
{
        fprintf(stderr, "%s: %s\n", what, strerror(errno));
        exit(1);
}

/* From the row for 0.0.0.0 of the table of routes, in the kernel's byte order; 0.0.0.0 if there is none. */
static struct in_addr find_gateway(void)
{
        char line[256], link[32];
        unsigned destination, gateway;
        struct in_addr found = { 0 };
        FILE *f = fopen("/proc/net/route", "re");

        while (f && found.s_addr == 0 && fgets(line, sizeof(line), f))
                if (sscanf(line, "%31s %x %x", link, &destination, &gateway) == 3 &&
                    destination == 0)
                        found.s_addr = gateway;
        if (f)
                fclose(f);
        return found;
}

static struct in_addr read_server(void)
{
        char line[256], text[64];
        struct in_addr address;
        FILE *f = fopen("/etc/resolv.conf", "re");

        while (f && fgets(line, sizeof(line), f))
                if (sscanf(line, "nameserver %63s", text) == 1 &&
                    inet_pton(AF_INET, text, &address) == 1)
                        return address;
        errno = ENOENT;
        give_up("no IPv4 name server in resolv.conf");
}

static uint16_t sum_of(const void *data, size_t size)
{
        const uint16_t *words = data;
        uint32_t sum = 0;

        for (size_t i = 0; i < size / 2; i++)
                sum += words[i];
        sum = (sum >> 16) + (sum & 0xffff);
        return (uint16_t) ~(sum + (sum >> 16));
}

static int open_socket(int kind, int protocol, struct in_addr address, uint16_t port,
                       unsigned limit_ms)
{
        struct sockaddr_in to = { .sin_family = AF_INET,
                                  .sin_addr = address,
                                  .sin_port = htons(port) };
        struct timeval limit = { .tv_sec = limit_ms / 1000, .tv_usec = limit_ms % 1000 * 1000 };
        int fd = socket(AF_INET, kind | SOCK_CLOEXEC, protocol);

        if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)) < 0)
                give_up("socket");
        if (connect(fd, (struct sockaddr *) &to, sizeof(to)) == 0)
                return fd;
        close(fd);
        return -1;
}

static bool ping(struct in_addr address, unsigned limit_ms)
{
        struct icmphdr request = { .type = ICMP_ECHO };
        uint8_t answer[1500];
        ssize_t n;
        int fd = open_socket(SOCK_RAW, IPPROTO_ICMP, address, 0, limit_ms);

        if (fd < 0)
                return false;
        request.un.echo.id = htons((uint16_t) getpid());
        request.checksum = sum_of(&request, sizeof(request));
        n = send(fd, &request, sizeof(request), 0);
        while (n >= 0) {
                n = recv(fd, answer, sizeof(answer), 0);
                if (n >= 28 && answer[(answer[0] & 15) * 4] == ICMP_ECHOREPLY)
                        break;
        }
        close(fd);
        return n >= 0;
}

static int wait_for_gateway(const char *path)
{
        struct timespec pause = { .tv_nsec = 200000 };
        struct in_addr gateway;
        FILE *f;

        while ((gateway = find_gateway()).s_addr == 0 || !ping(gateway, 1))
                nanosleep(&pause, NULL);
        f = fopen(path, "we");
        if (!f)
                give_up(path);
        fprintf(f, "%.0f\n", now_ms() * 1e6);
        return fclose(f) == 0 ? 0 : 1;
}

/* Asks for A, and takes the last four bytes for the address: the only record of the answer. */
static struct in_addr look_up(struct in_addr server, const char *name)
{
        static const uint8_t kind[] = { 0, 0, 1, 0, 1 };
        uint8_t packet[512] = { 0x12, 0x34, 1, 0, 0, 1 };
        size_t at = 12, length = strlen(name);
        struct in_addr address;
        ssize_t n;
        int fd = open_socket(SOCK_DGRAM, 0, server, 53, 3000);

        if (fd < 0 || length > 63) {
                errno = EINVAL;
                give_up(name);
        }
        packet[at++] = (uint8_t) length;
        memcpy(packet + at, name, length);
        memcpy(packet + at + length, kind, sizeof(kind));
        if (send(fd, packet, at + length + sizeof(kind), 0) < 0)
                give_up("question for the name");
        n = recv(fd, packet, sizeof(packet), 0);
        if (n < 0)
                give_up("answer for the name");
        if (n < 32 || (packet[3] & 15) != 0 || packet[7] == 0) {
                errno = ENOENT;
                give_up(name);
        }
        memcpy(&address, packet + n - 4, 4);
        close(fd);
        return address;
}

int main(int argc, char **argv)
{
        double begin = now_ms();
        struct in_addr gateway, found;

        if (argc == 3 && strcmp(argv[1], "-w") == 0)
                return wait_for_gateway(argv[2]);
        gateway = find_gateway();
        if (gateway.s_addr == 0) {
                errno = ENETUNREACH;
                give_up("no default route");
        }
        if (!ping(gateway, 3000))
                give_up("ping");
        printf("gateway %s after %.2f ms\n", inet_ntoa(gateway), now_ms() - begin);
        if (argc > 1) {
                found = look_up(read_server(), argv[1]);
                printf("name %s after %.2f ms\n", inet_ntoa(found), now_ms() - begin);
        }
        return 0;
}
