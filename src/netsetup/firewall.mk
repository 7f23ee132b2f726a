# The firewall, for the network's keeper only: with $(NFT_LIBS) $(NL_LIBS); included by local.mk.
noinst_LIBRARIES += src/netsetup/libfirewall.a
src_netsetup_libfirewall_a_CFLAGS = $(AM_CFLAGS) $(NFT_CFLAGS) $(NL_CFLAGS)
src_netsetup_libfirewall_a_SOURCES = \
	%D%/firewall.c %D%/firewall.h %D%/firewall-parts.h \
	%D%/firewall-connections.c \
	%D%/firewall-count.c \
	%D%/firewall-elements.c \
	%D%/firewall-rules.c \
	%D%/firewall-sets.c
firewall_libraries = src/netsetup/libfirewall.a src/netsetup/libnetsetup.a src/shared/libshared.a \
	src/basic/libbasic.a \
	$(NFT_LIBS) $(NL_LIBS)

# Opens it and does what its input says, for tests/system/test_firewall.py.
noinst_PROGRAMS += src/netsetup/try-firewall
src_netsetup_try_firewall_SOURCES = %D%/try-firewall.c
src_netsetup_try_firewall_LDADD = $(firewall_libraries)

if HAVE_CMOCKA
firewall_tests = \
	src/netsetup/test-firewall \
	src/netsetup/test-firewall-root
check_PROGRAMS += $(firewall_tests)
TESTS += $(firewall_tests)
src_netsetup_test_firewall_SOURCES = %D%/test-firewall.c
src_netsetup_test_firewall_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
src_netsetup_test_firewall_LDADD = $(firewall_libraries) $(CMOCKA_LIBS)
src_netsetup_test_firewall_root_SOURCES = %D%/test-firewall-root.c
src_netsetup_test_firewall_root_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
src_netsetup_test_firewall_root_LDADD = $(firewall_libraries) $(CMOCKA_LIBS)
endif
