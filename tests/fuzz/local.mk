# One program for each parser of foreign bytes. With --enable-fuzzing they have libFuzzer's main(),
# see run; without it "make check" feeds them with the files of seeds/NAME.
fuzzers = \
	tests/fuzz/fuzz-acl \
	tests/fuzz/fuzz-channel \
	tests/fuzz/fuzz-env-file \
	tests/fuzz/fuzz-filter \
	tests/fuzz/fuzz-keeper \
	tests/fuzz/fuzz-names \
	tests/fuzz/fuzz-network-conf \
	tests/fuzz/fuzz-notify \
	tests/fuzz/fuzz-options \
	tests/fuzz/fuzz-program \
	tests/fuzz/fuzz-properties \
	tests/fuzz/fuzz-settings-file \
	tests/fuzz/fuzz-tint \
	tests/fuzz/fuzz-user-lookup \
	tests/fuzz/fuzz-values
fuzz_common = %D%/fuzz.h %D%/fuzz-config.h
if FUZZING
EXTRA_DIST += %D%/replay.c
else
fuzz_common += %D%/replay.c
TESTS += $(fuzzers)
endif
check_PROGRAMS += $(fuzzers)
fuzz_libraries = src/nspawn/libnspawn.a src/netsetup/libnetsetup.a src/shared/libshared.a \
	src/basic/libbasic.a $(NL_LIBS)
fuzz_ldflags = $(AM_LDFLAGS) $(FUZZ_LDFLAGS)

tests_fuzz_fuzz_acl_SOURCES = %D%/fuzz-acl.c $(fuzz_common)
tests_fuzz_fuzz_acl_LDADD = $(fuzz_libraries)
tests_fuzz_fuzz_acl_LDFLAGS = $(fuzz_ldflags)
tests_fuzz_fuzz_channel_SOURCES = %D%/fuzz-channel.c $(fuzz_common)
tests_fuzz_fuzz_channel_LDADD = $(fuzz_libraries)
tests_fuzz_fuzz_channel_LDFLAGS = $(fuzz_ldflags)
tests_fuzz_fuzz_env_file_SOURCES = %D%/fuzz-env-file.c $(fuzz_common)
tests_fuzz_fuzz_env_file_LDADD = $(fuzz_libraries)
tests_fuzz_fuzz_env_file_LDFLAGS = $(fuzz_ldflags)
tests_fuzz_fuzz_keeper_SOURCES = %D%/fuzz-keeper.c $(fuzz_common)
tests_fuzz_fuzz_keeper_LDADD = $(fuzz_libraries)
tests_fuzz_fuzz_keeper_LDFLAGS = $(fuzz_ldflags)
tests_fuzz_fuzz_names_SOURCES = %D%/fuzz-names.c $(fuzz_common)
tests_fuzz_fuzz_names_LDADD = $(fuzz_libraries)
tests_fuzz_fuzz_names_LDFLAGS = $(fuzz_ldflags)
tests_fuzz_fuzz_network_conf_SOURCES = %D%/fuzz-network-conf.c $(fuzz_common)
tests_fuzz_fuzz_network_conf_LDADD = $(fuzz_libraries)
tests_fuzz_fuzz_network_conf_LDFLAGS = $(fuzz_ldflags)
tests_fuzz_fuzz_notify_SOURCES = %D%/fuzz-notify.c $(fuzz_common)
tests_fuzz_fuzz_notify_LDADD = $(fuzz_libraries)
tests_fuzz_fuzz_notify_LDFLAGS = $(fuzz_ldflags)
tests_fuzz_fuzz_options_SOURCES = %D%/fuzz-options.c $(fuzz_common)
tests_fuzz_fuzz_options_LDADD = $(fuzz_libraries)
tests_fuzz_fuzz_options_LDFLAGS = $(fuzz_ldflags)
tests_fuzz_fuzz_program_SOURCES = %D%/fuzz-program.c $(fuzz_common)
tests_fuzz_fuzz_program_LDADD = $(fuzz_libraries)
tests_fuzz_fuzz_program_LDFLAGS = $(fuzz_ldflags)
tests_fuzz_fuzz_properties_SOURCES = %D%/fuzz-properties.c $(fuzz_common)
tests_fuzz_fuzz_properties_LDADD = $(fuzz_libraries)
tests_fuzz_fuzz_properties_LDFLAGS = $(fuzz_ldflags)
tests_fuzz_fuzz_settings_file_SOURCES = %D%/fuzz-settings-file.c $(fuzz_common)
tests_fuzz_fuzz_settings_file_LDADD = $(fuzz_libraries)
tests_fuzz_fuzz_settings_file_LDFLAGS = $(fuzz_ldflags)
tests_fuzz_fuzz_tint_SOURCES = %D%/fuzz-tint.c $(fuzz_common)
tests_fuzz_fuzz_tint_LDADD = $(fuzz_libraries)
tests_fuzz_fuzz_tint_LDFLAGS = $(fuzz_ldflags)
tests_fuzz_fuzz_user_lookup_SOURCES = %D%/fuzz-user-lookup.c $(fuzz_common)
tests_fuzz_fuzz_user_lookup_LDADD = $(fuzz_libraries)
tests_fuzz_fuzz_user_lookup_LDFLAGS = $(fuzz_ldflags)
tests_fuzz_fuzz_values_SOURCES = %D%/fuzz-values.c $(fuzz_common)
tests_fuzz_fuzz_values_LDADD = $(fuzz_libraries)
tests_fuzz_fuzz_values_LDFLAGS = $(fuzz_ldflags)
tests_fuzz_fuzz_filter_SOURCES = %D%/fuzz-filter.c $(fuzz_common) $(seccomp_build_sources)
tests_fuzz_fuzz_filter_CFLAGS = $(AM_CFLAGS) $(SECCOMP_CFLAGS)
tests_fuzz_fuzz_filter_LDADD = src/basic/libbasic.a $(SECCOMP_LIBS)
tests_fuzz_fuzz_filter_LDFLAGS = $(fuzz_ldflags)

EXTRA_DIST += %D%/run %D%/seeds
