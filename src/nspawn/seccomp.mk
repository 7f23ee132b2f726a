# The system call filter; included by local.mk. The launcher takes nspawn_seccomp_sources and, as
# an object, the ready-made program; libseccomp is only in the generator and in the helper.
nspawn_seccomp_sources = \
	%D%/seccomp.c %D%/seccomp.h \
	%D%/families.c %D%/families.h \
	%D%/seccomp-groups.h
nodist_nspawn_seccomp_sources = src/nspawn/seccomp-default.c

seccomp_build_sources = \
	%D%/families.c %D%/families.h \
	%D%/seccomp-build.c %D%/seccomp-build.h \
	%D%/seccomp-groups.c %D%/seccomp-groups.h

noinst_PROGRAMS += src/nspawn/seccomp-generate
src_nspawn_seccomp_generate_SOURCES = %D%/seccomp-generate.c $(seccomp_build_sources)
src_nspawn_seccomp_generate_CFLAGS = $(AM_CFLAGS) $(SECCOMP_CFLAGS)
src_nspawn_seccomp_generate_LDADD = src/basic/libbasic.a $(SECCOMP_LIBS)

# Renamed when complete: a file that an interrupted run left behind would look up to date.
src/nspawn/seccomp-default.c: src/nspawn/seccomp-generate$(EXEEXT)
	$(AM_V_GEN)$(MKDIR_P) src/nspawn && \
	src/nspawn/seccomp-generate$(EXEEXT) > $@.tmp && mv $@.tmp $@
CLEANFILES += src/nspawn/seccomp-default.c src/nspawn/seccomp-default.c.tmp

steadlibexec_PROGRAMS += seccomp-compile
seccomp_compile_SOURCES = %D%/seccomp-compile.c $(seccomp_build_sources)
seccomp_compile_CFLAGS = $(AM_CFLAGS) $(SECCOMP_CFLAGS)
seccomp_compile_LDADD = src/basic/libbasic.a $(SECCOMP_LIBS)

if HAVE_CMOCKA
check_PROGRAMS += src/nspawn/test-seccomp
TESTS += src/nspawn/test-seccomp
src_nspawn_test_seccomp_SOURCES = %D%/test-seccomp.c $(nspawn_seccomp_sources) \
	%D%/seccomp-build.c %D%/seccomp-build.h %D%/seccomp-groups.c
nodist_src_nspawn_test_seccomp_SOURCES = $(nodist_nspawn_seccomp_sources)
src_nspawn_test_seccomp_CFLAGS = $(AM_CFLAGS) $(SECCOMP_CFLAGS) $(CMOCKA_CFLAGS)
# Where the helper is, before it is installed.
src_nspawn_test_seccomp_CPPFLAGS = $(AM_CPPFLAGS) -DHELPER_DIR=\"$(abs_top_builddir)\"
src_nspawn_test_seccomp_LDADD = src/basic/libbasic.a $(SECCOMP_LIBS) $(CMOCKA_LIBS)
EXTRA_src_nspawn_test_seccomp_DEPENDENCIES = seccomp-compile$(EXEEXT)
endif
