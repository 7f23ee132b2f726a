# What two or more of our programs must agree on.
noinst_LIBRARIES += src/shared/libshared.a
src_shared_libshared_a_SOURCES = \
	%D%/host.c %D%/host.h %D%/host-back-end.h \
	%D%/host-keep.c \
	%D%/host-named.c %D%/host-named.h \
	%D%/host-native.c \
	%D%/host-systemd.c %D%/host-scope.h \
	%D%/init-kind.c %D%/init-kind.h \
	%D%/names.c %D%/names.h \
	%D%/property.c %D%/property.h

# The only part of the launcher's side that talks D-Bus; a program of its own, because the launcher
# is static and links no library of systemd's.
steadlibexec_PROGRAMS += host-scope
host_scope_SOURCES = %D%/host-scope.c %D%/host-scope.h
host_scope_CFLAGS = $(AM_CFLAGS) $(SDBUS_CFLAGS)
host_scope_LDADD = src/shared/libshared.a src/basic/libbasic.a $(SDBUS_LIBS)

if HAVE_CMOCKA
shared_tests = \
	src/shared/test-init-kind \
	src/shared/test-names \
	src/shared/test-property
shared_root_tests = \
	src/shared/test-host-named-root \
	src/shared/test-host-root
check_PROGRAMS += $(shared_tests) $(shared_root_tests)
TESTS += $(shared_tests) $(shared_root_tests)
src_shared_test_init_kind_SOURCES = %D%/test-init-kind.c
src_shared_test_init_kind_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
src_shared_test_init_kind_LDADD = src/shared/libshared.a src/basic/libbasic.a $(CMOCKA_LIBS)
src_shared_test_names_SOURCES = %D%/test-names.c
src_shared_test_names_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
src_shared_test_names_LDADD = src/shared/libshared.a src/basic/libbasic.a $(CMOCKA_LIBS)
src_shared_test_property_SOURCES = %D%/test-property.c
src_shared_test_property_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
src_shared_test_property_LDADD = src/shared/libshared.a src/basic/libbasic.a $(CMOCKA_LIBS)
src_shared_test_host_named_root_SOURCES = %D%/test-host-named-root.c
src_shared_test_host_named_root_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
src_shared_test_host_named_root_LDADD = src/shared/libshared.a src/basic/libbasic.a $(CMOCKA_LIBS)
src_shared_test_host_root_SOURCES = %D%/test-host-root.c
src_shared_test_host_root_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
src_shared_test_host_root_LDADD = src/shared/libshared.a src/basic/libbasic.a $(CMOCKA_LIBS)
endif
