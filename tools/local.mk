# Tools for those who work on the project; nothing here is installed.
EXTRA_DIST += \
	.githooks/pre-commit \
	%D%/check-static.sh \
	%D%/check_options.py \
	%D%/compile \
	%D%/demonstrate \
	%D%/dependencies.sh \
	%D%/sum-results

# Rules that a compiler does not know. They run in the build folder; the scripts are in the source's.
tools_tests = \
	%D%/check-includes.sh \
	%D%/check-manual.sh \
	%D%/check-options.sh \
	%D%/check-pure.sh
dist_check_SCRIPTS += $(tools_tests)
TESTS += $(tools_tests)
