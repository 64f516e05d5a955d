"""Generated documentation: ``python -m dlarewrite.devtools.docs [--check] [--dir docs]``.

``--check`` writes nothing and exits 1, naming the pages that are not what the code says.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from dlarewrite.devtools import page_cli, page_diagnostics, page_passes, page_rules
from dlarewrite.errors import DlarewriteError

PAGES: Mapping[str, Callable[[], str]] = {
    "rules.md": page_rules.render,
    "passes.md": page_passes.render,
    "cli.md": page_cli.render,
    "diagnostics.md": page_diagnostics.render,
}


def stale(folder: Path) -> list[Path]:
    """The generated pages in ``folder`` that are missing or differ from what the code says."""
    return [folder / name for name, render in PAGES.items() if _text(folder / name) != render()]


def write(folder: Path) -> list[Path]:
    """Bring the generated pages in ``folder`` up to date; returns those that changed."""
    folder.mkdir(parents=True, exist_ok=True)
    changed = []
    for name, render in PAGES.items():
        text = render()
        if _text(folder / name) != text:
            (folder / name).write_text(text, encoding="utf-8")
            changed.append(folder / name)
    return changed


def _text(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.is_file() else None


def main(arguments: Sequence[str] | None = None) -> int:
    """Write, or check with ``--check``; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m dlarewrite.devtools.docs", description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 where a page is stale")
    parser.add_argument("--dir", type=Path, default=Path("docs"), help="the folder of the pages (default: docs)")
    chosen = parser.parse_args(arguments)
    try:
        found = stale(chosen.dir) if chosen.check else write(chosen.dir)
    except DlarewriteError as error:
        sys.stderr.write(f"[E] {error.message}\n")
        return error.exit_code
    for path in found:
        sys.stdout.write(f"{'stale' if chosen.check else 'wrote'}: {path}\n")
    return 1 if chosen.check and found else 0


if __name__ == "__main__":
    sys.exit(main())
