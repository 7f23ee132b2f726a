# shellcheck shell=bash
# What the recipes of all trees share: messages, users, folders, and the times of files.

# "stead", SHA-512; the salt is fixed so that the same recipe gives the same tree
# shellcheck disable=SC2016 # the dollar signs are part of it
password='$6$steadtree$jdpQnWwFbIBa/d4mOh7Nyk6wCSz2ZT0a3cFavkD9Yqn1hkevWUuhuuAkEM/TJN1.5VX4y6Q5D3iZ.0tgE18uz0'

# The day that all trees seem to have been made at; no clock of the builder gets into a tree.
export SOURCE_DATE_EPOCH=1704067200

die() {
        echo "$0: $*" >&2
        exit 1
}

require() {
        command -v "$1" >/dev/null || die "'$1' is missing. On Debian: apt-get install $2"
}

set_root_password() { # DIR
        sed -i "s|^root:[^:]*:|root:$password:|" "$1/etc/shadow"
        grep -qF "root:$password:" "$1/etc/shadow" || die "cannot set the password of root"
}

# Writes a file of the tree from the standard input, with its folders.
write_file() { # MODE PATH
        install -D -m "$1" /dev/stdin "$2"
}

# The page that every tree but the stub serves.
write_page() { # DIR
        echo "stead guest" | write_file 644 "$1/srv/www/index.html"
}

write_os_release() { # DIR ID NAME
        cat >"$1/usr/lib/os-release" <<-END
		ID=$2
		NAME="$3"
		PRETTY_NAME="$3"
		VERSION_ID=1
	END
        ln -s ../usr/lib/os-release "$1/etc/os-release"
}

make_folders() { # DIR
        local name

        install -d -m 755 "$1"/{usr,etc,var,dev,proc,sys,run,root,home,mnt} \
                "$1"/usr/{bin,sbin,lib} "$1"/var/{log,tmp,lib}
        chmod 700 "$1/root"
        install -d -m 1777 "$1/tmp" "$1/var/tmp"
        for name in bin sbin lib; do
                ln -s "usr/$name" "$1/$name"
        done
        touch "$1/etc/machine-id"
}

write_users() { # DIR
        cat >"$1/etc/passwd" <<-'END'
		root:x:0:0:root:/root:/bin/sh
		daemon:x:1:1:daemon:/usr/sbin:/bin/false
		guest:x:1000:1000:Guest:/home/guest:/bin/sh
		nobody:x:65534:65534:nobody:/nonexistent:/bin/false
	END
        cat >"$1/etc/group" <<-'END'
		root:x:0:
		daemon:x:1:
		tty:x:5:
		audio:x:29:guest
		guest:x:1000:
		nogroup:x:65534:
	END
        cat >"$1/etc/shadow" <<-'END'
		root:*:19000:0:99999:7:::
		guest:*:19000:0:99999:7:::
	END
        chmod 640 "$1/etc/shadow"
        install -d -m 755 -o 1000 -g 1000 "$1/home/guest"
}

# Everything that is newer than the fixed day was made just now, at a time that says nothing.
set_times() { # DIR
        find "$1" -newermt "@$SOURCE_DATE_EPOCH" -exec touch --no-dereference --date="@$SOURCE_DATE_EPOCH" {} +
}
