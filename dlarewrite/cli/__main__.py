"""``python -m dlarewrite.cli``."""

from __future__ import annotations

from dlarewrite.cli.main import main

main()
