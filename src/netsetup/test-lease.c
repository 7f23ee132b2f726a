/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "basic/fd.h"
#include "netsetup/lease.h"

#define NETWORK "zone-lab"
#define N_PROCESSES 6
#define N_EACH 50

struct place {
        char folder[32], state[64], spare[64];
        struct lease_folders folders;
};

static bool runs(const char *machine)
{
        return startswith(machine, "running") != NULL;
}

static int set_up(void **state)
{
        struct place *p = calloc(1, sizeof(*p));

        assert_non_null(p);
        (void) snprintf(p->folder, sizeof(p->folder), "/tmp/stead-lease-XXXXXX");
        assert_non_null(mkdtemp(p->folder));
        (void) snprintf(p->state, sizeof(p->state), "%s/state", p->folder);
        (void) snprintf(p->spare, sizeof(p->spare), "%s/spare", p->folder);
        p->folders = (struct lease_folders){ p->state, p->spare, runs };
        *state = p;
        return 0;
}

static int tear_down(void **state)
{
        struct place *p = *state;
        char command[128];

        (void) snprintf(command, sizeof(command), "chmod -R u+w %s; rm -rf %s", p->folder,
                        p->folder);
        assert_int_equal(system(command), 0);
        free(p);
        return 0;
}

static int ask(const struct place *p, const char *machine, uint32_t count, uint32_t wanted,
               uint32_t *ret)
{
        const struct lease_request q = {
                .network = NETWORK, .machine = machine, .count = count, .wanted = wanted
        };
        struct failure failure = { .error = 0 };
        int r = lease_number(&p->folders, &q, ret, &failure);

        assert_int_equal(failure.error, r);
        if (r < 0)
                assert_true(failure.text[0] != '\0');
        return r;
}

static uint32_t take(const struct place *p, const char *machine, uint32_t count)
{
        uint32_t number = 0;

        assert_int_equal(ask(p, machine, count, 0, &number), 0);
        assert_in_range(number, LEASE_FIRST_NUMBER, count - 2);
        return number;
}

static void assert_owner(const struct place *p, uint32_t number, const char *machine)
{
        char owner[LEASE_NAME_SIZE];

        lease_owner(&p->folders, NETWORK, number, owner);
        assert_string_equal(owner, machine);
}

static void make_older(const struct place *p, uint32_t number, long seconds)
{
        const struct timespec then[] = { { .tv_sec = time(NULL) - seconds },
                                         { .tv_sec = time(NULL) - seconds } };
        char path[256];

        (void) snprintf(path, sizeof(path), "%s/%s/by-number/%u", p->state, NETWORK, number);
        assert_int_equal(utimensat(AT_FDCWD, path, then, AT_SYMLINK_NOFOLLOW), 0);
}

static void test_kept(void **state)
{
        const struct place *p = *state;
        uint32_t web = take(p, "web", 16384), db = take(p, "db", 16384);

        assert_int_not_equal(web, db);
        assert_int_equal(take(p, "web", 16384), web);
        assert_owner(p, web, "web");
        assert_owner(p, db, "db");
        lease_drop(&p->folders, NETWORK, "web");
        assert_owner(p, web, "");
        /* It follows from the name. */
        assert_int_equal(take(p, "web", 16384), web);
        lease_drop(&p->folders, NETWORK, "nobody");
        lease_drop(&p->folders, "zone-nowhere", "web");
        assert_owner(p, web, "web");
}

static void test_dry_run(void **state)
{
        const struct place *p = *state;
        struct lease_request q = {
                .network = NETWORK, .machine = "web", .count = 64, .dry_run = true
        };
        struct failure failure = { .error = 0 };
        uint32_t number = 0;

        assert_int_equal(lease_number(&p->folders, &q, &number, &failure), 0);
        assert_int_equal(access(p->state, F_OK), -1);
        assert_int_equal(access(p->spare, F_OK), -1);
        assert_int_equal(take(p, "web", 64), number);
        /* The next one of the same hash: another place. */
        lease_drop(&p->folders, NETWORK, "web");
        assert_int_equal(ask(p, "db", 64, number, &(uint32_t){ 0 }), 0);
        assert_int_equal(lease_number(&p->folders, &q, &number, &failure), 0);
        assert_int_equal(take(p, "web", 64), number);
}

static void test_collisions_and_the_end(void **state)
{
        const struct place *p = *state;
        bool seen[32] = { false };
        uint32_t number = 0;
        char name[16];

        for (int i = 0; i < 29; i++) {
                (void) snprintf(name, sizeof(name), "m%d", i);
                number = take(p, name, 32);
                assert_false(seen[number]);
                seen[number] = true;
        }
        assert_int_equal(ask(p, "one-more", 32, 0, &number), -EADDRNOTAVAIL);
        for (int i = 0; i < 29; i++) {
                (void) snprintf(name, sizeof(name), "m%d", i);
                assert_true(seen[take(p, name, 32)]);
        }
        lease_drop(&p->folders, NETWORK, "m7");
        (void) take(p, "one-more", 32);
}

static void test_oldest_is_given_again(void **state)
{
        const struct place *p = *state;
        uint32_t a = take(p, "a", 8), b = take(p, "b", 8), running = take(p, "running", 8);
        uint32_t c = take(p, "c", 8), number;

        make_older(p, running, 3 * LEASE_REST_SECONDS);
        make_older(p, b, 2 * LEASE_REST_SECONDS);
        make_older(p, a, LEASE_REST_SECONDS + 60);
        /* A free one is taken first, however old the others are. */
        number = take(p, "d", 8);
        assert_true(number != a && number != b && number != c && number != running);
        assert_int_equal(take(p, "e", 8), b);
        assert_owner(p, b, "e");
        assert_int_equal(take(p, "f", 8), a);
        assert_int_equal(ask(p, "g", 8, 0, &number), -EADDRNOTAVAIL);
        assert_owner(p, running, "running");
        /* Who lost its number does not believe that it has it. */
        assert_int_equal(ask(p, "b", 8, 0, &number), -EADDRNOTAVAIL);
        assert_owner(p, b, "e");
}

static void test_use_keeps_it(void **state)
{
        const struct place *p = *state;
        uint32_t a = take(p, "a", 8), number;

        make_older(p, a, 2 * LEASE_REST_SECONDS);
        assert_int_equal(take(p, "a", 8), a);
        (void) take(p, "b", 8);
        (void) take(p, "c", 8);
        (void) take(p, "d", 8);
        (void) take(p, "e", 8);
        assert_int_equal(ask(p, "f", 8, 0, &number), -EADDRNOTAVAIL);
        assert_owner(p, a, "a");
}

/* A process dies between the claim and its entry by name, or before it gives a number back whole. */
static void test_crashes(void **state)
{
        const struct place *p = *state;
        uint32_t a = take(p, "a", 8), b = take(p, "b", 8);
        char path[256], target[256];

        (void) snprintf(path, sizeof(path), "%s/%s/by-name/a", p->state, NETWORK);
        assert_int_equal(unlink(path), 0);
        assert_int_equal(take(p, "a", 8), a);

        /* An entry by name without its claim, which somebody else has got. */
        (void) snprintf(path, sizeof(path), "%s/%s/by-number/%u", p->state, NETWORK, b);
        assert_int_equal(unlink(path), 0);
        assert_int_equal(symlink("x", path), 0);
        assert_int_not_equal(take(p, "b", 8), b);

        /* A claim without an entry is free when there is no other. */
        (void) take(p, "c", 8);
        (void) take(p, "d", 8);
        (void) snprintf(target, sizeof(target), "%s/%s/by-number/.#5.1", p->state, NETWORK);
        assert_int_equal(symlink("e", target), 0);
        assert_int_equal(take(p, "e", 8), b);
        assert_int_equal(access(target, F_OK), -1);
        assert_int_equal(readlink(target, path, sizeof(path)), -1);
}

static void test_rubbish(void **state)
{
        const struct place *p = *state;
        uint32_t a = take(p, "a", 8);
        char path[256];

        (void) snprintf(path, sizeof(path), "%s/%s/by-name/a", p->state, NETWORK);
        assert_int_equal(unlink(path), 0);
        assert_int_equal(symlink("7777777777777777777777777777777777777777777777777777777777777777"
                                 "7777777777777777777777777777777777777777777777777777777777777777",
                                 path),
                         0);
        assert_int_equal(take(p, "a", 8), a);
        assert_int_equal(unlink(path), 0);
        assert_int_equal(mkdir(path, 0700), 0);
        /* A directory cannot be replaced; nobody gets a number that is not written down. */
        assert_int_equal(ask(p, "a", 8, 0, &a) < 0, 1);
}

static void test_wanted(void **state)
{
        const struct place *p = *state;
        uint32_t a = take(p, "a", 16), number = 0, other = a == 9 ? 10 : 9;

        assert_int_equal(ask(p, "b", 16, a, &number), -EADDRINUSE);
        assert_int_equal(ask(p, "a", 16, other, &number), 0);
        assert_int_equal(number, other);
        assert_owner(p, a, "");
        assert_int_equal(take(p, "a", 16), other);
        assert_int_equal(ask(p, "a", 16, a, &number), 0);
        for (uint32_t bad = 16; bad > 14; bad--)
                assert_int_equal(ask(p, "b", 16, bad, &number), -EADDRINUSE);
        assert_int_equal(ask(p, "b", 16, 1, &number), -EADDRINUSE);
        assert_owner(p, a, "a");
}

static void test_avoid(void **state)
{
        const struct place *p = *state;
        uint32_t a = take(p, "a", 64), number = 0;
        const struct lease_request q = {
                .network = NETWORK, .machine = "a", .count = 64, .avoid = &a, .n_avoid = 1
        };
        struct failure failure = { .error = 0 };

        assert_int_equal(lease_number(&p->folders, &q, &number, &failure), 0);
        assert_int_not_equal(number, a);
        assert_owner(p, a, "");
        assert_int_equal(take(p, "a", 64), number);
}

/* A subnet that became smaller: who is outside of it gets another number. */
static void test_smaller(void **state)
{
        const struct place *p = *state;
        uint32_t number;

        assert_int_equal(ask(p, "a", 64, 60, &number), 0);
        assert_int_equal(take(p, "a", 64), 60);
        assert_in_range(take(p, "a", 32), 2, 30);
        assert_owner(p, 60, "");
}

/* A folder that cannot be written; a file in its place does for root as well. */
static void test_unwritable(void **state)
{
        const struct place *p = *state;
        uint32_t a = take(p, "a", 8), b;
        char path[256], owner[LEASE_NAME_SIZE];
        int i;

        if (geteuid() == 0)
                skip();
        (void) snprintf(path, sizeof(path), "%s/%s/by-number", p->state, NETWORK);
        assert_int_equal(chmod(path, 0500), 0);
        assert_int_equal(take(p, "a", 8), a);
        b = take(p, "b", 8);
        assert_int_not_equal(b, a);
        (void) snprintf(path, sizeof(path), "%s/%s/by-number/%u", p->spare, NETWORK, b);
        assert_true(readlink(path, owner, sizeof(owner)) == 1);
        assert_int_equal(take(p, "b", 8), b);
        for (i = 0; i < 3; i++)
                assert_int_not_equal(take(p, (const char *[]){ "c", "d", "e" }[i], 8), a);
        assert_int_equal(ask(p, "f", 8, 0, &b), -EADDRNOTAVAIL);
        /* It can be written again: what the other folder has stays taken. */
        (void) snprintf(path, sizeof(path), "%s/%s/by-number", p->state, NETWORK);
        assert_int_equal(chmod(path, 0700), 0);
        assert_int_equal(ask(p, "f", 8, 0, &b), -EADDRNOTAVAIL);
        lease_drop(&p->folders, NETWORK, "b");
        (void) take(p, "f", 8);
}

/* ---- many at once ------------------------------------------------------------------------ */

static void take_many(const struct place *p, int process, int out)
{
        for (int i = 0; i < N_EACH; i++) {
                uint32_t number = 0;
                char name[32];

                (void) snprintf(name, sizeof(name), "m-%d-%d", process, i);
                if (ask(p, name, 512, 0, &number) < 0 ||
                    write(out, &number, sizeof(number)) != sizeof(number))
                        _exit(1);
        }
        _exit(0);
}

static void test_many_processes(void **state)
{
        const struct place *p = *state;
        bool seen[512] = { false };
        uint32_t number;
        int fds[2], n = 0;

        assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
        for (int i = 0; i < N_PROCESSES; i++) {
                pid_t pid = fork();

                assert_true(pid >= 0);
                if (pid == 0)
                        take_many(p, i, fds[1]);
        }
        (void) close(fds[1]);
        for (; read(fds[0], &number, sizeof(number)) == sizeof(number); n++) {
                assert_in_range(number, 2, 510);
                assert_false(seen[number]);
                seen[number] = true;
        }
        (void) close(fds[0]);
        for (int i = 0; i < N_PROCESSES; i++) {
                int status = -1;

                assert_true(wait(&status) > 0);
                assert_int_equal(status, 0);
        }
        assert_int_equal(n, N_PROCESSES * N_EACH);
}

/* Takes and gives back at random in a network that is nearly always full, until it is killed. */
static void come_and_go(const struct place *p, unsigned seed)
{
        for (;;) {
                struct failure failure = { .error = 0 };
                uint32_t number;
                char name[32];

                (void) snprintf(name, sizeof(name), "m%d", rand_r(&seed) % 24);
                if (rand_r(&seed) % 3 == 0)
                        lease_drop(&p->folders, NETWORK, name);
                else
                        (void) lease_number(&p->folders,
                                            &(struct lease_request){ .network = NETWORK,
                                                                     .machine = name,
                                                                     .count = 16 },
                                            &number, &failure);
        }
}

static void test_killed_at_any_moment(void **state)
{
        const struct place *p = *state;
        bool seen[16] = { false };
        int n = 0;

        for (unsigned round = 0; round < 40; round++) {
                pid_t pids[3];

                for (unsigned i = 0; i < 3; i++) {
                        pids[i] = fork();
                        assert_true(pids[i] >= 0);
                        if (pids[i] == 0)
                                come_and_go(p, 3 * round + i);
                }
                (void) nanosleep(&(struct timespec){ .tv_nsec = 3000000 + 777L * round }, NULL);
                for (size_t i = 0; i < 3; i++) {
                        assert_int_equal(kill(pids[i], SIGKILL), 0);
                        assert_int_equal(waitpid(pids[i], NULL, 0), pids[i]);
                }
        }
        for (int i = 0; i < 24; i++) {
                uint32_t number;
                char name[32];

                (void) snprintf(name, sizeof(name), "m%d", i);
                if (ask(p, name, 16, 0, &number) < 0)
                        continue;
                n++;
                assert_false(seen[number]);
                seen[number] = true;
        }
        assert_int_equal(n, 13); /* none is lost, either */
}

int main(void)
{
#define CASE(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)
        static const struct CMUnitTest tests[] = {
                CASE(test_kept),
                CASE(test_dry_run),
                CASE(test_collisions_and_the_end),
                CASE(test_oldest_is_given_again),
                CASE(test_use_keeps_it),
                CASE(test_crashes),
                CASE(test_rubbish),
                CASE(test_wanted),
                CASE(test_avoid),
                CASE(test_smaller),
                CASE(test_unwritable),
                CASE(test_many_processes),
                CASE(test_killed_at_any_moment),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
