# shellcheck shell=bash
# What the recipes of Debian trees share: bootstrap, users, a console, and the page over TCP.

# The mirror that this host uses for the same release, if it does; it is likely to answer.
host_mirror() { # SUITE
        command -v apt-get >/dev/null || return 0
        # shellcheck disable=SC2016 # apt fills it in
        apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Origin: Debian' \
                "Codename: $1" 2>/dev/null | head -n 1 || true
}

# Packages that an earlier tree needed are not fetched again. apt checks what it is given.
cache_options() {
        local archives=/var/cache/apt/archives link='cp -ln -t'

        [ -n "${STEAD_PACKAGES:-}" ] || return 0
        STEAD_PACKAGES=$(realpath -m "$STEAD_PACKAGES")
        export STEAD_PACKAGES
        mkdir -p "$STEAD_PACKAGES"
        options+=(
                --skip=download/empty --skip=essential/unlink
                --setup-hook="mkdir -p \"\$1$archives\"; $link \"\$1$archives\" \"\$STEAD_PACKAGES\"/*.deb 2>/dev/null || :"
                --customize-hook="$link \"\$STEAD_PACKAGES\" \"\$1$archives\"/*.deb 2>/dev/null || :"
        )
}

bootstrap() { # DIR SUITE MIRROR PACKAGES
        local dir=$1 suite=$2 mirror=$3 packages=$4 proxy=''
        local options=(
                --variant=minbase --include="$packages" --skip=check/empty
                --aptopt='Acquire::Retries "3"' --aptopt='Acquire::http::Timeout "30"'
                --aptopt='Acquire::Languages "none"'
                --dpkgopt=force-unsafe-io
                --dpkgopt='path-exclude=/usr/share/man/*'
                --dpkgopt='path-exclude=/usr/share/locale/*'
                --dpkgopt='path-exclude=/usr/share/doc/*'
        )

        if command -v mmdebstrap >/dev/null; then
                eval "$(apt-config shell proxy Acquire::http::Proxy)"
                [ -z "$proxy" ] || options+=(--aptopt="Acquire::http::Proxy \"$proxy\"")
                cache_options
                mmdebstrap --mode=root --quiet "${options[@]}" "$suite" "$dir" "$mirror" </dev/null &&
                        return 0
                echo "$0: mmdebstrap failed, trying debootstrap" >&2
                rm -rf --one-file-system "$dir"
        fi
        require debootstrap debootstrap
        # debootstrap mounts things below the tree; they vanish with the name space.
        unshare --mount --propagation private \
                debootstrap --variant=minbase --include="$packages" \
                ${STEAD_PACKAGES:+--cache-dir="$STEAD_PACKAGES"} "$suite" "$dir" "$mirror" </dev/null
}

# The same plain user as in the other trees; audio is the supplementary group.
add_guest() { # DIR
        echo 'guest:x:1000:1000:Guest:/home/guest:/bin/sh' >>"$1/etc/passwd"
        echo 'guest:!:19000:0:99999:7:::' >>"$1/etc/shadow"
        sed -i 's/^audio:.*:$/&guest/' "$1/etc/group"
        echo 'guest:x:1000:' >>"$1/etc/group"
        install -d -m 755 -o 1000 -g 1000 "$1/home/guest"
}

# What belongs to one machine or to the moment of the build.
forget_build() { # DIR
        local written="$1/etc/dpkg/dpkg.cfg.d/99mmdebstrap"

        # A tree that is lost with the host's power is built again; what is installed later is not.
        [ ! -e "$written" ] || sed -i "/force-unsafe-io/d" "$written"
        : >"$1/etc/machine-id" # each machine makes its own
        rm -f "$1/etc/hostname" "$1/etc/resolv.conf" "$1"/var/lib/dbus/machine-id
        rm -rf "$1"/var/lib/apt/lists/* "$1"/var/cache/apt/*.bin "$1"/var/cache/apt/archives/*.deb \
                "$1"/var/cache/ldconfig/aux-cache "$1"/var/log/*.log "$1"/var/log/apt/* \
                "$1"/var/cache/debconf/*-old "$1"/var/lib/dpkg/*-old "$1"/etc/*-
}

# PACKAGES come on top of what every Debian tree has.
make_debian() { # DIR SUITE PACKAGES
        local dir=$1 suite=$2 mirror=${STEAD_MIRROR:-}
        local packages=login,passwd,procps,iproute2,busybox-static,$3

        [ -n "$mirror" ] || mirror=$(host_mirror "$suite")
        mirror=${mirror:-http://deb.debian.org/debian}
        if ! bootstrap "$dir" "$suite" "$mirror" "$packages"; then
                die "cannot make a Debian tree ($suite) from '$mirror'." \
                        "STEAD_MIRROR names another mirror; 'busybox' needs none."
        fi
        set_root_password "$dir"
        add_guest "$dir"
        write_page "$dir"
        forget_build "$dir"
}

# An init script for init systems that read LSB headers.
write_init_script() { # DIR
        write_file 755 "$1/etc/init.d/httpd" <<-'END'
		#!/bin/sh
		### BEGIN INIT INFO
		# Provides:          httpd
		# Required-Start:    $local_fs
		# Required-Stop:     $local_fs
		# Default-Start:     2 3 4 5
		# Default-Stop:      0 1 6
		# Short-Description: one small page
		### END INIT INFO
		set -e
		daemon='start-stop-daemon --pidfile /run/httpd.pid --exec /bin/busybox'
		case $1 in
		start)
		        $daemon --start --background --make-pidfile -- httpd -f -p 8080 -h /srv/www
		        ;;
		stop)
		        $daemon --stop --oknodo --remove-pidfile
		        ;;
		restart | force-reload)
		        "$0" stop
		        "$0" start
		        ;;
		*)
		        echo "usage: $0 start|stop|restart|force-reload" >&2
		        exit 2
		        ;;
		esac
	END
}
