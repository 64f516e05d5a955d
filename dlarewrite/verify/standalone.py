"""Run the parts of a split network one after another: python runner.py INPUTS.npz [OUTPUTS.npz]

Needs numpy and onnxruntime, and nothing else. manifest.json, beside this file, names the parts and their tensors.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort


def run(folder: Path, feed: Mapping[str, Any]) -> dict[str, Any]:
    """The network's outputs by name, for arrays by input name."""
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    known = dict(feed)
    missing = [t["name"] for t in manifest["inputs"] if t["name"] not in known]
    if missing:
        raise SystemExit(f"inputs are missing: {', '.join(missing)}")
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL  # the parts as they are written
    for part in manifest["parts"]:
        # A part for the DLA is where a loadable or an engine takes onnxruntime's place.
        session = ort.InferenceSession(str(folder / part["file"]), options, providers=["CPUExecutionProvider"])
        names = [tensor["name"] for tensor in part["outputs"]]
        values = session.run(names, {tensor["name"]: known[tensor["name"]] for tensor in part["inputs"]})
        known.update(zip(names, values, strict=True))
    return {tensor["name"]: known[tensor["name"]] for tensor in manifest["outputs"]}


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3):
        raise SystemExit(__doc__)
    outputs = run(Path(__file__).resolve().parent, np.load(sys.argv[1]))
    for name, value in outputs.items():
        sys.stdout.write(f"{name}: {np.asarray(value).dtype} {list(np.shape(value))}\n")
    if len(sys.argv) == 3:
        np.savez(sys.argv[2], **outputs)
