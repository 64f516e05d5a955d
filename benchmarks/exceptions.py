"""The networks that did not become one loadable, and the rules that keep them off the DLA.

``python -m benchmarks.exceptions FIGURES.json [--ignore SUFFIX] > benchmarks/exceptions.md`` reads what
``benchmarks.networks --refused --json`` wrote. Of exports that differ by a suffix alone, the first one is listed.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from benchmarks.networks import whole

_NAMED = 3

HEAD = """# Networks that are not one loadable

Of {files} exports of public architectures (two exporters, `--target orin-jp6 --io native`), {done} were optimised and
proven equal, {shapes} need `--shape`. {whole} are one planned loadable with all their MACs. The others, one exporter
each: MACs on the DLA and loadables as planned (islands left to the GPU), and the rules that keep most nodes off. Why no
exact rewrite exists behind each rule: [limits](../docs/limits.md).

| network | planned loadables | MACs on the DLA | rules (nodes) |
|---|---|---|---|"""


def planned(row: dict[str, Any]) -> dict[str, Any]:
    """The figures without islands."""
    figures: dict[str, Any] = row["planned"] or row["after"]
    return figures


def line(name: str, row: dict[str, Any]) -> str:
    """One network of the table."""
    figures = planned(row)
    share = figures["dla_macs"] / figures["macs"] if figures["macs"] else 0.0
    shown = f"{100 * share:.1f} %" if share in (0.0, 1.0) or 0.0005 <= share < 0.9995 else _edge(share)
    rules = Counter(f"{rule} {op}" for op, _, rule, _ in row["refused"])
    text = ", ".join(f"{what} ({count})" for what, count in rules.most_common(_NAMED)) or "islands only"
    return f"| {name} | {figures['loadables']} | {shown} | {text} |"


def _edge(share: float) -> str:
    return ">99.9 %" if share > 0.5 else "<0.1 %"


def main(arguments: list[str] | None = None) -> int:
    """Print the table; exit 1 where a network crashed or was not proven equal."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("figures", type=Path)
    parser.add_argument("--ignore", default="_dynamo", metavar="SUFFIX", help="of names, when exports are compared")
    chosen = parser.parse_args(arguments)
    rows = json.loads(chosen.figures.read_text())
    done = [row for row in rows if "after" in row]
    asked = sum("needs static shapes" in row.get("error", "") for row in rows)
    complete = sum(whole(planned(row)) for row in done)
    print(HEAD.format(files=len(rows), done=len(done), shapes=asked, whole=complete))
    listed: dict[str, str] = {}
    for row in sorted(done, key=lambda row: str(row["file"])):
        name = Path(row["file"]).stem.removesuffix(chosen.ignore)
        if not whole(planned(row)) and name not in listed:
            listed[name] = line(name, row)
            print(listed[name])
    return int(len(done) + asked < len(rows) or not all(row["ok"] for row in done))


if __name__ == "__main__":
    sys.exit(main())
