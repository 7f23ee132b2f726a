# shellcheck shell=bash disable=SC2034,SC2154 # what build sets and reads
# Debian 12 with runit.

# shellcheck source=tests/trees/debian.sh
. "$here/debian.sh"
recipe_files=("$here/debian.sh")

write_service() { # DIR NAME COMMAND
        write_file 755 "$1/etc/sv/$2/run" <<-END
		#!/bin/sh
		exec 2>&1
		exec $3
	END
        ln -s "/etc/sv/$2" "$1/etc/runit/runsvdir/default/$2"
        # The state of a supervised service does not outlive a boot.
        ln -s "/run/runit/supervise/$2" "$1/etc/sv/$2/supervise"
}

make_tree() { # DIR
        make_debian "$1" bookworm runit-init
        # There are no virtual terminals in a container. (Their scripts do the same at the first boot.)
        rm "$1"/etc/runit/runsvdir/default/getty-tty*
        write_service "$1" getty-console 'chpst -P getty 38400 console'
        write_service "$1" httpd 'busybox httpd -f -p 8080 -h /srv/www'
}
