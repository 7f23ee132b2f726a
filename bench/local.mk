# Rules of this folder come with what is built in it.
