# Network as plan and executor; all that knows netlink ends here.
noinst_LIBRARIES += src/netsetup/libnetsetup.a
src_netsetup_libnetsetup_a_CFLAGS = $(AM_CFLAGS) $(NL_CFLAGS)
src_netsetup_libnetsetup_a_SOURCES = \
	%D%/ifname.c %D%/ifname.h

# Links and the plan
src_netsetup_libnetsetup_a_SOURCES += \
	%D%/link.c %D%/link.h %D%/link-address.c %D%/link-bridge.c %D%/link-move.c %D%/link-stacked.c \
	%D%/link-veth.c %D%/moved-record.c %D%/moved-record.h \
	%D%/loopback.c %D%/netsetup.h \
	%D%/net-attach.c %D%/net-guest.c %D%/net-run.c \
	%D%/nl.c %D%/nl.h \
	%D%/net-config.c %D%/net-config.h \
	%D%/net-namespace.c %D%/net-run.h \
	%D%/net-plan.c %D%/net-plan.h %D%/net-print.c

if HAVE_CMOCKA
netsetup_tests = \
	src/netsetup/test-ifname \
	src/netsetup/test-link-move-root \
	src/netsetup/test-moved-record \
	src/netsetup/test-net-config \
	src/netsetup/test-net-plan \
	src/netsetup/test-net-run-root
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
src_netsetup_test_net_plan_SOURCES = %D%/test-net-plan.c
src_netsetup_test_net_plan_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
src_netsetup_test_net_plan_LDADD = $(netsetup_test_libraries)
src_netsetup_test_moved_record_SOURCES = %D%/test-moved-record.c
src_netsetup_test_moved_record_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
src_netsetup_test_moved_record_LDADD = $(netsetup_test_libraries)
src_netsetup_test_link_move_root_SOURCES = %D%/test-link-move-root.c %D%/test-links.c %D%/test-links.h
src_netsetup_test_link_move_root_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS) $(NL_CFLAGS)
src_netsetup_test_link_move_root_LDADD = $(netsetup_test_libraries) $(NL_LIBS)
src_netsetup_test_net_run_root_SOURCES = %D%/test-net-run-root.c %D%/test-links.c %D%/test-links.h
src_netsetup_test_net_run_root_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS) $(NL_CFLAGS)
src_netsetup_test_net_run_root_LDADD = $(netsetup_test_libraries) $(NL_LIBS)
endif

include src/netsetup/keeper.mk
include src/netsetup/ports.mk
include src/netsetup/firewall.mk
include src/netsetup/address.mk
