# Subnets, addresses, and what the host says; included by local.mk.
src_netsetup_libnetsetup_a_SOURCES += \
	%D%/address.c %D%/address.h \
	%D%/host-routes.c %D%/host-routes.h \
	%D%/lease.c %D%/lease.h \
	%D%/lease-reclaim.c \
	%D%/lease-store.c %D%/lease-store.h \
	%D%/net-facts.c %D%/net-facts.h \
	%D%/net-manager.c %D%/net-manager.h \
	%D%/net-manager-read.c \
	%D%/net-state.c %D%/net-state.h \
	%D%/pool.c %D%/pool.h \
	%D%/subnet-file.c %D%/subnet-file.h

if HAVE_CMOCKA
address_tests = \
	src/netsetup/test-address-root \
	src/netsetup/test-lease \
	src/netsetup/test-net-manager \
	src/netsetup/test-net-state \
	src/netsetup/test-pool
check_PROGRAMS += $(address_tests)
TESTS += $(address_tests)
src_netsetup_test_address_root_SOURCES = %D%/test-address-root.c
src_netsetup_test_address_root_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
src_netsetup_test_address_root_LDADD = $(netsetup_test_libraries)
src_netsetup_test_lease_SOURCES = %D%/test-lease.c
src_netsetup_test_lease_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
src_netsetup_test_lease_LDADD = $(netsetup_test_libraries)
src_netsetup_test_net_manager_SOURCES = %D%/test-net-manager.c
src_netsetup_test_net_manager_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
src_netsetup_test_net_manager_LDADD = $(netsetup_test_libraries) $(NL_LIBS)
src_netsetup_test_net_state_SOURCES = %D%/test-net-state.c
src_netsetup_test_net_state_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
src_netsetup_test_net_state_LDADD = $(netsetup_test_libraries)
src_netsetup_test_pool_SOURCES = %D%/test-pool.c
src_netsetup_test_pool_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
src_netsetup_test_pool_LDADD = $(netsetup_test_libraries)
endif
