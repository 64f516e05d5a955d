"""dlarewrite beside onnxsim and OnnxSlim: ``python -m benchmarks.peers FOLDER [--inflate SCRIPT] [--markdown FILE]``.

Every model is judged by ``dlarewrite check`` as it is and after each tool. Leading symbolic dims are set to --batch
first, for all tools alike. Each tool runs in a fresh process, one after the other, without verification (dlarewrite
with ``--no-verify``: the peers do not verify either); the time is from reading the file to having written the result,
imports not counted (they are in the JSON). The peers are the user's to install (``pip install onnxsim onnxslim``).
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import onnx

from dlarewrite.compiler import check
from dlarewrite.errors import DlarewriteError, UsageError

ROOT = Path(__file__).resolve().parents[1]
TOOLS = ("onnxsim", "onnxslim", "dlarewrite")
STAGES = ("raw", *TOOLS)
LIMIT = 2.0
"""dlarewrite shall take no more than this times what OnnxSlim takes."""

Cell = Callable[[dict[str, Any]], str]
COLUMNS: tuple[tuple[str, Cell], ...] = (
    ("nodes", lambda s: str(s["nodes"])),
    ("GPU nodes", lambda s: str(s["gpu_nodes"])),
    ("MACs on the DLA", lambda s: f"{100 * s['dla_macs'] / s['macs']:.1f}%" if s["macs"] else "-"),
    ("loadables", lambda s: str(s["loadables"])),
    ("planned", lambda s: str(s["planned"])),
    ("crossings", lambda s: str(s["crossings"])),
    ("bytes crossed", lambda s: f"{s['bytes_crossed'] / 2**20:.2f}M"),
    ("seconds", lambda s: f"{s['seconds']:.2f}" if "seconds" in s else "-"),
)


def prepare(path: Path, out: Path, inflate: str, batch: int) -> None:
    """Fill weights in where a script does that, and set symbolic leading dims of the inputs."""
    source = path
    if inflate:
        command = [sys.executable, inflate, "inflate", str(path), str(out)]
        subprocess.run(command, check=True, capture_output=True)
        source = out
    model = onnx.load(str(source))
    weights = {t.name for t in model.graph.initializer}
    for value in model.graph.input:
        dims = value.type.tensor_type.shape.dim
        if value.name not in weights and dims and dims[0].HasField("dim_param"):
            dims[0].dim_value = batch
    onnx.save(model, str(out))


def judge(path: Path, chosen: argparse.Namespace) -> dict[str, Any]:
    """The figures of one file; an error becomes a field."""
    try:
        try:
            found = check(path, target=chosen.target, batch=chosen.batch)
        except UsageError:
            # A batch cannot be asked of a model whose leading dims are fixed.
            found = check(path, target=chosen.target)
        return {**asdict(found.summary), "planned": (found.planned or found.summary).loadables}
    except DlarewriteError as error:
        return {"crash": f"check: {error.message}"}
    except Exception as error:  # a result that cannot even be read is the tool's row all the same
        return {"crash": f"check: {type(error).__name__}: {error}"}


def run(tool: str, source: Path, folder: Path, chosen: argparse.Namespace) -> dict[str, Any]:
    """One tool on one file, the fastest of ``--repeat`` runs, and the judgement of what it wrote."""
    out, result = folder / f"{tool}.onnx", folder / f"{tool}.json"
    words = [tool, str(source), str(out), str(result), "--target", chosen.target, "--io", chosen.io]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))}
    runs = []
    for _ in range(chosen.repeat):
        result.unlink(missing_ok=True)
        try:
            command = [sys.executable, "-m", "benchmarks.peer", *words]
            done = subprocess.run(command, env=environment, capture_output=True, timeout=chosen.timeout, check=False)
        except subprocess.TimeoutExpired:
            return {"crash": f"not done after {chosen.timeout:g} s"}
        if not result.exists():
            return {"crash": f"the process ended with {done.returncode}"}
        runs.append(json.loads(result.read_text()))
        if "seconds" not in runs[-1]:
            return dict(runs[-1])
    return {**min(runs, key=lambda r: float(r["seconds"])), **judge(out, chosen)}


def row(path: Path, chosen: argparse.Namespace) -> dict[str, Any]:
    """All stages of one model."""
    name = str(path.relative_to(chosen.folder).with_suffix(""))
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        source = folder / "raw.onnx"
        try:
            prepare(path, source, chosen.inflate, chosen.batch)
        except (subprocess.CalledProcessError, OSError, ValueError) as error:
            return {"model": name, "raw": {"crash": f"prepare: {type(error).__name__}: {error}"}}
        stages = {tool: run(tool, source, folder, chosen) for tool in TOOLS}
        return {"model": name, "raw": judge(source, chosen), **stages}


def cells(found: dict[str, Any], column: Cell) -> list[str]:
    """One column's values of all stages; what crashed says so, what is missing stays empty."""
    shown = []
    for stage in STAGES:
        figures = found.get(stage, {})
        if "nodes" in figures:
            shown.append(column(figures))
        else:
            shown.append("failed" if "crash" in figures else "")
    return shown


def text(found: dict[str, Any]) -> str:
    """One model: a line a stage."""
    lines = [found["model"]]
    table = [cells(found, column) for _, column in COLUMNS]
    for index, stage in enumerate(STAGES):
        note = found.get(stage, {}).get("crash", "")
        lines.append(
            f"  {stage:12}" + "".join(f"{column[index]:>15}" for column in table) + (f"  {note}" if note else "")
        )
    return "\n".join(lines)


def markdown(rows: list[dict[str, Any]], chosen: argparse.Namespace) -> str:
    """The table of all models with its notes."""
    lines = [
        "# dlarewrite beside onnxsim and OnnxSlim",
        "",
        f"Target {chosen.target}, `--io {chosen.io}`, batch {chosen.batch}. Cells: {' / '.join(STAGES)}. All judged by",
        "`dlarewrite check`; planned are the loadables with islands left to the GPU. Seconds are wall time from file",
        "to file in a fresh process without its imports, no tool verifying (dlarewrite runs with `--no-verify`), the",
        f"best of {chosen.repeat}.",
        "",
        "| model | " + " | ".join(name for name, _ in COLUMNS) + " |",
        "|---|" + "---|" * len(COLUMNS),
    ]
    for found in rows:
        shown = (" / ".join(c or "-" for c in cells(found, column)) for _, column in COLUMNS)
        lines.append(f"| {found['model']} | " + " | ".join(shown) + " |")
    return "\n".join([*lines, "", *(f"- {note}" for note in notes(rows))]) + "\n"


def notes(rows: list[dict[str, Any]]) -> list[str]:
    """What the figures do not say: tools that are missing, crashes, and where the time limit is broken."""
    found = []
    for tool in TOOLS:
        missing = next((r[tool]["missing"] for r in rows if "missing" in r.get(tool, {})), "")
        if missing:
            found.append(f"{tool} is not installed, its column is empty ({missing})")
    for one in rows:
        found += [f"{one['model']}: {s}: {one[s]['crash']}" for s in STAGES if "crash" in one.get(s, {})]
    slow = [f"{one['model']} ({ratio(one):.1f}x)" for one in rows if ratio(one) > LIMIT]
    compared = sum(ratio(one) > 0 for one in rows)
    if compared:
        whose = ", ".join(slow) or "none"
        found.append(f"slower than {LIMIT:g} times OnnxSlim: {whose} of {compared} compared")
    return found


def ratio(found: dict[str, Any]) -> float:
    """dlarewrite's seconds over OnnxSlim's, 0 where there is nothing to compare."""
    ours, theirs = (found.get(tool, {}).get("seconds") for tool in ("dlarewrite", "onnxslim"))
    return ours / theirs if ours and theirs else 0.0


def main(arguments: list[str] | None = None) -> int:
    """Print the table; exit 1 where dlarewrite crashed or took more than the limit."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--match", default="**/*.onnx")
    parser.add_argument("--inflate", default="", help="script that fills weights in: SCRIPT inflate IN OUT")
    parser.add_argument("--target", default="orin-jp6")
    parser.add_argument("--io", choices=("keep", "native"), default="keep")
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--repeat", type=int, default=1)
    parser.add_argument("--timeout", type=float, default=600.0, metavar="SECONDS")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--markdown", type=Path)
    chosen = parser.parse_args(arguments)
    print(" " * 14 + "".join(f"{name:>15}" for name, _ in COLUMNS))
    rows = []
    for path in sorted(chosen.folder.glob(chosen.match)):
        rows.append(row(path, chosen))
        print(text(rows[-1]), flush=True)
    for note in notes(rows):
        print(note)
    if chosen.json:
        chosen.json.write_text(json.dumps(rows, indent=1) + "\n")
    if chosen.markdown:
        chosen.markdown.write_text(markdown(rows, chosen))
    return int(any("crash" in r.get("dlarewrite", {"crash": ""}) or ratio(r) > LIMIT for r in rows))


if __name__ == "__main__":
    sys.exit(main())
