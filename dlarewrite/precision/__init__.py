"""INT8 without a board: one table of scales, its files, its way through the rewrites, and what it covers."""
