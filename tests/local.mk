# Plans are compared in "make check"; what starts machines is run by ./check.
plan_tests = \
	%D%/plan/run
dist_check_SCRIPTS += $(plan_tests)
TESTS += $(plan_tests)
AM_TESTS_ENVIRONMENT = NSPAWN=$(abs_top_builddir)/nspawn; export NSPAWN;

EXTRA_DIST += \
	try \
	.ci/run \
	%D%/faults/inject.c \
	%D%/faults/inside.c \
	%D%/system/conftest.py \
	%D%/system/faults.py \
	%D%/system/first-packets.c \
	%D%/system/harness.py \
	%D%/system/frames.py \
	%D%/system/network.py \
	%D%/system/outside.py \
	%D%/system/probe.py \
	%D%/system/hostile-guest.c \
	%D%/system/test_bad_input.py \
	%D%/system/test_boot.py \
	%D%/system/test_crash.py \
	%D%/system/test_differential.py \
	%D%/system/test_errors.py \
	%D%/system/test_exec.py \
	%D%/system/test_firewall.py \
	%D%/system/test_guests.py \
	%D%/system/test_hard_parts.py \
	%D%/system/test_hostile.py \
	%D%/system/test_faults.py \
	%D%/system/test_integration.py \
	%D%/system/test_leases.py \
	%D%/system/test_limits.py \
	%D%/system/test_mounts.py \
	%D%/system/test_nesting.py \
	%D%/system/test_network.py \
	%D%/system/test_networkd.py \
	%D%/system/test_network_attack.py \
	%D%/system/test_old_guests.py \
	%D%/system/test_options.py \
	%D%/system/test_payload.py \
	%D%/system/test_ports.py \
	%D%/system/test_rootfs.py \
	%D%/system/test_settings.py \
	%D%/system/test_moved_interfaces.py \
	%D%/system/test_stacked_links.py \
	%D%/system/test_stop.py \
	%D%/system/test_systemd_host.py \
	%D%/system/test_time.py \
	%D%/system/test_userns.py \
	%D%/system/test_walk.py \
	%D%/system/test_witness.py \
	%D%/system/witness.py \
	%D%/trees/build \
	%D%/vm/image \
	%D%/vm/inside \
	%D%/vm/lane_report.py \
	%D%/vm/run \
	%D%/trees/debian.sh \
	%D%/trees/lib.sh \
	%D%/trees/oldcgroup-init.c \
	%D%/trees/recipes/busybox.sh \
	%D%/trees/recipes/debian12.sh \
	%D%/trees/recipes/debian13.sh \
	%D%/trees/recipes/finit.sh \
	%D%/trees/recipes/oldcgroup.sh \
	%D%/trees/recipes/openrc.sh \
	%D%/trees/recipes/podman.sh \
	%D%/trees/recipes/runit.sh \
	%D%/trees/recipes/s6.sh \
	%D%/trees/recipes/stub.sh \
	%D%/trees/recipes/sysvinit.sh \
	%D%/trees/static.sh \
	%D%/trees/stub-init.c
EXTRA_DIST += \
	%D%/plan/as-pid2.args %D%/plan/as-pid2.expected \
	%D%/plan/binds-users.args %D%/plan/binds-users.expected \
	%D%/plan/binds.args %D%/plan/binds.expected \
	%D%/plan/boot-network.args %D%/plan/boot-network.expected \
	%D%/plan/boot-words.args %D%/plan/boot-words.expected \
	%D%/plan/boot-users.args %D%/plan/boot-users.expected \
	%D%/plan/boot.args %D%/plan/boot.expected \
	%D%/plan/capabilities.args %D%/plan/capabilities.expected \
	%D%/plan/command.args %D%/plan/command.expected \
	%D%/plan/console-passive.args %D%/plan/console-passive.expected \
	%D%/plan/console-pipe.args %D%/plan/console-pipe.expected \
	%D%/plan/credentials.args %D%/plan/credentials.expected \
	%D%/plan/environment.args %D%/plan/environment.expected \
	%D%/plan/ephemeral.args %D%/plan/ephemeral.expected \
	%D%/plan/filter.args %D%/plan/filter.expected \
	%D%/plan/identity.args %D%/plan/identity.expected \
	%D%/plan/json.args %D%/plan/json.expected \
	%D%/plan/kept-unit.args %D%/plan/kept-unit.expected \
	%D%/plan/limits.args %D%/plan/limits.expected \
	%D%/plan/nesting.args %D%/plan/nesting.expected \
	%D%/plan/no-os-tree.args %D%/plan/no-os-tree.expected \
	%D%/plan/overlays.args %D%/plan/overlays.expected \
	%D%/plan/payload.args %D%/plan/payload.expected \
	%D%/plan/etc-files.args %D%/plan/etc-files.expected \
	%D%/plan/pivot-root.args %D%/plan/pivot-root.expected \
	%D%/plan/read-only.args %D%/plan/read-only.expected \
	%D%/plan/refused.args %D%/plan/refused.expected \
	%D%/plan/resources.args %D%/plan/resources.expected %D%/plan/resources.nspawn \
	%D%/plan/root-overlay.args %D%/plan/root-overlay.expected \
	%D%/plan/root-tmpfs.args %D%/plan/root-tmpfs.expected \
	%D%/plan/scope.args %D%/plan/scope.expected \
	%D%/plan/settings.args %D%/plan/settings.expected %D%/plan/settings.nspawn \
	%D%/plan/settings-bad.args %D%/plan/settings-bad.expected %D%/plan/settings-bad.nspawn \
	%D%/plan/settings-override.args %D%/plan/settings-override.expected %D%/plan/settings-override.nspawn \
	%D%/plan/settings-planned.args %D%/plan/settings-planned.expected %D%/plan/settings-planned.nspawn \
	%D%/plan/settings-trusted.args %D%/plan/settings-trusted.expected %D%/plan/settings-trusted.nspawn \
	%D%/plan/time.args %D%/plan/time.expected \
	%D%/plan/shared.args %D%/plan/shared.expected \
	%D%/plan/users-fixed.args %D%/plan/users-fixed.expected \
	%D%/plan/users-identity.args %D%/plan/users-identity.expected \
	%D%/plan/users-map.args %D%/plan/users-map.expected \
	%D%/plan/users-off.args %D%/plan/users-off.expected \
	%D%/plan/volatile-overlay.args %D%/plan/volatile-overlay.expected \
	%D%/plan/volatile-state.args %D%/plan/volatile-state.expected \
	%D%/plan/volatile-yes.args %D%/plan/volatile-yes.expected

include tests/fuzz/local.mk

# As a name in EXTRA_DIST this script would be taken for the target of the same name.
dist-hook:
	cp -p $(top_srcdir)/check $(distdir)/check
