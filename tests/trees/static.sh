# shellcheck shell=bash
# What the trees share whose only program is compiled here.

make_static() { # DIR ID NAME SOURCE
        require "${CC:-cc}" gcc
        make_folders "$1"
        write_os_release "$1" "$2" "$3"
        write_users "$1"
        install -d "$1/usr/lib/systemd"
        "${CC:-cc}" -static -O2 -Wall -o "$1/usr/lib/systemd/systemd" "$4" ||
                die "cannot compile a static program. On Debian: apt-get install libc6-dev"
}
