# shellcheck shell=bash disable=SC2034,SC2154 # what build sets and reads
# Debian 12 with OpenRC and its own init.

# shellcheck source=tests/trees/debian.sh
. "$here/debian.sh"
recipe_files=("$here/debian.sh")

write_service() { # DIR
        write_file 755 "$1/etc/init.d/httpd" <<-'END'
		#!/sbin/openrc-run
		description="one small page"
		command=/bin/busybox
		command_args="httpd -f -p 8080 -h /srv/www"
		command_background=true
		pidfile=/run/httpd.pid
	END
        chroot "$1" rc-update add httpd default
}

make_tree() { # DIR
        make_debian "$1" bookworm openrc,initscripts
        # The package brings the program; to make it process 1 is left to the administrator.
        ln -s openrc-init "$1/sbin/init"
        ln -s agetty "$1/etc/init.d/agetty.console"
        chroot "$1" rc-update add agetty.console default
        write_service "$1"
}
