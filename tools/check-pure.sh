#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# What decides makes no system calls: the objects of the plan need nothing from the C library but
# memory, text and numbers. So a plan can be printed, compared and tested without privileges.
#
#   tools/check-pure.sh [BUILD-FOLDER | OBJECT...]
#
# Without arguments $BUILD or the working directory is the build folder. A function that an object
# does not have itself must be of our own, or be in the list below. Exit status 1: an object needs
# more than that; 77: there is nothing built to look at.
set -eu

pure='firewall-elements firewall-rules firewall-sets keeper-message names-config net-plan net-print port-health bind-user-record ifname net-config pool net-manager plan mount-plan rootfs-plan plan-print config config-network settings-file seccomp-groups families tint unescape names siphash strbuf strv failure'

# What the C library may be asked for. All of it works on memory that it is given, or allocates.
allowed='
free malloc calloc realloc reallocarray
memcpy memmove memset memcmp memchr explicit_bzero
strlen strnlen strcmp strncmp strcasecmp strncasecmp strchr strrchr strstr strspn strcspn strpbrk
strsep strdup strndup stpncpy strncpy
snprintf vsnprintf asprintf vasprintf sscanf
qsort bsearch
libc_current_sigrtmin libc_current_sigrtmax sigabbrev_np strerrordesc_np
inet_pton inet_ntop fnmatch
errno_location assert_fail gnu_dev_major gnu_dev_minor gnu_dev_makedev
'

# Objects that also touch the system. A pure object may not call those of our functions
# that live in these objects, except the ones that are pure themselves.
mixed='journal-link etc-files resolv-conf property host ids facts seccomp path idmap id128 caps parse'
pure_in_mixed='
etc_plan_build etc_way_name
resolv_conf_is_ours resolv_conf_names_nobody resolv_conf_add_upstream
journal_plan_build journal_way_name
property_set_add property_set_done property_set_find property_set_describe property_name
scope_describe scope_describe_devices
seccomp_spec_is_default seccomp_describe
path_is_normalized path_is_below path_basename path_join
idmap_to_text idmap_parse idmap_base_from_name idmap_base_is_pickable
id128_parse id128_is_null id128_to_uuid id128_to_plain
cap_name caps_parse
signal_to_text parse_signal parse_ulong parse_long parse_boolean parse_size parse_percent
parse_timespan_us parse_uid parse_cpu_list cpu_mask_from_list cpu_mask_intersects env_name_is_valid
'

has_word() { # LIST WORD
        # shellcheck disable=SC2086,SC2116 # lists have line ends, which become spaces
        case " $(echo $1) " in
        *" $2 "*) return 0 ;;
        esac
        return 1
}

# Objects of this name: src/nspawn/plan.o, or with automake's prefix, src/nspawn/libnspawn_a-plan.o.
find_objects() { # NAME
        find "$build/src" -name "$1.o" -o -name "*[a-z]-$1.o" | LC_ALL=C sort | while read -r object; do
                base=$(basename "$object" .o)
                # "mount-plan.o" is not automake's "plan.o" with a prefix.
                case $base in
                "$1" | *_a-"$1" | seccomp_*-"$1" | *_test_*-"$1") echo "$object" ;;
                esac
        done
}

# The C library's name of a function, without the decoration that compilers and hardening add.
plain_name() { # SYMBOL
        echo "$1" | sed -e 's/@.*//' -e 's/^__isoc[0-9]*_//' -e 's/^__//' -e 's/_chk$//'
}

is_of_the_compiler() { # SYMBOL
        case $1 in
        __stack_chk_* | _GLOBAL_OFFSET_TABLE_ | __asan_* | __ubsan_* | __sanitizer_* | __tsan_* | \
                __gcov_* | __llvm_* | __udivti3 | __divti3 | __umodti3) return 0 ;;
        esac
        return 1
}

check_object() { # OBJECT
        for symbol in $($nm -u "$1" | awk '{ print $NF }'); do
                if is_of_the_compiler "$symbol"; then
                        continue
                elif has_word "$ours_mixed" "$symbol"; then
                        has_word "$pure_in_mixed" "$symbol" ||
                                echo "$1: calls $symbol(), which is not known to be pure"
                elif ! has_word "$ours" "$symbol"; then
                        has_word "$allowed" "$(plain_name "$symbol")" ||
                                echo "$1: needs '$symbol'"
                fi
        done
}

defined_in() { # OBJECT...
        [ $# -eq 0 ] || $nm -g --defined-only "$@" 2>/dev/null | awk 'NF == 3 { print $3 }' | sort -u
}

nm=${NM:-nm}
if ! command -v "$nm" >/dev/null; then
        echo "'$nm' is not installed"
        exit 77
fi
build=${BUILD:-.}
objects=''
case ${1-} in
*.o)
        objects=$*
        build=$(dirname "$1")
        while [ ! -d "$build/src" ] && [ "$build" != / ] && [ "$build" != . ]; do
                build=$(dirname "$build")
        done
        ;;
?*) build=$1 ;;
esac
if [ ! -d "$build/src" ]; then
        echo "'$build' is not a build folder"
        exit 77
fi

# shellcheck disable=SC2046 # no name has a space
{
        ours=$(defined_in $(find "$build/src" -name '*.o'))
        ours_mixed=$(for name in $mixed; do defined_in $(find_objects "$name"); done)
}
if [ -z "$objects" ]; then
        for name in $pure; do
                found=$(find_objects "$name")
                if [ -z "$found" ]; then
                        echo "there is no object '$name.o' below '$build/src'; nothing is built there"
                        exit 77
                fi
                objects="$objects $found"
        done
fi

# shellcheck disable=SC2086 # a list of names
findings=$(for object in $objects; do check_object "$object"; done)
if [ -n "$findings" ]; then
        echo "$findings"
        exit 1
fi
# shellcheck disable=SC2086 # a list of names
echo "$(echo $objects | wc -w) objects make no system calls"
