# shellcheck shell=bash disable=SC2034,SC2154 # what build sets and reads
# A tree whose only program is a tiny static init.

# shellcheck source=tests/trees/static.sh
. "$here/static.sh"
recipe_files=("$here/static.sh" "$here/stub-init.c")

make_tree() { # DIR
        make_static "$1" stub "Stub test tree" "$here/stub-init.c"
}
