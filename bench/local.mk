# Run by hand, see README.md here: it needs root and a quiet machine.
EXTRA_DIST += %D%/README.md %D%/floor.c %D%/network %D%/results.txt %D%/run
