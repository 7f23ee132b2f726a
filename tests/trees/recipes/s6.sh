# shellcheck shell=bash disable=SC2034,SC2154 # what build sets and reads
# Debian 12 with s6-svscan as process 1. Debian has no scripts for that (s6-linux-init is not
# packaged), so they are here: /sbin/init prepares the scan directory and becomes s6-svscan, which
# runs a script of its .s6-svscan directory for each signal, and "finish" in the end.

# shellcheck source=tests/trees/debian.sh
. "$here/debian.sh"
recipe_files=("$here/debian.sh")

write_init() { # DIR
        write_file 755 "$1/sbin/init" <<-'END'
		#!/bin/sh
		PATH=/usr/sbin:/usr/bin:/sbin:/bin
		export PATH
		[ -n "$(hostname)" ] || hostname -F /etc/hostname
		rm -rf /run/service
		cp -a /etc/s6/service /run/service
		exec s6-svscan /run/service
	END
}

write_service() { # DIR NAME COMMAND
        write_file 755 "$1/etc/s6/service/$2/run" <<-END
		#!/bin/sh
		exec 2>&1
		exec $3
	END
}

# s6-svscan ends all services, then becomes "finish", which is told how to end the machine. The
# signals mean what they mean to the halt, poweroff and reboot of s6-linux-init.
write_control() { # DIR
        local control=$1/etc/s6/service/.s6-svscan

        write_file 755 "$1/sbin/poweroff" <<-'END'
		#!/bin/sh
		echo "${0##*/}" >/run/s6-end
		exec s6-svscanctl -t /run/service
	END
        ln -s poweroff "$1/sbin/halt"
        ln -s poweroff "$1/sbin/reboot"
        write_file 755 "$control/finish" <<-'END'
		#!/bin/sh
		exec busybox "$(cat /run/s6-end 2>/dev/null || echo poweroff)" -f
	END
        printf "#!/bin/sh\nexec /sbin/poweroff\n" | write_file 755 "$control/SIGUSR1"
        printf "#!/bin/sh\nexec /sbin/halt\n" | write_file 755 "$control/SIGUSR2"
        printf "#!/bin/sh\nexec /sbin/reboot\n" | write_file 755 "$control/SIGINT"
}

make_tree() { # DIR
        make_debian "$1" bookworm s6
        write_init "$1"
        write_service "$1" getty 'getty 38400 console'
        write_service "$1" httpd 'busybox httpd -f -p 8080 -h /srv/www'
        write_control "$1"
}
