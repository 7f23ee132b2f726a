# Completion for shells, made from the option table. The folders are those where the shells look for
# what is not a part of themselves.
EXTRA_DIST += \
	%D%/bash.head %D%/bash.tail \
	%D%/make-completion \
	%D%/zsh.head %D%/zsh.tail

bashcompletiondir = @bashcompletiondir@
zshcompletiondir = @zshcompletiondir@
nodist_bashcompletion_DATA = completion/bash/nspawn
nodist_zshcompletion_DATA = completion/zsh/_nspawn
if COMPAT_NAMES
# bash looks for a file by the name of the command.
nodist_bashcompletion_DATA += completion/bash/systemd-nspawn
completed_commands = nspawn systemd-nspawn
else
completed_commands = nspawn
endif
completion_parts = src/nspawn/print-options$(EXEEXT) %D%/make-completion

completion/bash/nspawn: $(completion_parts) %D%/bash.head %D%/bash.tail
	$(AM_V_GEN)$(MKDIR_P) completion/bash && src/nspawn/print-options$(EXEEXT) | \
	$(SHELL) $(srcdir)/completion/make-completion bash $(completed_commands) > $@.tmp && mv $@.tmp $@
completion/bash/systemd-nspawn: completion/bash/nspawn
	$(AM_V_GEN)cp completion/bash/nspawn $@.tmp && mv $@.tmp $@
completion/zsh/_nspawn: $(completion_parts) %D%/zsh.head %D%/zsh.tail
	$(AM_V_GEN)$(MKDIR_P) completion/zsh && src/nspawn/print-options$(EXEEXT) | \
	$(SHELL) $(srcdir)/completion/make-completion zsh $(completed_commands) > $@.tmp && mv $@.tmp $@
CLEANFILES += completion/bash/nspawn completion/bash/systemd-nspawn completion/zsh/_nspawn
