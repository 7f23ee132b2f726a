#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# The manual has a paragraph for each option, and none for an option that is not there; and so it
# has for the keys of settings files, which are compared with the option table. What is built
# and what is not is for check-options.sh.
#
#   tools/check-manual.sh [BUILD-FOLDER]
#
# $NSPAWN, or "nspawn" in the build folder (without an argument, the working directory), is the
# launcher that is asked with --help. Exit status 77: it is not built.
set -eu
top=$(dirname "$0")/..
manual=$top/man/nspawn.1
manual_of_keys=$top/man/nspawn.5
nspawn=${NSPAWN:-${1:-.}/nspawn}

if [ ! -x "$nspawn" ]; then
        echo "'$nspawn' is not built; NSPAWN names the launcher"
        exit 77
fi
help=$("$nspawn" --help)

# "  -D --directory=PATH   Root directory": both names; an option without a long name has its letter.
of_help() {
        echo "$help" | sed -n -e 's/^  \(-[A-Za-z]\| \{2\}\) --\([a-z0-9-]*\).*/--\2/p' \
                -e 's/^  \(-[A-Za-z]\)  *[^ -].*/\1/p' | sort -u
}

letters_of_help() {
        echo "$help" | sed -n 's/^  \(-[A-Za-z]\) --\([a-z0-9-]*\).*/\1 --\2/p' | sort -u
}

# The first line of a tagged paragraph (.TP, and .TQ for a further name of the same option).
tags() {
        sed -e 's/\\-/-/g' -e 's/\\f[A-Z]//g' "$manual" |
                awk 'tag { print; tag = 0 } /^\.(TP|TQ)/ { tag = 1 }'
}

of_manual() {
        tags | grep -o -e '--[a-z][a-z0-9-]*' | sort -u
}

status=0
fail() {
        echo "man/nspawn.1: $*"
        status=1
}

for name in $(of_help); do
        case $name in
        --*) of_manual | grep -qx -e "$name" || fail "no paragraph begins with '$name'" ;;
        *) tags | grep -q -e "^\.[A-Z]* $name\b" || fail "no paragraph begins with '$name'" ;;
        esac
done
letters_of_help | {
        while read -r letter name; do
                tags | grep -e "$name\b" | grep -q -e "$letter\b" ||
                        fail "the paragraph of '$name' does not tell its letter '$letter'"
        done
        exit "$status"
} || status=1
# Other spellings are not in --help, but the launcher knows them: it does not say "unrecognized".
for name in $(of_manual); do
        of_help | grep -qx -e "$name" && continue
        ! "$nspawn" "$name=x" --version 2>&1 | grep -q -e "unrecognized option" ||
                fail "the launcher does not know '$name'"
done

# "Exec Boot": section and key. LimitCPU= and the others are one row, Limit*; the keys of [Resources]
# are one row, too, but each is a property of its own table, besides the one that is no resource.
keys_of_table() {
        "$(dirname "$nspawn")/src/nspawn/print-options" |
                awk -F '\t' '$5 != "-" && $5 != "Resources" { print $5, $6 }'
        sed -n -e '/"Description"/d' -e 's/.*\[PROPERTY_[A-Z_]*\] = { "\([A-Za-z]*\)".*/Resources \1/p' \
                "$top/src/shared/property.c"
        echo 'Exec Parameters'
}

# The paragraphs of a section, and those below "[Section]:" in the list of what is not built.
keys_of_manual() {
        sed -e 's/\\-/-/g' -e 's/\\f[A-Z]//g' "$manual_of_keys" | awk '
                /^\.SH SECTION \[/ { section = substr($3, 2, 1) tolower(substr($3, 3, length($3) - 3)) }
                /^\[[A-Z][a-z]*\]:/ { section = substr($1, 2, length($1) - 3) }
                tag { key = $2; sub(/=.*/, "", key); if (key ~ /^[A-Z]/) print section, key; tag = 0 }
                /^\.(TP|TQ)/ { tag = 1 }
                /^\.SH EXAMPLES/ { exit }' | sed 's/^Exec Limit[A-Z]*$/Exec Limit*/' | sort -u
}

differences=$(mktemp)
trap 'rm -f "$differences"' EXIT
keys_of_table | sort -u >"$differences"
keys_of_manual | diff "$differences" - | sed -n -e 's/^< /no paragraph begins with the key /p' \
        -e 's/^> /the option table does not have the key /p' >"$differences.found"
mv "$differences.found" "$differences"
while read -r line; do
        echo "man/nspawn.5: $line"
        status=1
done <"$differences"
[ "$status" != 0 ] || echo "$(keys_of_table | wc -l) keys have their paragraph"
[ "$status" != 0 ] || echo "$(of_help | wc -l) options have their paragraph"
exit "$status"
