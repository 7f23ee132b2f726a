# shellcheck shell=bash disable=SC2034,SC2154 # what build sets and reads
# Debian 12 with systemd.

# shellcheck source=tests/trees/debian.sh
. "$here/debian.sh"
recipe_files=("$here/debian.sh")

systemd_packages=systemd,systemd-sysv,dbus,libpam-systemd

write_unit() { # DIR
        write_file 644 "$1/etc/systemd/system/httpd.service" <<-'END'
		[Unit]
		Description=one small page

		[Service]
		# In the host's network somebody else may have the port; that is no failure of the guest.
		ExecStart=-/bin/busybox httpd -f -p 8080 -h /srv/www

		[Install]
		WantedBy=multi-user.target
	END
        install -d "$1/etc/systemd/system/multi-user.target.wants"
        ln -s /etc/systemd/system/httpd.service "$1/etc/systemd/system/multi-user.target.wants/"
}

make_tree() { # DIR
        make_debian "$1" bookworm "$systemd_packages"
        write_unit "$1"
}
