"""C-STORE and verification: what a PACS sends becomes files on stable storage."""
