# Files for other programs of the host. NetworkManager reads those below /usr/lib only.
networkmanagerconfdir = $(prefix)/lib/NetworkManager/conf.d
dist_networkmanagerconf_DATA = %D%/80-stead.conf
