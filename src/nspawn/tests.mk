# The launcher's unit tests; included by local.mk. They link what ships.
if HAVE_CMOCKA
nspawn_tests = \
	src/nspawn/test-credentials \
	src/nspawn/test-explain \
	src/nspawn/test-network \
	src/nspawn/test-options \
	src/nspawn/test-plan \
	src/nspawn/test-parts \
	src/nspawn/test-settings \
	src/nspawn/test-tint
check_PROGRAMS += $(nspawn_tests)
TESTS += $(nspawn_tests)
nspawn_test_libraries = src/nspawn/libnspawn.a src/netsetup/libnetsetup.a \
	src/shared/libshared.a src/basic/libbasic.a $(NL_LIBS) $(CMOCKA_LIBS)
src_nspawn_test_credentials_SOURCES = %D%/test-credentials.c
src_nspawn_test_credentials_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
src_nspawn_test_credentials_LDADD = $(nspawn_test_libraries)
src_nspawn_test_explain_SOURCES = %D%/test-explain.c
src_nspawn_test_explain_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
src_nspawn_test_explain_LDADD = $(nspawn_test_libraries)
src_nspawn_test_network_SOURCES = %D%/test-network.c
src_nspawn_test_network_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
src_nspawn_test_network_LDADD = $(nspawn_test_libraries)
src_nspawn_test_options_SOURCES = %D%/test-options.c
src_nspawn_test_options_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
src_nspawn_test_options_LDADD = $(nspawn_test_libraries)
src_nspawn_test_plan_SOURCES = %D%/test-plan.c
src_nspawn_test_plan_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
src_nspawn_test_plan_LDADD = $(nspawn_test_libraries)
src_nspawn_test_parts_SOURCES = %D%/test-parts.c
src_nspawn_test_parts_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
src_nspawn_test_parts_LDADD = $(nspawn_test_libraries)
src_nspawn_test_settings_SOURCES = %D%/test-settings.c
src_nspawn_test_settings_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
src_nspawn_test_settings_LDADD = $(nspawn_test_libraries)
src_nspawn_test_tint_SOURCES = %D%/test-tint.c
src_nspawn_test_tint_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
src_nspawn_test_tint_LDADD = $(nspawn_test_libraries)
endif
