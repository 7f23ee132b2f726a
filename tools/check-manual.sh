#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# The manual has a paragraph for each option, and none for an option that is not there:
#
#   tools/check-manual.sh [BUILD-FOLDER]
#
# $NSPAWN, or "nspawn" in the build folder (without an argument, the working directory), is the
# launcher that is asked with --help. Exit status 77: it is not built.
set -eu
manual=$(dirname "$0")/../man/nspawn.1
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
[ "$status" != 0 ] || echo "$(of_help | wc -l) options have their paragraph"
exit "$status"
