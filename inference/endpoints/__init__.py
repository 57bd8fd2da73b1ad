"""What clients may call: one file an API, one table of paths. A path that is not in the table does not exist."""
