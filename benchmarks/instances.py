"""Partitioning problems to measure the solver on: networks under the shipped cost model, and random graphs."""

from __future__ import annotations

import math
import random
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from dlarewrite.compiler import Options, judge_model, load_frozen, optimize
from dlarewrite.errors import DlarewriteError
from dlarewrite.partition.cost import CostModel
from dlarewrite.partition.planner import Instance, Wish, build_problem
from dlarewrite.partition.problem import HOST, Handover, Objective, Problem
from models import BUILDERS

Problems = Mapping[Objective, Problem]


def of_model(
    source: Any, objectives: Sequence[Objective], *, target: str = "orin-jp6", optimized: bool = False
) -> Problems:
    """One problem for each objective, islands of any size allowed; raises what the compiler raises."""
    options = Options(target=target, verify="off")
    if optimized:
        source = optimize(source, options).model
    model, loaded = load_frozen(source, options)
    instance = Instance.of(model, judge_model(model, loaded), loaded, CostModel.load(loaded))
    return {o: build_problem(instance, Wish(objective=o, min_region=0.0)) for o in objectives}


def of_networks(
    folder: Path | None, objectives: Sequence[Objective], *, target: str, optimized: bool, inflate: str = ""
) -> Iterator[tuple[str, Problems | DlarewriteError]]:
    """Name and problems of every model below ``folder`` (default: of ``models/``), or why there are none."""
    for name, source in _sources(folder):
        try:
            with tempfile.TemporaryDirectory() as scratch:
                if inflate:
                    whole = Path(scratch) / Path(name).name
                    command = [sys.executable, inflate, "inflate", str(source), str(whole)]
                    subprocess.run(command, check=True, capture_output=True)
                    source = whole
                yield name, of_model(source, objectives, target=target, optimized=optimized)
        except DlarewriteError as error:
            yield name, error


def _sources(folder: Path | None) -> Iterator[tuple[str, Any]]:
    if folder is None:
        # The synthetic chain is plan_scaling's.
        yield from ((name, build()) for name, build in BUILDERS.items() if name != "chain")
        return
    files = [folder] if folder.is_file() else sorted(folder.glob("**/*.onnx"))
    yield from ((str(path.relative_to(folder) if folder.is_dir() else path.name), path) for path in files)


def of_random(source: random.Random, layers: int, *, legal: float = 0.9, loadable: float | None = None) -> Problem:
    """A trunk with branches; layers faster or slower on the DLA by up to 2, every tenth illegal."""
    makers: list[tuple[int, ...]] = [()]
    for layer in range(1, layers):
        before = {layer - 1} if source.random() < 0.85 else {source.randrange(layer)}
        if source.random() < 0.2:
            before.add(source.randrange(max(0, layer - 8), layer))
        makers.append(tuple(sorted(before)))
    readers: list[list[int]] = [[] for _ in makers]
    for reader, found in enumerate(makers):
        for maker in found:
            readers[maker].append(reader)
    gpu = [source.uniform(0.01, 0.2) for _ in makers]
    dla = [g * source.uniform(0.4, 1.6) if source.random() < legal else math.inf for g in gpu]
    costs = [source.uniform(0.005, 0.05) for _ in makers]
    inputs = Handover(HOST, tuple(i for i, found in enumerate(makers) if not found), 0.02, 0.02)
    return Problem(
        dla=dla,
        gpu=gpu,
        makers=makers,
        handovers=[inputs, *(Handover(i, tuple(readers[i]) or (HOST,), c, c) for i, c in enumerate(costs))],
        loadable=source.choice([0.0, 0.05, 0.2]) if loadable is None else loadable,
        max_loadables=source.choice([1, 4, 16]) if loadable is None else 16,
    )
