# Published ports: the proxy, and when it is needed; included by local.mk.
src_netsetup_libnetsetup_a_SOURCES += \
	src/netsetup/port-health.c src/netsetup/port-health.h \
	src/netsetup/port-proxy.c src/netsetup/port-proxy.h

# An archive, so that tests link what ships.
noinst_LIBRARIES += src/netsetup/libproxy.a
src_netsetup_libproxy_a_CFLAGS = $(AM_CFLAGS) $(NL_CFLAGS)
src_netsetup_libproxy_a_SOURCES = \
	src/netsetup/guest-address.c src/netsetup/guest-address.h \
	src/netsetup/port-holder.c src/netsetup/port-holder.h \
	src/netsetup/port-proxy-listen.c \
	src/netsetup/port-proxy-loop.c src/netsetup/port-proxy-loop.h \
	src/netsetup/port-proxy-tcp.c \
	src/netsetup/port-proxy-udp.c

steadlibexec_PROGRAMS += port-proxy
port_proxy_SOURCES = src/netsetup/port-proxy-main.c
port_proxy_LDADD = src/netsetup/libproxy.a src/netsetup/libnetsetup.a src/basic/libbasic.a $(NL_LIBS)

# The keeper's side; with libfirewall.a behind it.
noinst_LIBRARIES += src/netsetup/libportservice.a
src_netsetup_libportservice_a_CFLAGS = $(AM_CFLAGS) $(NL_CFLAGS)
src_netsetup_libportservice_a_SOURCES = \
	src/netsetup/port-rules.c src/netsetup/port-rules.h \
	src/netsetup/port-service.c src/netsetup/port-service.h

# Opens both and publishes what its arguments say, for tests/system/test_ports.py.
noinst_PROGRAMS += src/netsetup/try-ports
src_netsetup_try_ports_SOURCES = src/netsetup/try-ports.c
src_netsetup_try_ports_LDADD = src/netsetup/libportservice.a $(firewall_libraries)

if HAVE_CMOCKA
check_PROGRAMS += src/netsetup/test-ports
TESTS += src/netsetup/test-ports
src_netsetup_test_ports_SOURCES = src/netsetup/test-ports.c
src_netsetup_test_ports_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
src_netsetup_test_ports_LDADD = src/netsetup/libproxy.a src/netsetup/libnetsetup.a \
	src/basic/libbasic.a $(NL_LIBS) $(CMOCKA_LIBS)
endif
