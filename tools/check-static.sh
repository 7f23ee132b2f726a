#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# clang-tidy and cppcheck over all product code, with nothing found as the base line.
# usage: check-static.sh BUILD-DIRECTORY
set -u
cd "$(dirname "$0")/.." || exit 1
build=${1:?usage: check-static.sh BUILD-DIRECTORY}
status=0
skipped=0

files=$(find src -name '*.c' ! -name 'test-*' | sort)
flags="-std=gnu17 -D_GNU_SOURCE -Isrc -I$build -include $build/config.h"
flags="$flags $(pkg-config --cflags libsystemd 2>/dev/null || pkg-config --cflags libelogind)"
flags="$flags $(pkg-config --cflags libnl-3.0 libnftables)"

if command -v clang-tidy >/dev/null; then
        # Each file on its own, as many at a time as there are processors.
        # shellcheck disable=SC2086 # the flags are words
        found=$(printf '%s\n' $files |
                xargs -P "$(nproc)" -I '{}' clang-tidy --quiet '{}' -- $flags '-DLIBEXECDIR="/libexec"' 2>/dev/null |
                grep .) && printf '%s\n' "$found" && status=1
else
        echo "clang-tidy is not installed: not run"
        skipped=1
fi

# Not asked for, because the house decides otherwise or because cppcheck does not know the cleanup
# attribute: variables are declared at the top of their block (variableScope); what is released by
# its declaration looks leaked (memleak) or unused (unreadVariable); members that only the kernel
# or a table reads look unused (unusedStructMember).
if command -v cppcheck >/dev/null; then
        # shellcheck disable=SC2086
        cppcheck -j "$(nproc)" --enable=warning,style,performance,portability --inline-suppr -q \
                --suppress=missingIncludeSystem --suppress=variableScope --suppress=memleak \
                --suppress=unreadVariable --suppress=unusedStructMember \
                --suppress=internalAstError --error-exitcode=1 --std=c11 -Isrc -D_GNU_SOURCE \
                -D__linux__ '-DLIBEXECDIR="/libexec"' '-DMINIMUM_KERNEL="5.15"' \
                -DCOMPATIBILITY_LEVEL=257 '-DPACKAGE_VERSION="0"' $files || status=1
else
        echo "cppcheck is not installed: not run"
        skipped=1
fi
[ "$status" = 0 ] && [ "$skipped" = 1 ] && exit 77
exit "$status"
