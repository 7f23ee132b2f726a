# shellcheck shell=bash disable=SC2034,SC2154 # what build sets and reads
# In place of Debian 8 and 9, which Debian's mirrors no longer serve: a tree whose only program is a
# static init that looks for the control groups of their systemd.

# shellcheck source=tests/trees/static.sh
. "$here/static.sh"
recipe_files=("$here/static.sh" "$here/oldcgroup-init.c")

make_tree() { # DIR
        make_static "$1" oldcgroup "Tree that needs control groups of version 1" "$here/oldcgroup-init.c"
}
