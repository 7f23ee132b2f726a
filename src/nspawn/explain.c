/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "nspawn/explain.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "basic/fd.h"
#include "basic/io.h"
#include "basic/parse.h"
#include "basic/sandbox.h"
#include "basic/time-namespace.h"
#include "shared/names.h"

static void say(char text[EXPLAIN_MAX], const char *format, ...) PRINTF_LIKE(2, 3);
static void say(char text[EXPLAIN_MAX], const char *format, ...)
{
        va_list ap;

        va_start(ap, format);
        (void) vsnprintf(text, EXPLAIN_MAX, format, ap);
        va_end(ap);
}

/* ---- programs ---------------------------------------------------------------------------- */

const char *machine_name_of(unsigned machine, bool is_64, bool is_big_endian)
{
        static const struct {
                unsigned machine;
                const char *small_32, *small_64, *big_32, *big_64;
        } names[] = {
                { EM_X86_64, "x86_64", "x86_64", NULL, NULL },
                { EM_386, "i386", NULL, NULL, NULL },
                { EM_AARCH64, NULL, "aarch64", NULL, "aarch64_be" },
                { EM_ARM, "arm", NULL, "armeb", NULL },
                { EM_RISCV, "riscv32", "riscv64", NULL, NULL },
                { EM_PPC64, NULL, "ppc64le", NULL, "ppc64" },
                { EM_PPC, NULL, NULL, "ppc", NULL },
                { EM_S390, NULL, NULL, NULL, "s390x" },
                { EM_MIPS, "mipsel", "mips64el", "mips", "mips64" },
                { EM_SPARCV9, NULL, NULL, NULL, "sparc64" },
                { 258 /* EM_LOONGARCH */, NULL, "loongarch64", NULL, NULL },
                { EM_68K, NULL, NULL, "m68k", NULL },
        };

        for (size_t i = 0; i < ARRAY_SIZE(names); i++)
                if (names[i].machine == machine)
                        return is_big_endian ? (is_64 ? names[i].big_64 : names[i].big_32)
                                             : (is_64 ? names[i].small_64 : names[i].small_32);
        return NULL;
}

/* What this program is made for, which is what the host runs. */
static const char *own_machine(void)
{
#if defined(__x86_64__)
        return "x86_64";
#elif defined(__i386__)
        return "i386";
#elif defined(__aarch64__)
        return "aarch64";
#elif defined(__arm__)
        return "arm";
#elif defined(__riscv) && __riscv_xlen == 64
        return "riscv64";
#elif defined(__powerpc64__) && defined(__LITTLE_ENDIAN__)
        return "ppc64le";
#elif defined(__s390x__)
        return "s390x";
#elif defined(__loongarch64)
        return "loongarch64";
#else
        return "another machine";
#endif
}

static uint64_t number_at(const unsigned char *p, size_t n, bool is_big_endian)
{
        uint64_t v = 0;

        for (size_t i = 0; i < n; i++)
                v |= (uint64_t) p[is_big_endian ? n - 1 - i : i] << (8 * i);
        return v;
}

/* Copies text up to its NUL, a blank or @size bytes; what does not fit or is no text is "". */
static void copy_needs(const unsigned char *text, size_t size, struct program *p)
{
        size_t n = 0;

        while (n < size && text[n] > ' ' && text[n] != 0x7f)
                n++;
        if (n == 0 || n >= sizeof(p->needs) || text[0] != '/')
                return;
        memcpy(p->needs, text, n);
        p->needs[n] = '\0';
}

/* The dynamic loader, from the program header of that kind (elf(5)). Nothing in it is trusted. */
static void read_elf(const unsigned char *head, size_t size, struct program *p)
{
        size_t entry, n, length = p->is_64 ? sizeof(Elf64_Phdr) : sizeof(Elf32_Phdr);
        uint64_t table;

        if (size < (p->is_64 ? sizeof(Elf64_Ehdr) : sizeof(Elf32_Ehdr)))
                return;
        table = p->is_64 ? number_at(head + offsetof(Elf64_Ehdr, e_phoff), 8, p->is_big_endian)
                         : number_at(head + offsetof(Elf32_Ehdr, e_phoff), 4, p->is_big_endian);
        entry = number_at(head + (p->is_64 ? offsetof(Elf64_Ehdr, e_phentsize)
                                           : offsetof(Elf32_Ehdr, e_phentsize)),
                          2, p->is_big_endian);
        n = number_at(
                head + (p->is_64 ? offsetof(Elf64_Ehdr, e_phnum) : offsetof(Elf32_Ehdr, e_phnum)),
                2, p->is_big_endian);
        for (size_t i = 0; i < n && entry >= length; i++) {
                const unsigned char *h;
                uint64_t offset, bytes;

                if (table > size || size - table < entry * i + length)
                        return;
                h = head + table + entry * i;
                if (number_at(h, 4, p->is_big_endian) != PT_INTERP)
                        continue;
                offset = p->is_64 ? number_at(h + offsetof(Elf64_Phdr, p_offset), 8,
                                              p->is_big_endian)
                                  : number_at(h + offsetof(Elf32_Phdr, p_offset), 4,
                                              p->is_big_endian);
                bytes = p->is_64
                                ? number_at(h + offsetof(Elf64_Phdr, p_filesz), 8, p->is_big_endian)
                                : number_at(h + offsetof(Elf32_Phdr, p_filesz), 4,
                                            p->is_big_endian);
                if (offset < size && bytes <= size - offset)
                        copy_needs(head + offset, bytes, p);
                return;
        }
}

void program_read_head(const unsigned char *head, size_t size, struct program *p)
{
        p->kind = size == 0 ? PROGRAM_EMPTY : PROGRAM_OTHER;
        if (size >= EI_NIDENT + 4 && memcmp(head, ELFMAG, SELFMAG) == 0) {
                p->kind = PROGRAM_ELF;
                p->is_64 = head[EI_CLASS] == ELFCLASS64;
                p->is_big_endian = head[EI_DATA] == ELFDATA2MSB;
                p->machine = (unsigned) number_at(head + offsetof(Elf32_Ehdr, e_machine), 2,
                                                  p->is_big_endian);
                read_elf(head, size, p);
        } else if (size >= 2 && head[0] == '#' && head[1] == '!') {
                size_t i = 2;

                p->kind = PROGRAM_SCRIPT;
                while (i < size && (head[i] == ' ' || head[i] == '\t'))
                        i++;
                copy_needs(head + i, size - i, p);
        }
}

/* By its machine code. Whether there is something to say. */
static bool explain_machine(const char *path, const struct program *p, int error,
                            char text[EXPLAIN_MAX])
{
        const char *own = own_machine();
        const char *name = machine_name_of(p->machine, p->is_64, p->is_big_endian);
        char number[32];

        if (p->kind != PROGRAM_ELF || (error != -ENOEXEC && error != -ENOENT))
                return false;
        if (name && streq(name, own) && p->is_64)
                return false;
        if (!name) {
                (void) snprintf(number, sizeof(number), "machine number %u", p->machine);
                name = number;
        }
        if (error == -ENOEXEC && streq(own, "x86_64") &&
            (streq(name, "i386") || (streq(name, "x86_64") && !p->is_64)))
                say(text,
                    " This kernel does not run 32-bit programs such as '%s' "
                    "(CONFIG_IA32_EMULATION, "
                    "CONFIG_X86_X32_ABI).",
                    path);
        else if (streq(name, own) || (streq(own, "x86_64") && streq(name, "i386")))
                return false;
        else if (error == -ENOEXEC)
                say(text,
                    " The program '%s' is made for %s and this host is %s: that needs qemu-user "
                    "for %s, known to "
                    "the kernel by binfmt_misc (on Debian, the packages qemu-user-static and "
                    "binfmt-support). Or use a tree that is made for %s.",
                    path, name, own, name, own);
        else
                say(text,
                    " The program '%s' is made for %s, and the emulator for it that the kernel "
                    "knows by binfmt_misc "
                    "is not in the tree. Register it with the flag F.",
                    path, name);
        return true;
}

void program_explain(const char *path, const struct program *p, const struct program *other,
                     int error, char text[EXPLAIN_MAX])
{
        text[0] = '\0';
        if (p->kind == PROGRAM_SCRIPT && p->has_needs && other && error != -EACCES) {
                program_explain(p->needs, other, NULL, error, text);
                return;
        }
        if (error == -ENOENT && p->needs[0] && !p->has_needs) {
                say(text,
                    p->kind == PROGRAM_SCRIPT
                            ? " The file is there, but it is a script for '%s', which the tree "
                              "does not have."
                            : " The file is there, but it needs the dynamic loader '%s', which the "
                              "tree does "
                              "not have. Install the C library that it was made for.",
                    p->needs);
                return;
        }
        if (explain_machine(path, p, error, text))
                return;
        if (error == -ENOEXEC && p->kind == PROGRAM_EMPTY)
                say(text, " The file '%s' is empty.", path);
        else if (error == -ENOEXEC && p->kind == PROGRAM_OTHER)
                say(text,
                    " The file '%s' is neither a program nor a script with '#!' in its first line.",
                    path);
        else if (error == -EACCES && p->kind == PROGRAM_DIRECTORY)
                say(text, " Nobody can execute '%s': it is a directory.", path);
        else if (error == -EACCES && p->kind == PROGRAM_SPECIAL)
                say(text, " Nobody can execute '%s': it is not a regular file.", path);
        else if (error == -EACCES && p->kind != PROGRAM_MISSING && p->noexec)
                say(text,
                    " The file system that has '%s' is mounted with 'noexec'. Mount it with "
                    "'exec'.",
                    path);
        else if (error == -EACCES && p->kind != PROGRAM_MISSING && !p->may_execute)
                say(text, " The mode of '%s' lets nobody execute it (chmod +x).", path);
}

static void look_at_program(const char *path, struct program *p)
{
        unsigned char head[PROGRAM_HEAD_MAX];
        struct statvfs fs;
        struct stat st;
        int fd CLEANUP_FD = -1;
        ssize_t n;

        *p = (struct program){ .kind = PROGRAM_MISSING };
        if (stat(path, &st) < 0)
                return;
        p->may_execute = st.st_mode & 0111;
        p->noexec = statvfs(path, &fs) == 0 && fs.f_flag & ST_NOEXEC;
        if (!S_ISREG(st.st_mode)) {
                p->kind = S_ISDIR(st.st_mode) ? PROGRAM_DIRECTORY : PROGRAM_SPECIAL;
                return;
        }
        p->kind = PROGRAM_SECRET;
        fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
        n = fd >= 0 ? pread(fd, head, sizeof(head), 0) : -1;
        if (n < 0)
                return;
        program_read_head(head, (size_t) n, p);
        p->has_needs = p->needs[0] && access(p->needs, F_OK) == 0;
}

void explain_program(const char *path, int error, char text[EXPLAIN_MAX])
{
        struct program p, other = { .kind = PROGRAM_MISSING };

        look_at_program(path, &p);
        if (p.kind == PROGRAM_SCRIPT && p.has_needs)
                look_at_program(p.needs, &other);
        program_explain(path, &p, &other, error, text);
}

/* ---- namespaces -------------------------------------------------------------------------- */

static const struct {
        uint64_t flag;
        const char *file, *limit, *option, *words;
} kinds_of_namespaces[] = {
        { CLONE_NEWUSER, "user", "max_user_namespaces", "CONFIG_USER_NS", "user" },
        { CLONE_NEWNS, "mnt", "max_mnt_namespaces", "CONFIG_NAMESPACES", "mount" },
        { CLONE_NEWPID, "pid", "max_pid_namespaces", "CONFIG_PID_NS", "pid" },
        { CLONE_NEWIPC, "ipc", "max_ipc_namespaces", "CONFIG_IPC_NS", "ipc" },
        { CLONE_NEWUTS, "uts", "max_uts_namespaces", "CONFIG_UTS_NS", "uts" },
        { CLONE_NEWNET, "net", "max_net_namespaces", "CONFIG_NET_NS", "network" },
        { CLONE_NEWCGROUP, "cgroup", "max_cgroup_namespaces", "CONFIG_CGROUPS", "cgroup" },
        { CLONE_NEWTIME, "time", "max_time_namespaces", "CONFIG_TIME_NS", "time" },
};

static void look_at_namespaces(struct namespace_kinds *ret)
{
        *ret = (struct namespace_kinds){ .missing = 0 };
        for (size_t i = 0; i < ARRAY_SIZE(kinds_of_namespaces); i++) {
                uint64_t flag = kinds_of_namespaces[i].flag;
                char path[64], number[32];
                unsigned long limit = 0;

                (void) snprintf(path, sizeof(path), "/proc/self/ns/%s",
                                kinds_of_namespaces[i].file);
                if (access(path, F_OK) < 0 && errno == ENOENT)
                        ret->missing |= flag;
                (void) snprintf(path, sizeof(path), "/proc/sys/user/%s",
                                kinds_of_namespaces[i].limit);
                if (read_line_at(AT_FDCWD, path, number, sizeof(number)) >= 0 &&
                    parse_ulong(number, 0, ULONG_MAX, &limit) >= 0 && limit == 0)
                        ret->forbidden |= flag;
        }
}

void namespaces_explain(const struct namespace_kinds *kinds, uint64_t namespaces, int error,
                        char text[EXPLAIN_MAX])
{
        text[0] = '\0';
        for (size_t i = 0; i < ARRAY_SIZE(kinds_of_namespaces); i++) {
                uint64_t flag = namespaces & kinds_of_namespaces[i].flag;

                if (error == -EINVAL && kinds->missing & flag) {
                        say(text, " This kernel has no %s namespaces (%s).",
                            kinds_of_namespaces[i].words, kinds_of_namespaces[i].option);
                        return;
                }
                if (error == -ENOSPC && kinds->forbidden & flag) {
                        say(text, " The limit /proc/sys/user/%s is 0. Raise it.",
                            kinds_of_namespaces[i].limit);
                        return;
                }
        }
        if (error == -ENOSPC && namespaces == CLONE_NEWNS)
                say(text, " Raise the limit fs.mount-max, or /proc/sys/user/max_mnt_namespaces.");
        else if (error == -ENOSPC)
                say(text,
                    " Raise the limits in /proc/sys/user/, or start fewer containers inside of "
                    "each other.");
        else if (error == -EAGAIN)
                say(text, " A limit of processes is reached: that of this user (ulimit -u), of the "
                          "control group (pids.max), or of the host (kernel.pid_max, "
                          "kernel.threads-max).");
}

void explain_namespaces(uint64_t namespaces, int error, char text[EXPLAIN_MAX])
{
        static_assert(EXPLAIN_MAX >= SANDBOX_HINT_SIZE, "a hint fits");
        struct namespace_kinds kinds;

        if (error == -EPERM || error == -ENOSYS) {
                (void) sandbox_hint(SANDBOX_MOUNTS, text);
                return;
        }
        look_at_namespaces(&kinds);
        namespaces_explain(&kinds, namespaces, error, text);
}

/* ---- files ------------------------------------------------------------------------------- */

const char *storage_hint(int error)
{
        switch (error) {
        case -ENOSPC:
                return " The file system is full, or has no inodes left (df, df -i).";
        case -EDQUOT:
                return " The quota of that file system is used up.";
        case -EROFS:
                return " The file system is mounted read-only. Mount it for writing.";
        default:
                return "";
        }
}

/* ---- who --------------------------------------------------------------------------------- */

/* The value of a hexadecimal digit, or -1. */
static int digit_value(char c)
{
        if (c >= '0' && c <= '9')
                return c - '0';
        return (c | 0x20) >= 'a' && (c | 0x20) <= 'f' ? (c | 0x20) - 'a' + 10 : -1;
}

/* Undoes what unit names do to a '-' and other bytes: \x2d. */
static void unescape(const char *text, size_t n, char machine[PROGRAM_NAME_MAX])
{
        size_t out = 0;

        for (size_t i = 0; i < n && out + 1 < PROGRAM_NAME_MAX; i++) {
                int byte = -1;

                if (n - i >= 4 && text[i] == '\\' && text[i + 1] == 'x' &&
                    digit_value(text[i + 2]) >= 0 && digit_value(text[i + 3]) >= 0)
                        byte = digit_value(text[i + 2]) << 4 | digit_value(text[i + 3]);
                if (byte > ' ' && byte < 0x7f) {
                        machine[out++] = (char) byte;
                        i += 3;
                } else
                        machine[out++] = text[i];
        }
        machine[out] = '\0';
}

void machine_of_cgroup(const char *text, char machine[PROGRAM_NAME_MAX])
{
        const char *line = startswith(text, "0::"), *name, *end;

        machine[0] = '\0';
        if (!line) {
                line = strstr(text, "\n0::");
                line = line ? line + strlen("\n0::") : "";
        }
        end = line + strcspn(line, "\n");
        /* The first one: what is below it has been named by the guest. */
        for (name = line; !machine[0] && (name = strstr(name, "/machine-")) && name < end;) {
                const char *last;

                name += strlen("/machine-");
                last = strstr(name, ".scope");
                if (last && last < end && !memchr(name, '/', (size_t) (last - name)))
                        unescape(name, (size_t) (last - name), machine);
                if (!machine_name_is_valid(machine))
                        machine[0] = '\0';
        }
}

void machine_of_supervisor(pid_t pid, char machine[PROGRAM_NAME_MAX])
{
        char path[64], children[4096], text[8192];

        machine[0] = '\0';
        (void) snprintf(path, sizeof(path), "/proc/%d/task/%d/children", (int) pid, (int) pid);
        if (read_text_at(AT_FDCWD, path, children, sizeof(children)) < 0)
                return;
        for (char *rest = children, *word; !machine[0] && (word = strsep(&rest, " "));) {
                unsigned long child = 0;

                if (parse_ulong(word, 1, INT32_MAX, &child) < 0)
                        continue;
                (void) snprintf(path, sizeof(path), "/proc/%lu/cgroup", child);
                if (read_text_at(AT_FDCWD, path, text, sizeof(text)) >= 0)
                        machine_of_cgroup(text, machine);
        }
}
