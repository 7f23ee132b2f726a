#!/bin/sh
# What the project needs from Debian, by purpose. Printed, or installed where missing:
#
#   tools/dependencies.sh build tree              prints the packages
#   tools/dependencies.sh --missing build tree    prints those that are not installed
#   tools/dependencies.sh --install build tree    installs those (root)
set -eu

build='gcc libc6-dev make autoconf automake pkg-config
       libmount-dev libblkid-dev libcap-dev libseccomp-dev libnl-3-dev libnftables-dev
       libsystemd-dev'
tree='mmdebstrap debootstrap debian-archive-keyring busybox-static'
# What machines' networks need on the host, and what looks at it.
demo='python3 python3-pexpect dnsmasq-base iproute2 nftables'
check='libcmocka-dev python3 python3-pytest python3-pexpect systemd-container strace
       iproute2 nftables dnsmasq-base procps util-linux xz-utils btrfs-progs iperf3'
# Hosts in virtual machines. ./check leaves them out where the emulator cannot be installed.
vm='qemu-system-x86 mmdebstrap debian-archive-keyring busybox-static e2fsprogs'
# Nice to have: ./check leaves out the step of a tool that is not there, and says so.
lint='clang-format clang-tidy cppcheck shellcheck zsh'
# The same: fuzzing needs clang's engine, and llvm has the names for its reports.
fuzz='clang libclang-rt-dev llvm'

usage() {
        echo "usage: $0 [--missing|--install] build|tree|demo|check|vm|lint|fuzz ..." >&2
        exit 1
}

is_installed() {
        case $(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null) in
        installed) return 0 ;;
        esac
        # Either library provides the D-Bus client, and they exclude each other.
        [ "$1" = libsystemd-dev ] && pkg-config --exists libelogind 2>/dev/null
}

packages() {
        for group; do
                case $group in
                build) echo "$build" ;;
                tree) echo "$tree" ;;
                demo) echo "$demo" ;;
                check) echo "$check" ;;
                vm) echo "$vm" ;;
                lint) echo "$lint" ;;
                fuzz) echo "$fuzz" ;;
                *) usage ;;
                esac
        done | tr -s '[:space:]' '\n' | sed '/^$/d' | sort -u
}

missing() {
        wanted=$(packages "$@")
        for package in $wanted; do
                is_installed "$package" || echo "$package"
        done
}

install_missing() {
        list=$(missing "$@")
        [ -n "$list" ] || return 0
        if ! command -v apt-get >/dev/null; then
                echo "This is not a Debian host; please install by hand: $(echo "$list" | tr '\n' ' ')" >&2
                return 1
        fi
        if [ "$(id -u)" != 0 ]; then
                echo "Installing packages needs root. Missing: $(echo "$list" | tr '\n' ' ')" >&2
                return 1
        fi
        export DEBIAN_FRONTEND=noninteractive
        apt-get -q -y -o Acquire::Retries=3 update || return 1
        # shellcheck disable=SC2086 # a list of words
        apt-get -q -y -o Acquire::Retries=3 -o Dpkg::Use-Pty=0 \
                install --no-install-recommends $list
}

[ $# -gt 0 ] || usage
case $1 in
--missing) shift; [ $# -gt 0 ] || usage; missing "$@" ;;
--install) shift; [ $# -gt 0 ] || usage; install_missing "$@" ;;
-*) usage ;;
*) packages "$@" ;;
esac
