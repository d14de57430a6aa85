"""One engine per file; the file name is the engine name with underscores."""
