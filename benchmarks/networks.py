"""What dlarewrite makes of a folder of networks: ``python -m benchmarks.networks FOLDER [--inflate SCRIPT]``.

For every ``*.onnx`` below FOLDER: figures before and after, passes that fired, evidence, time; a crash is a row too.
With ``--refused`` the operators that are still refused are counted over the whole folder, by the networks that have
them.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

from dlarewrite.compiler import Options, optimize
from dlarewrite.errors import DlarewriteError, UsageError

PLANNED = ("loadables", "crossings")
"""Figures that are also given for the plan, which leaves islands to the GPU that TensorRT's default would take."""


def whole(summary: dict[str, Any]) -> bool:
    """Whether all MACs are in one loadable."""
    return bool(summary["loadables"] == 1 and summary["dla_macs"] == summary["macs"])


def one(job: tuple[Path, dict[str, Any]]) -> dict[str, Any]:
    """Optimise one file; errors become fields of the row."""
    path, chosen = job
    row: dict[str, Any] = {"file": str(path)}
    start = time.perf_counter()
    try:
        with tempfile.TemporaryDirectory() as folder:
            source = path
            if chosen["inflate"]:
                source = Path(folder) / path.name
                command = [sys.executable, chosen["inflate"], "inflate", str(path), str(source)]
                subprocess.run(command, check=True, capture_output=True)
            start = time.perf_counter()
            options = Options(
                target=chosen["target"],
                native_io=chosen["native_io"],
                batch=chosen["batch"],
                verify=chosen["verify"],
                seeds=tuple(range(chosen["seeds"])),
            )
            try:
                result = optimize(source, options)
            except UsageError:
                # A batch cannot be asked of a model whose leading dims are fixed.
                result = optimize(source, replace(options, batch=None))
    except DlarewriteError as error:
        row |= {"error": f"{type(error).__name__}: {error.message}"}
    except Exception as error:  # the row must say so, whatever it is
        row |= {"crash": f"{type(error).__name__}: {error}"}
    else:
        report = result.report.to_dict()
        row |= {k: report[k] for k in ("before", "after", "planned", "refusals")}
        row["fired"] = {p["name"]: p["fired"] for p in report["passes"] if p["fired"]}
        evidence = report["evidence"]
        row["ok"] = None if not evidence or evidence["skipped"] else evidence["ok"]
        row["refused"] = [
            [n["op"], n["verdict"], n["findings"][0]["rule"] if n["findings"] else "", n["name"]]
            for n in report["nodes"]
            if n["verdict"] in ("gpu", "uncertain", "unknown")
        ]
    row["seconds"] = round(time.perf_counter() - start, 2)
    return row


def line(row: dict[str, Any], root: Path) -> str:
    """One row as text."""
    name = str(Path(row["file"]).relative_to(root))
    if "before" not in row:
        return f"{name:60} {row.get('error') or 'CRASH ' + row['crash']}"
    cells = []
    for key in ("gpu_nodes", "loadables", "crossings"):
        cells.append(
            f"{row['before'][key]:>5} ->{row['after'][key]:>4}" + (f" {row['planned'][key]:>4}" * (key in PLANNED))
        )
    share = [100 * s["dla_macs"] / s["macs"] if s["macs"] else 0 for s in (row["before"], row["planned"])]
    proof = {True: "equal", False: "DIFFERS", None: "unproven"}[row["ok"]]
    return f"{name:60} {' '.join(cells)} {share[0]:>6.1f} ->{share[1]:>6.1f} % {proof:8} {row['seconds']:>7.1f}s"


def main(arguments: list[str] | None = None) -> int:
    """Run the folder; exit 1 when anything crashed or differed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--match", default="**/*.onnx")
    parser.add_argument("--inflate", default="", help="script that fills weights in: SCRIPT inflate IN OUT")
    parser.add_argument("--target", default="orin-jp6")
    parser.add_argument("--io", choices=("keep", "native"), default="keep")
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--verify", choices=("off", "end"), default="end")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--refused", action="store_true")
    chosen = parser.parse_args(arguments)
    settings = vars(chosen) | {"native_io": chosen.io == "native"}
    files = sorted(chosen.folder.glob(chosen.match))
    head = "GPU nodes   loadables, planned crossings, planned MACs on the DLA"
    print(f"{'network':60} {head}")
    rows = []
    with multiprocessing.Pool(chosen.jobs, maxtasksperchild=8) as pool:
        for row in pool.imap(one, [(f, settings) for f in files]):
            rows.append(row)
            print(line(row, chosen.folder), flush=True)
    done = [r for r in rows if "before" in r]
    default, planned = (sum(whole(r[key]) for r in done) for key in ("after", "planned"))
    print(f"\n{len(rows)} networks, {len(done)} done, {planned} with all MACs in one planned loadable", end="")
    print(f" ({default} by TensorRT's default, which takes every region)")
    if chosen.refused:
        counts: Counter[tuple[str, str]] = Counter()
        for row in done:
            counts.update({(op, rule) for op, _, rule, _ in row["refused"]})
        for (op, rule), count in counts.most_common(60):
            print(f"{count:>5} networks  {op:28} {rule}")
    if chosen.json:
        chosen.json.write_text(json.dumps(rows, indent=1) + "\n")
    return int(any("crash" in r or r.get("ok") is False for r in rows))


if __name__ == "__main__":
    sys.exit(main())
