# Network as plan and executor; all that knows netlink ends here.
noinst_LIBRARIES += src/netsetup/libnetsetup.a
src_netsetup_libnetsetup_a_SOURCES = \
	%D%/loopback.c %D%/netsetup.h
