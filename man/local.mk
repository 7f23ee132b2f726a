# The manual. The compatibility name of a page is a page that shows the other one.
dist_man_MANS += %D%/nspawn.1 %D%/nspawn.5
if COMPAT_NAMES
dist_man_MANS += %D%/systemd-nspawn.1 %D%/systemd.nspawn.5
endif
