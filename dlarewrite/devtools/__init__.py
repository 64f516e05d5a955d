"""Tools for those who work on dlarewrite and on passes: generated documentation, the scaffold of a pass."""
