# Network as plan and executor; all that knows netlink ends here.
noinst_LIBRARIES += src/netsetup/libnetsetup.a
src_netsetup_libnetsetup_a_SOURCES = \
	%D%/ifname.c %D%/ifname.h \
	%D%/loopback.c %D%/netsetup.h \
	%D%/net-config.c %D%/net-config.h
src_netsetup_libnetsetup_a_CFLAGS = $(AM_CFLAGS) $(NL_CFLAGS)

if HAVE_CMOCKA
netsetup_tests = \
	src/netsetup/test-ifname \
	src/netsetup/test-net-config
check_PROGRAMS += $(netsetup_tests)
TESTS += $(netsetup_tests)
netsetup_test_libraries = src/netsetup/libnetsetup.a src/shared/libshared.a \
	src/basic/libbasic.a $(CMOCKA_LIBS)
src_netsetup_test_ifname_SOURCES = %D%/test-ifname.c
src_netsetup_test_ifname_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
src_netsetup_test_ifname_LDADD = $(netsetup_test_libraries)
src_netsetup_test_net_config_SOURCES = %D%/test-net-config.c
src_netsetup_test_net_config_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
src_netsetup_test_net_config_LDADD = $(netsetup_test_libraries)
endif

include src/netsetup/keeper.mk
