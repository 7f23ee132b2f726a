# Tools for those who work on the project; nothing here is installed.
EXTRA_DIST += \
	%D%/compile \
	%D%/demonstrate \
	%D%/dependencies.sh \
	%D%/sum-results
