# The keeper of networks: the side of its clients is in the library, the rest is a program of its own.
src_netsetup_libnetsetup_a_SOURCES += \
	src/netsetup/forwarding.c src/netsetup/forwarding.h \
	src/netsetup/keeper.c src/netsetup/keeper.h \
	src/netsetup/keeper-message.c src/netsetup/keeper-message.h \
	src/netsetup/keeper-sweep.c src/netsetup/keeper-sweep.h \
	src/netsetup/names-config.c src/netsetup/names-config.h

steadlibexec_PROGRAMS += network-keeper
network_keeper_SOURCES = \
	src/netsetup/keeper-ask.c \
	src/netsetup/keeper-main.c \
	src/netsetup/keeper-member.c \
	src/netsetup/keeper-network.c \
	src/netsetup/keeper-ports.c \
	src/netsetup/keeper-rules.c \
	src/netsetup/keeper-scope.c \
	src/netsetup/keeper-server.c src/netsetup/keeper-server.h \
	src/netsetup/names-process.c src/netsetup/names-process.h \
	src/netsetup/names-service.c src/netsetup/names-service.h
network_keeper_CFLAGS = $(AM_CFLAGS) $(SDBUS_CFLAGS)
network_keeper_LDADD = src/netsetup/libportservice.a src/netsetup/libfirewall.a \
	src/netsetup/libnetsetup.a src/shared/libshared.a src/basic/libbasic.a $(NFT_LIBS) $(NL_LIBS) \
	$(SDBUS_LIBS)

if HAVE_CMOCKA
check_PROGRAMS += src/netsetup/test-keeper
TESTS += src/netsetup/test-keeper
src_netsetup_test_keeper_SOURCES = src/netsetup/test-keeper.c
src_netsetup_test_keeper_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
src_netsetup_test_keeper_LDADD = src/netsetup/libnetsetup.a src/shared/libshared.a \
	src/basic/libbasic.a $(NL_LIBS) $(CMOCKA_LIBS)
endif
