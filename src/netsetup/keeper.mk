# The keeper of networks: its clients' side is in the library, the rest is a program of its own.
src_netsetup_libnetsetup_a_SOURCES += \
	%D%/keeper.c %D%/keeper.h \
	%D%/keeper-message.c %D%/keeper-message.h
