# shellcheck shell=bash disable=SC2034,SC2154 # what build sets and reads
# The host's static busybox as every program, and as init.

busybox=$(command -v busybox) || die "'busybox' is missing. On Debian: apt-get install busybox-static"
recipe_files=("$busybox")

make_tree() { # DIR
        local dir=$1 applet

        if ldd "$busybox" >/dev/null 2>&1; then
                die "'$busybox' is not static. On Debian: apt-get install busybox-static"
        fi
        make_folders "$dir"
        write_os_release "$dir" busybox "Busybox test tree"
        write_users "$dir"
        set_root_password "$dir"
        write_page "$dir"
        install -m 755 "$busybox" "$dir/usr/bin/busybox"
        for applet in $("$busybox" --list-full); do
                applet=/$(echo "/$applet" | sed 's|^/*\(usr/\)*||; s|^linuxrc$||')
                [ "$applet" = / ] || [ -e "$dir/usr$applet" ] || ln -s /usr/bin/busybox "$dir/usr$applet"
        done
        # In the host's network somebody else may have the port: tried once, and without a word.
        # ld.so and other folders of a real tree are not needed: the one program is static.
        cat >"$dir/etc/inittab" <<-'END'
		::sysinit:/bin/hostname
		console::respawn:/sbin/getty -L 0 console vt100
		::once:/bin/busybox httpd -p 8080 -h /srv/www 2>/dev/null
		::ctrlaltdel:/sbin/reboot
		::restart:/sbin/init
	END
}
