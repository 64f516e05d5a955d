"""The command line: one thin click command per file; importing the package imports nothing."""
