#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Who may include whom, who owns which foreign library, and what is never called (see HACKING.md):
#
#   tools/check-includes.sh                the whole of src/
#   tools/check-includes.sh FILE...        these files of src/ (as the pre-commit hook does)
#
# Prints FILE:LINE: what is wrong, and exits with 1 if there was anything. Needs nothing but awk.
set -eu
cd "$(dirname "$0")/.."

# Arguments that are no source files, such as a build folder, are left out.
n_given=$#
for file; do
        shift
        case $file in
        *.[ch]) [ ! -f "$file" ] || set -- "$@" "$file" ;;
        *) n_given=$((n_given - 1)) ;;
        esac
done
if [ "$n_given" = 0 ]; then
        # shellcheck disable=SC2046 # no name in src/ has a space
        set -- $(find src -name '*.[ch]' | LC_ALL=C sort)
fi
[ $# -gt 0 ] || exit 0

exec awk -v "top=$PWD/" '
BEGIN {
        # Each folder may include itself and these.
        may["basic"] = ""
        may["shared"] = "basic"
        may["netsetup"] = "shared basic"
        may["nspawn"] = "netsetup shared basic"
        may["machined"] = "netsetup shared basic"
        may["machinectl"] = "shared basic"
        may["nss"] = "basic"

        # Headers with owners: a pattern of the header, and one of the files that may include it.
        owner["netlink/"] = "^src/netsetup/"
        owner["nftables/"] = "^src/netsetup/"
        owner["systemd/sd-"] = "^src/(netsetup/(keeper|names)-[^/]*[.][ch]|shared/(host-scope[.]c|bus[.-].*)|machined/.*|machinectl/client[.]c)$"
        owner["elogind/"] = owner["systemd/sd-"]
        owner["seccomp.h"] = "^src/nspawn/(seccomp-[^/]*[.]c|test-seccomp[.]c)$"
        owner["pthread.h"] = "^$"
        owner["threads.h"] = "^$"
        owner["alloca.h"] = "^$"

        # Calls with owners; the system call of the same name counts, too.
        n = split("mount umount umount2 pivot_root open_tree open_tree_attr fsopen fspick fsconfig " \
                  "fsmount move_mount mount_setattr", names, " ")
        for (i = 1; i <= n; i++)
                call_owner[names[i]] = "^src/basic/mount-api[.]c$"
        call_owner["openat2"] = "^src/basic/root[.]c$"
        n = split("strtol strtoll strtoul strtoull", names, " ")
        for (i = 1; i <= n; i++)
                call_owner[names[i]] = "^src/basic/parse[.]c$"

        # Calls that product code never makes, and what to use instead.
        n = split("atoi atol atoll atof", names, " ")
        for (i = 1; i <= n; i++)
                never[names[i]] = "use basic/parse.h"
        n = split("sprintf vsprintf strcpy stpcpy strcat gets", names, " ")
        for (i = 1; i <= n; i++)
                never[names[i]] = "it knows no size; use snprintf(), memcpy() or basic/strbuf.h"
        never["strtok"] = "use strv_split()"
        never["system"] = never["popen"] = "use process_spawn() or process_capture()"
        never["signal"] = "use signalfd() or sigaction()"
        never["dup"] = "use fd_copy()"
        never["pipe"] = "use pipe2() with O_CLOEXEC"
        never["accept"] = "use accept4() with SOCK_CLOEXEC"
        never["usleep"] = never["sleep"] = "wait for the event instead"
        never["alloca"] = "use malloc()"
        never["pthread_create"] = never["thrd_create"] = "there are no threads"
}

function finding(text)
{
        printf "%s:%d: %s\n", file, FNR, text
        bad = 1
}

# The line without comments and without the content of strings and characters.
function code_of(line,    out, before)
{
        out = ""
        while (line != "") {
                if (in_comment) {
                        if (!match(line, /\*\//))
                                return out
                        line = substr(line, RSTART + 2)
                        in_comment = 0
                        continue
                }
                if (!match(line, /\/\*|\/\/|["\047]/))
                        return out line
                before = substr(line, RSTART, RLENGTH)
                out = out substr(line, 1, RSTART - 1)
                line = substr(line, RSTART + RLENGTH)
                if (before == "//")
                        return out
                if (before == "/*") {
                        in_comment = 1
                        out = out " "
                        continue
                }
                if (before == "\"" ? !match(line, /^([^"\\]|\\.)*"/) : !match(line, /^([^\047\\]|\\.)*\047/))
                        return out
                out = out before before
                line = substr(line, RLENGTH + 1)
        }
        return out
}

function check_own_include(name,    to)
{
        if (name !~ /^[a-z]+\/[^\/]+[.]h$/) {
                finding("\"" name "\": own headers are written with their folder, \"folder/name.h\"")
                return
        }
        to = name
        sub(/\/.*/, "", to)
        if (!is_test && to != folder && index(" " may[folder] " ", " " to " ") == 0)
                finding("src/" folder " may not include \"" name "\"" \
                        (may[folder] == "" ? "" : "; it may include " may[folder]))
}

function check_foreign_include(name,    key)
{
        for (key in owner)
                if (index(name, key) == 1 && file !~ owner[key])
                        finding("<" name "> does not belong here; it has one owner (tools/check-includes.sh)")
}

function check_calls(code,    rest, word, after, before)
{
        rest = code
        before = ""
        while (match(rest, /[A-Za-z_][A-Za-z_0-9]*/)) {
                if (RSTART > 1)
                        before = substr(rest, RSTART - 1, 1)
                word = substr(rest, RSTART, RLENGTH)
                rest = substr(rest, RSTART + RLENGTH)
                after = rest
                sub(/^[ \t]+/, "", after)
                # A member of that name is no call of the function.
                if (before != "." && before != ">")
                        check_word(word, substr(after, 1, 1) == "(")
                before = ""
        }
}

function check_word(word, is_call,    name)
{
        name = word
        if (sub(/^(SYS_|__NR_)/, "", name)) {
                if (name in call_owner && file !~ call_owner[name])
                        finding("the system call " name "() is only made in its own file")
                return
        }
        if (!is_call)
                return
        if (word in call_owner && file !~ call_owner[word])
                finding(word "() is only called in its own file")
        if (word in never)
                finding(word "() is not used: " never[word])
        if (word == "exit" && !in_main)
                finding("exit() is for main(); return an error, or _exit() after a clone")
        if (folder == "nss" && (word == "getenv" || word == "secure_getenv"))
                finding(word "() is not for a module that lives in foreign programs")
}

FNR == 1 {
        file = FILENAME
        if (index(file, top) == 1)
                file = substr(file, length(top) + 1)
        sub(/^[.]\//, "", file)
        split(file, parts, "/")
        folder = parts[2]
        is_test = file ~ /\/test-[^\/]*[.]c$/
        in_comment = in_main = 0
        skip = file !~ /^src\//
        if (!skip && !(folder in may)) {
                finding("tools/check-includes.sh does not know the folder src/" folder)
                skip = 1
        }
}

skip { next }

!in_comment && /^[ \t]*#[ \t]*include[ \t]/ {
        if (match($0, /"[^"]*"/))
                check_own_include(substr($0, RSTART + 1, RLENGTH - 2))
        else if (match($0, /<[^>]*>/))
                check_foreign_include(substr($0, RSTART + 1, RLENGTH - 2))
        next
}

{
        code = code_of($0)
        if (code ~ /^int main\(/)
                in_main = 1
        else if (code ~ /^}/)
                in_main = 0
        if (!is_test)
                check_calls(code)
}

END { exit bad }
' "$@"
