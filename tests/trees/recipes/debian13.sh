# shellcheck shell=bash disable=SC2034,SC2154 # what build sets and reads
# Debian 13 with systemd; all but the release is as in Debian 12.

# shellcheck source=tests/trees/recipes/debian12.sh
. "$here/recipes/debian12.sh"
recipe_files+=("$here/recipes/debian12.sh")

make_tree() { # DIR
        make_debian "$1" trixie "$systemd_packages"
        write_unit "$1"
}
