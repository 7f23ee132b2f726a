# shellcheck shell=bash disable=SC2034,SC2154 # what build sets and reads
# Debian 12 with System V init.

# shellcheck source=tests/trees/debian.sh
. "$here/debian.sh"
recipe_files=("$here/debian.sh")

make_tree() { # DIR
        make_debian "$1" bookworm sysvinit-core
        write_init_script "$1"
        chroot "$1" update-rc.d httpd defaults
        # There are no virtual terminals in a container.
        sed -i -e '/getty.* tty[1-6]$/d' -e '$a1:2345:respawn:/sbin/getty --noclear 38400 console' \
                "$1/etc/inittab"
}
