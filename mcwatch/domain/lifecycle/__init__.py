"""Is this new? The rules that turn rows into events, apart from any I/O: one file per feed."""
