# The launcher: a library with everything, and a thin program, so that tests link what ships.
include src/nspawn/seccomp.mk

noinst_LIBRARIES += src/nspawn/libnspawn.a
src_nspawn_libnspawn_a_SOURCES = \
	%D%/child.c %D%/child.h \
	%D%/chown-tree.c %D%/chown-tree.h \
	%D%/cleanup.c %D%/cleanup.h \
	%D%/config.c %D%/config-network.c %D%/config.h \
	%D%/console.c %D%/console.h \
	%D%/container.c %D%/container.h \
	%D%/credentials.c %D%/credentials.h \
	%D%/etc-files.c %D%/etc-files.h \
	%D%/explain.c %D%/explain.h \
	%D%/bind-user.c %D%/bind-user.h %D%/bind-user-record.c \
	%D%/journal-link.c %D%/journal-link.h %D%/setters-integration.c \
	%D%/forward-journal.c %D%/forward-journal.h \
	%D%/facts.c %D%/facts.h \
	%D%/ids.c %D%/ids.h \
	%D%/network.c %D%/network.h \
	%D%/mount-layers.c %D%/mount-layers.h \
	%D%/mount-plan.c %D%/mount-plan.h \
	%D%/mount-run.c %D%/mount-run.h \
	%D%/notify.c %D%/notify.h \
	%D%/old-systemd.c %D%/old-systemd.h \
	%D%/options.c %D%/options.h \
	%D%/plan.c %D%/plan-print.c %D%/plan.h \
	%D%/protocol.h \
	%D%/resolv-conf.c %D%/resolv-conf.h \
	%D%/rootfs.c %D%/rootfs.h \
	%D%/rootfs-plan.c %D%/rootfs-plan.h \
	%D%/scratch.c %D%/scratch.h \
	%D%/setters.c %D%/setters.h \
	%D%/setters-credentials.c \
	%D%/setters-life.c \
	%D%/setters-mounts.c \
	%D%/setters-network.c \
	%D%/setters-payload.c \
	%D%/setters-rootfs.c \
	%D%/settings-load.c %D%/settings-load.h \
	%D%/settings-merge.c \
	%D%/start.c %D%/start.h \
	%D%/stop.c %D%/stop.h \
	%D%/stub-init.c %D%/stub-init.h \
	%D%/tint.c %D%/tint.h \
	%D%/tree-lock.c %D%/tree-lock.h \
	%D%/user-lookup.c %D%/user-lookup.h \
	$(nspawn_seccomp_sources)
nodist_src_nspawn_libnspawn_a_SOURCES = $(nodist_nspawn_seccomp_sources)

include src/nspawn/tests.mk

bin_PROGRAMS += nspawn
nspawn_SOURCES = %D%/main.c
nspawn_LDADD = src/nspawn/libnspawn.a src/netsetup/libnetsetup.a src/shared/libshared.a \
	src/basic/libbasic.a $(NL_LIBS)
if STATIC_LAUNCHER
nspawn_LDFLAGS = $(AM_LDFLAGS) -static-pie
nspawn_CFLAGS = $(AM_CFLAGS) -fPIE
endif

# The option table as text, for completion of shells and for tests.
noinst_PROGRAMS += src/nspawn/print-options
src_nspawn_print_options_SOURCES = %D%/print-options.c
src_nspawn_print_options_LDADD = $(nspawn_LDADD)

if COMPAT_NAMES
install-exec-hook:
	cd $(DESTDIR)$(bindir) && $(LN_S) -f nspawn systemd-nspawn
uninstall-hook:
	rm -f $(DESTDIR)$(bindir)/systemd-nspawn
endif
