"""How far plans are from the best: ``python -m benchmarks.optimality [FOLDER] [--optimized] [--objective NAME ...]``.

Every instance is solved twice, by ``dlarewrite.partition.solve`` and by OR-tools' CP-SAT (``benchmarks/exact.py`` also
says what its programme leaves out). Instances: the networks of ``models/`` or every ``*.onnx`` below FOLDER, as they
are or after ``dlarewrite optimize``, and random graphs. Besides the gap, the same costs for "everything legal to the
DLA" (TensorRT's default, in build order up to the cap) and for "the longest run of layer indices, 20 or more".
``bound`` is the better of both solvers' lower bounds; with ``<`` neither proved its optimum.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.exact import exact
from benchmarks.instances import of_networks, of_random
from dlarewrite.errors import DlarewriteError
from dlarewrite.partition.ledger import Ledger
from dlarewrite.partition.loadables import Former, connected
from dlarewrite.partition.problem import Objective, Problem
from dlarewrite.partition.solve import solve
from dlarewrite.partition.throughput import device_times

RUN = 20
"""Layers that a run of indices has to have to be worth a loadable (trtutils' default)."""


def everything_legal(problem: Problem) -> list[tuple[int, ...]]:
    """All regions of legal layers, the first ones up to the cap."""
    return Former(problem).form(problem.legal)[: problem.cap]


def longest_run(problem: Problem) -> list[tuple[int, ...]]:
    """The longest run of legal layer indices, if it is long enough."""
    best, run = range(0), range(0)
    for layer, legal in enumerate(problem.legal):
        run = range(run.start, layer + 1) if legal and run.stop == layer and len(run) else range(layer, layer + legal)
        best = max(best, run, key=len)
    return connected(best, problem.makers)[: problem.cap] if len(best) >= RUN else []


def rate(problem: Problem, objective: Objective, regions: list[tuple[int, ...]]) -> float:
    """Value of a division under an objective."""
    bill = Ledger(problem).bill(regions)
    if objective is Objective.THROUGHPUT:
        return max(device_times(problem, bill, regions))
    if objective is Objective.OFFLOAD:
        inside = {i for region in regions for i in region}
        return sum(w for i, w in enumerate(problem.work or problem.gpu) if i not in inside)
    return bill.total


def row(name: str, problem: Problem, objective: Objective, seconds: float, most: int) -> dict[str, Any]:
    """Both solvers and both defaults on one instance; CP-SAT is skipped over ``most`` layers."""
    start = time.perf_counter()
    found = solve(problem, objective)
    spent = time.perf_counter() - start
    size = len(problem.dla)
    proof = exact(problem, objective, found.on_dla, seconds) if size <= most else None
    best = max(found.bound, min(proof.bound, found.value)) if proof else found.bound
    return {
        "instance": name,
        "objective": objective.value,
        "layers": size,
        "regions": len(found.regions),
        "value": found.value,
        "own_bound": found.bound,
        "best": best,
        "optimal": bool(proof and proof.optimal) or found.gap <= 1e-6,
        "gap": max(0.0, (found.value - best) / found.value) if found.value else 0.0,
        "cp_sat": proof.value if proof else None,
        "everything_legal": rate(problem, objective, everything_legal(problem)),
        "longest_run": rate(problem, objective, longest_run(problem)),
        "gpu_only": rate(problem, objective, []),
        "seconds": spent,
    }


def instances(chosen: argparse.Namespace) -> Iterator[tuple[str, Objective, Problem]]:
    """Name, objective and problem of everything that was asked for; unreadable models are named and left out."""
    objectives = [Objective(o) for o in chosen.objective]
    networks = of_networks(
        chosen.folder, objectives, target=chosen.target, optimized=chosen.optimized, inflate=chosen.inflate
    )
    for name, problems in networks:
        if isinstance(problems, DlarewriteError):
            print(f"{name}: {problems.message}", file=sys.stderr)
            continue
        for objective, problem in problems.items():
            yield name, objective, problem
    for number in range(chosen.random):
        source = random.Random(number)
        problem = of_random(source, source.randrange(10, 60))
        for objective in objectives:
            yield f"random {number}", objective, problem


def main(arguments: list[str] | None = None) -> int:
    """Print the table; 1 if a sum over latency or energy is more than 1 % from the best known bound."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--optimized", action="store_true", help="plan what `dlarewrite optimize` makes of the models")
    parser.add_argument("--inflate", default="", help="script that fills weights in: SCRIPT inflate IN OUT")
    parser.add_argument("--target", default="orin-jp6")
    parser.add_argument("--objective", nargs="+", choices=[o.value for o in Objective], default=["latency", "energy"])
    parser.add_argument("--random", type=int, default=20, help="random graphs (default 20)")
    parser.add_argument("--seconds", type=float, default=10.0, help="time for CP-SAT on each instance")
    parser.add_argument("--layers", type=int, default=3000, help="layers beyond which CP-SAT is not asked")
    parser.add_argument("--json", type=Path)
    chosen = parser.parse_args(arguments)
    print(f"{'instance':44} {'objective':10}{'layers':>7}{'regions':>8}{'value':>11}{'bound':>11}{'gap':>9}"
          f"{'all legal':>11}{'longest':>11}{'GPU only':>11}{'time':>8}")  # fmt: skip
    rows = []
    for name, objective, problem in instances(chosen):
        found = row(name, problem, objective, chosen.seconds, chosen.layers)
        rows.append(found)
        figures = "".join(f"{found[k]:>11.4g}" for k in ("everything_legal", "longest_run", "gpu_only"))
        figures = f"{100 * found['gap']:>6.3f} %{figures}{found['seconds']:>7.2f}s"
        sign = " " if found["optimal"] else "<"
        print(f"{name[-44:]:44} {objective.value:10}{found['layers']:>7}{found['regions']:>8}{found['value']:>11.4g}"
              f"{found['best']:>11.4g}{sign}{figures}", flush=True)  # fmt: skip
    worst = 0.0
    for name in chosen.objective:
        some = [r for r in rows if r["objective"] == name]
        if not some:
            continue
        gap = _share(some, "value", "best")
        optimal = sum(r["gap"] <= 1e-6 for r in some)
        worst = max(worst, gap if name in ("latency", "energy") else 0.0)
        print(f"{name}: {len(some)} instances, {optimal} optimal, mean gap {100 * gap:.3f} %, largest "
              f"{100 * max(r['gap'] for r in some):.3f} %; against everything legal "
              f"{-100 * _share(some, 'everything_legal', 'value'):+.1f} %, longest run "
              f"{-100 * _share(some, 'longest_run', 'value'):+.1f} %, GPU only "
              f"{-100 * _share(some, 'gpu_only', 'value'):+.1f} %")  # fmt: skip
    if chosen.json:
        chosen.json.write_text(json.dumps(rows, indent=1) + "\n")
    return int(worst > 0.01)


def _share(rows: list[dict[str, Any]], large: str, small: str) -> float:
    """Mean over the instances of how much ``small`` is below ``large``."""
    shares = [(r[large] - r[small]) / r[large] for r in rows if r[large] > 0 and math.isfinite(r[large])]
    return sum(shares) / len(shares) if shares else 0.0


if __name__ == "__main__":
    sys.exit(main())
