# Documents for those who read the sources; nothing here is installed.
EXTRA_DIST += \
	%D%/COMPATIBILITY.md \
	%D%/DEPENDENCIES.md \
	%D%/architecture.md \
	%D%/features.md \
	%D%/lifecycle.md \
	%D%/networking.md \
	%D%/adr/0001-dbus-library-and-helper-programs.md \
	%D%/adr/0002-non-recursive-make.md \
	%D%/adr/0003-plan-and-executor.md \
	%D%/adr/0004-no-fall-back-for-old-kernels.md \
	%D%/adr/0005-process-model-and-protocol.md \
	%D%/adr/0006-ready-made-filters-and-static-launcher.md \
	%D%/adr/0007-network-keeper.md
