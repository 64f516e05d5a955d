"""How check and optimize grow with the graph: ``python -m benchmarks.scaling [--nodes 5000 10000 20000]``.

Builds synthetic chains (``models/chain.py``), times judging, rewriting and the whole road without verification, and
prints seconds, microseconds a node, and the growth exponent between the smallest and the largest graph (1 is linear).
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from collections.abc import Callable
from typing import Any

from dlarewrite.compiler import check, optimize
from dlarewrite.ir.model import Model
from dlarewrite.target import judge_graph, load_target
from models.chain import build


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    """CPU seconds of one call, and its result."""
    start = time.process_time()
    result = work()
    return time.process_time() - start, result


def measure(nodes: int, target_name: str) -> dict[str, float]:
    """One row: CPU seconds of each step on a graph of about ``nodes`` nodes."""
    proto = build(nodes)
    target = load_target(target_name)
    load, model = timed(lambda: Model.load(proto))
    judge, _ = timed(lambda: judge_graph(model.nodes, model.inputs, model.outputs, target, model.opset))
    checked, _ = timed(lambda: check(proto, target=target_name))
    optimized, result = timed(lambda: optimize(proto, target=target_name, verify="off"))
    return {
        "nodes": len(model),
        "load": load,
        "judge": judge,
        "check": checked,
        "optimize": optimized,
        "rewrites": sum(p.fired for p in result.report.passes),
        "gpu_before": result.report.before.gpu_nodes,
        "gpu_after": result.report.summary.gpu_nodes,
    }


def main(arguments: list[str] | None = None) -> int:
    """Print one row a size and the growth exponents; 1 if check + optimize of the largest takes over a minute."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--nodes", type=int, nargs="+", default=[5000, 10000, 20000])
    parser.add_argument("--target", default="orin-jp6")
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args(arguments)
    rows = [measure(n, chosen.target) for n in chosen.nodes]
    steps = ("load", "judge", "check", "optimize")
    first, last = rows[0], rows[-1]
    grown = math.log(last["nodes"] / first["nodes"]) if last["nodes"] != first["nodes"] else math.inf
    growth = {s: math.log(max(last[s], 1e-9) / max(first[s], 1e-9)) / grown for s in steps}
    if chosen.json:
        json.dump({"rows": rows, "growth": growth}, sys.stdout, indent=2)
        print()
    else:
        print(f"{'nodes':>8}" + "".join(f"{s:>12}" for s in steps) + f"{'us/node':>10}{'rewrites':>10}  GPU nodes")
        for row in rows:
            each = 1e6 * (row["check"] + row["optimize"]) / row["nodes"]
            cells = "".join(f"{row[s]:>11.2f}s" for s in steps)
            print(
                f"{row['nodes']:>8}{cells}{each:>10.0f}{row['rewrites']:>10}  {row['gpu_before']} -> {row['gpu_after']}"
            )
        print("growth  " + "".join(f"{growth[s]:>12.2f}" for s in steps) + "  (1.00 is linear)")
    return int(last["check"] + last["optimize"] > 60)


if __name__ == "__main__":
    sys.exit(main())
