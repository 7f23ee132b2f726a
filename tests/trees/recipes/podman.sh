# shellcheck shell=bash disable=SC2034,SC2154 # what build sets and reads
# Debian 12 with other programs that make containers. No init: what is run in it is a command.

# shellcheck source=tests/trees/debian.sh
. "$here/debian.sh"
recipe_files=("$here/debian.sh")

make_tree() { # DIR
        make_debian "$1" bookworm podman,crun,conmon,fuse-overlayfs,bubblewrap,uidmap
        # A range for the containers of the plain user, behind those that others may have.
        echo 'guest:131072:65536' | tee "$1/etc/subuid" >"$1/etc/subgid"
        # The page that all trees have, in an image without a registry.
        install -d "$1/srv/image/bin" "$1/srv/image/www"
        install -m 755 "$1/bin/busybox" "$1/srv/image/bin/busybox"
        ln -s busybox "$1/srv/image/bin/sh"
        cp "$1/srv/www/index.html" "$1/srv/image/www/"
}
