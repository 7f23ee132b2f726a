# Knows libc and the kernel; has never heard of containers.
noinst_LIBRARIES += src/basic/libbasic.a
src_basic_libbasic_a_SOURCES = \
	%D%/bpf-device.c %D%/bpf-device.h \
	%D%/btrfs.c %D%/btrfs.h \
	%D%/caps.c %D%/caps.h \
	%D%/cgroup.c %D%/cgroup.h \
	%D%/channel.c %D%/channel.h \
	%D%/clock.c %D%/clock.h \
	%D%/copy-tree.c %D%/copy-tree.h \
	%D%/env-file.c %D%/env-file.h \
	%D%/failure.c %D%/failure.h \
	%D%/fd.c %D%/fd.h \
	%D%/id128.c %D%/id128.h \
	%D%/idmap.c %D%/idmap.h \
	%D%/io.c %D%/io.h \
	%D%/lock.c %D%/lock.h \
	%D%/log.c %D%/log.h \
	%D%/macro.h \
	%D%/mount-api.c %D%/mount-api.h \
	%D%/parse.c %D%/parse.h \
	%D%/path.c %D%/path.h \
	%D%/process.c %D%/process.h \
	%D%/remove-tree.c %D%/remove-tree.h \
	%D%/root.c %D%/root.h \
	%D%/sandbox.c %D%/sandbox.h \
	%D%/settings-file.c %D%/settings-file.h \
	%D%/siphash.c %D%/siphash.h \
	%D%/strbuf.c %D%/strbuf.h \
	%D%/strv.c %D%/strv.h \
	%D%/terminal.c %D%/terminal.h \
	%D%/time-namespace.c %D%/time-namespace.h \
	%D%/unescape.c %D%/unescape.h

if HAVE_CMOCKA
basic_tests = \
	src/basic/test-bpf-device \
	src/basic/test-basic \
	src/basic/test-env-file \
	src/basic/test-trees \
	src/basic/test-overlay-root
check_PROGRAMS += $(basic_tests)
TESTS += $(basic_tests)
src_basic_test_bpf_device_SOURCES = %D%/test-bpf-device.c
src_basic_test_bpf_device_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
src_basic_test_bpf_device_LDADD = src/basic/libbasic.a $(CMOCKA_LIBS)
src_basic_test_basic_SOURCES = %D%/test-basic.c
src_basic_test_basic_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
src_basic_test_basic_LDADD = src/basic/libbasic.a $(CMOCKA_LIBS)
src_basic_test_trees_SOURCES = %D%/test-trees.c
src_basic_test_trees_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
src_basic_test_trees_LDADD = src/basic/libbasic.a $(CMOCKA_LIBS)
src_basic_test_env_file_SOURCES = %D%/test-env-file.c
src_basic_test_env_file_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
src_basic_test_env_file_LDADD = src/basic/libbasic.a $(CMOCKA_LIBS)
src_basic_test_overlay_root_SOURCES = %D%/test-overlay-root.c
src_basic_test_overlay_root_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
src_basic_test_overlay_root_LDADD = src/basic/libbasic.a $(CMOCKA_LIBS)
endif
