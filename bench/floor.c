/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * What the kernel alone asks for one start: the namespaces of a container and about the same
 * mounts, and nothing else. No option is checked, nothing is limited, filtered, logged or
 * registered. It is no launcher, only the number that launchers are measured against.
 *
 *      floor [-n] [-u BASE] TREE PROGRAM [ARGUMENT…]
 *
 * -n: a network namespace; -u: a user namespace with 64K ids from BASE, and an id-mapped root.
 * The child shares our table of descriptors until its exec, so nothing has to be sent.
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <net/if.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define LOCKED (MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC)
#define READ_ONLY (LOCKED | MOUNT_ATTR_RDONLY)
#define AT_SUBTREE 0x8000 /* AT_RECURSIVE */
#define PROPAGATION_PRIVATE (1 << 18)
#define PROPAGATION_SHARED (1 << 20)

struct floor {
        int network;
        unsigned base; /* 0: no user namespace */
        int root, tmp, sys, dev, shm, pts, run;
        int proc, sysfs; /* the child's: of its own namespaces */
};

/* Every step is needed: the first that fails ends it. */
static long must(long r, const char *step)
{
        if (r < 0)
                err(125, "%s", step);
        return r;
}

static int attributes(int fd, uint64_t set, uint64_t propagation, int flags)
{
        struct mount_attr a = { .attr_set = set, .propagation = propagation };

        return (int) syscall(SYS_mount_setattr, fd, "", flags | AT_EMPTY_PATH, &a, sizeof(a));
}

/* @options: "key=value,…" */
static int new_mount(const char *type, const char *options, uint64_t set)
{
        int fs = (int) must(syscall(SYS_fsopen, type, FSOPEN_CLOEXEC), type), fd;
        char copy[128], *rest = copy;

        (void) snprintf(copy, sizeof(copy), "%s", options);
        for (char *key = strsep(&rest, ","); key && *key; key = strsep(&rest, ",")) {
                char *value = strchr(key, '=');

                *value++ = '\0';
                must(syscall(SYS_fsconfig, fs, FSCONFIG_SET_STRING, key, value, 0), key);
        }
        must(syscall(SYS_fsconfig, fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0), type);
        fd = (int) must(syscall(SYS_fsmount, fs, FSMOUNT_CLOEXEC, (unsigned) set), type);
        (void) close(fs);
        return fd;
}

static int owned_tmpfs(const struct floor *f, const char *options, uint64_t set)
{
        char all[128];

        (void) snprintf(all, sizeof(all), "%s,uid=%u,gid=%u", options, f->base, f->base);
        return new_mount("tmpfs", all, set);
}

static void attach(int fd, const char *target)
{
        must(syscall(SYS_move_mount, fd, "", AT_FDCWD, target, MOVE_MOUNT_F_EMPTY_PATH), target);
        (void) close(fd);
}

static int copy_mount(const char *path)
{
        return (int) syscall(SYS_open_tree, AT_FDCWD, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
}

/* A path shown at another place; what the kernel does not have is left out. */
static void show(const char *source, const char *target, uint64_t set)
{
        int fd = access(target, F_OK) == 0 ? copy_mount(source) : -1;

        if (fd < 0)
                return;
        must(attributes(fd, set, 0, 0), target);
        attach(fd, target);
}

static void directory(const struct floor *f, int fd, const char *path, mode_t mode)
{
        must(mkdirat(fd, path, mode), path);
        if (f->base)
                must(fchownat(fd, path, f->base, f->base, 0), path);
}

static void prepare_dev(struct floor *f)
{
        static const struct {
                const char *name;
                unsigned major, minor;
        } nodes[] = { { "null", 1, 3 },   { "zero", 1, 5 },    { "full", 1, 7 },
                      { "random", 1, 8 }, { "urandom", 1, 9 }, { "tty", 5, 0 } };
        static const char *const links[][2] = {
                { "fd", "/proc/self/fd" },       { "stdin", "/proc/self/fd/0" },
                { "stdout", "/proc/self/fd/1" }, { "stderr", "/proc/self/fd/2" },
                { "core", "/proc/kcore" },       { "ptmx", "pts/ptmx" },
                { "console", "pts/0" },
        };
        static const char *const directories[] = { "shm", "mqueue", "pts", "net", "char" };

        f->dev = owned_tmpfs(f, "mode=0755,size=4m", MOUNT_ATTR_NOSUID);
        for (size_t i = 0; i < COUNT(nodes); i++) {
                must(mknodat(f->dev, nodes[i].name, S_IFCHR | 0666,
                             makedev(nodes[i].major, nodes[i].minor)),
                     nodes[i].name);
                if (f->base)
                        must(fchownat(f->dev, nodes[i].name, f->base, f->base, 0), "chown");
        }
        for (size_t i = 0; i < COUNT(links); i++)
                must(symlinkat(links[i][1], f->dev, links[i][0]), links[i][0]);
        for (size_t i = 0; i < COUNT(directories); i++)
                directory(f, f->dev, directories[i], 0755);
}

static void prepare(struct floor *f, const char *tree)
{
        (void) umask(0);
        f->root = (int) must(syscall(SYS_open_tree, AT_FDCWD, tree,
                                     OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_SUBTREE),
                             tree);
        must(attributes(f->root, 0, PROPAGATION_PRIVATE, AT_SUBTREE), "private root");
        f->tmp = owned_tmpfs(f, "mode=01777,size=10%", MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV);
        f->sys = f->network ? owned_tmpfs(f, "mode=0555,size=4m", LOCKED)
                            : new_mount("sysfs", "", READ_ONLY);
        prepare_dev(f);
        f->shm = owned_tmpfs(f, "mode=01777,size=10%", MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV);
        f->pts = new_mount("devpts", "ptmxmode=0666,mode=0620,gid=5",
                           MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC);
        f->run = owned_tmpfs(f, "mode=0755,size=20%", MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV);
        directory(f, f->run, "host", 0755);
        must(mknodat(f->run, "host/nothing", S_IFREG, 0), "mknod");
        must(mknodat(f->run, "host/boot-id", S_IFREG | 0444, 0), "mknod");
        must(mknodat(f->run, "host/kmsg", S_IFIFO | 0600, 0), "mknod");
}

/* The container's own file systems, and what of them is not for its eyes or hands. */
static void mount_inside(const struct floor *f)
{
        static const char *const hidden[] = { "kallsyms", "kcore", "keys", "sysrq-trigger",
                                              "timer_list" };
        static const char *const fixed[] = { "sys", "acpi", "asound", "bus", "fs", "irq", "scsi" };
        static const char *const parts[] = { "block", "bus", "class", "dev", "devices", "kernel" };
        char path[64], other[64];

        show("/run/host", "/run/host", READ_ONLY);
        attach(f->proc, "/proc");
        for (size_t i = 0; i < COUNT(fixed); i++) {
                (void) snprintf(path, sizeof(path), "/proc/%s", fixed[i]);
                show(path, path, READ_ONLY);
        }
        for (size_t i = 0; i < COUNT(hidden); i++) {
                (void) snprintf(path, sizeof(path), "/proc/%s", hidden[i]);
                show("/run/host/nothing", path, READ_ONLY);
        }
        if (f->network) {
                must(mkdir("/sys/full", 0755), "/sys/full");
                attach(f->sysfs, "/sys/full");
                for (size_t i = 0; i < COUNT(parts); i++) {
                        (void) snprintf(path, sizeof(path), "/sys/full/%s", parts[i]);
                        (void) snprintf(other, sizeof(other), "/sys/%s", parts[i]);
                        must(mkdir(other, 0755), other);
                        show(path, other, READ_ONLY);
                }
                must(umount2("/sys/full", MNT_DETACH), "umount");
                must(mkdir("/sys/fs", 0755), "/sys/fs");
                must(mkdir("/sys/fs/cgroup", 0755), "/sys/fs/cgroup");
        }
        attach(new_mount("mqueue", "", LOCKED), "/dev/mqueue");
        attach(new_mount("cgroup2", "", LOCKED), "/sys/fs/cgroup");
        show("/run/host/boot-id", "/proc/sys/kernel/random/boot_id", READ_ONLY);
        show("/run/host/kmsg", "/proc/kmsg", LOCKED);
        attach(copy_mount("/run/host"), "/run/host");
}

static void raise_loopback(void)
{
        int fd = (int) must(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), "socket");
        struct ifreq request = { .ifr_name = "lo", .ifr_flags = IFF_UP };

        must(ioctl(fd, SIOCSIFFLAGS, &request), "lo");
}

static _Noreturn void child(struct floor *f, const char *tree, int wait_fd, char **argv)
{
        static char *const environment[] = { (char *) "PATH=/usr/sbin:/usr/bin:/sbin:/bin", NULL };
        char byte;

        if (must(read(wait_fd, &byte, 1), "read") != 1)
                _exit(125);
        if (f->base) {
                must(setresgid(0, 0, 0), "setresgid");
                must(setresuid(0, 0, 0), "setresuid");
        }
        /* In a user namespace this can be made only while another one is to be seen. */
        f->proc = new_mount("proc", "", LOCKED);
        if (f->network)
                f->sysfs = new_mount("sysfs", "", READ_ONLY);
        must(syscall(SYS_mount_setattr, AT_FDCWD, "/", AT_SUBTREE,
                     &(struct mount_attr){ .propagation = PROPAGATION_PRIVATE },
                     sizeof(struct mount_attr)),
             "private");
        must(syscall(SYS_move_mount, f->root, "", AT_FDCWD, tree, MOVE_MOUNT_F_EMPTY_PATH), tree);
        must(fchdir(f->root), "fchdir");
        must(syscall(SYS_pivot_root, ".", "."), "pivot_root");
        must(umount2(".", MNT_DETACH), "umount");
        attach(f->tmp, "/tmp");
        attach(f->sys, "/sys");
        attach(f->dev, "/dev");
        attach(f->shm, "/dev/shm");
        attach(f->pts, "/dev/pts");
        attach(f->run, "/run");
        mount_inside(f);
        must(syscall(SYS_mount_setattr, AT_FDCWD, "/", AT_SUBTREE,
                     &(struct mount_attr){ .propagation = PROPAGATION_SHARED },
                     sizeof(struct mount_attr)),
             "shared");
        if (f->network)
                raise_loopback();
        must(sethostname("floor", 5), "sethostname");
        must(setsid(), "setsid");
        execve(argv[0], argv, environment);
        err(125, "%s", argv[0]);
}

static void write_map(pid_t pid, const char *name, unsigned base)
{
        char path[64], text[64];
        int n = snprintf(text, sizeof(text), "0 %u 65536\n", base), fd;

        (void) snprintf(path, sizeof(path), "/proc/%d/%s", (int) pid, name);
        fd = (int) must(open(path, O_WRONLY | O_CLOEXEC), path);
        must(write(fd, text, (size_t) n), path);
        (void) close(fd);
}

static void map_ids(const struct floor *f, pid_t pid)
{
        struct mount_attr a = { .attr_set = MOUNT_ATTR_IDMAP };
        char path[64];

        write_map(pid, "uid_map", f->base);
        write_map(pid, "gid_map", f->base);
        (void) snprintf(path, sizeof(path), "/proc/%d/ns/user", (int) pid);
        a.userns_fd = (uint64_t) must(open(path, O_RDONLY | O_CLOEXEC), path);
        must(syscall(SYS_mount_setattr, f->root, "", AT_EMPTY_PATH | AT_SUBTREE, &a, sizeof(a)),
             "id map");
}

int main(int argc, char **argv)
{
        struct floor f = { 0 };
        struct clone_args args = { .exit_signal = SIGCHLD,
                                   .flags = CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWIPC |
                                            CLONE_NEWUTS | CLONE_NEWCGROUP | CLONE_FILES };
        int option, status, go[2];
        long pid;

        while ((option = getopt(argc, argv, "+nu:")) >= 0)
                if (option == 'n')
                        f.network = 1;
                else if (option == 'u')
                        f.base = (unsigned) strtoul(optarg, NULL, 10);
                else
                        return 125;
        if (argc - optind < 2)
                errx(125, "floor [-n] [-u BASE] TREE PROGRAM [ARGUMENT…]");
        if (f.network)
                args.flags |= CLONE_NEWNET;
        if (f.base)
                args.flags |= CLONE_NEWUSER;
        must(pipe2(go, O_CLOEXEC), "pipe");
        prepare(&f, argv[optind]);
        pid = must(syscall(SYS_clone3, &args, sizeof(args)), "clone3");
        if (pid == 0)
                child(&f, argv[optind], go[0], argv + optind + 1);
        if (f.base)
                map_ids(&f, (pid_t) pid);
        must(write(go[1], "", 1), "write");
        must(waitpid((pid_t) pid, &status, 0), "waitpid");
        return WIFEXITED(status) ? WEXITSTATUS(status) : 125;
}
