# shellcheck shell=bash disable=SC2034,SC2154 # what build sets and reads
# Debian 12 with finit.

# shellcheck source=tests/trees/debian.sh
. "$here/debian.sh"
recipe_files=("$here/debian.sh")

make_tree() { # DIR
        make_debian "$1" bookworm finit-sysv,finit-plugins
        # There are no virtual terminals in a container.
        rm "$1/etc/finit.d/getty.conf"
        write_file 644 "$1/etc/finit.d/console.conf" <<-'END'
		tty [12345] /dev/console linux nowait
	END
        write_file 644 "$1/etc/finit.d/httpd.conf" <<-'END'
		service [2345] /bin/busybox httpd -f -p 8080 -h /srv/www -- One small page
	END
}
