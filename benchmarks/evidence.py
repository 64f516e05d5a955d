"""What verdicts rest on: ``python -m benchmarks.evidence FOLDER [--target T] [--precision fp16|int8]``.

For every ``*.onnx`` below FOLDER the nodes are judged as they are. A verdict rests on its deciding finding, or on
documentation where nothing speaks against the node. Printed are nodes and MACs per evidence, verdicts, the number of
unknown nodes over float tensors, crashes, and the ten inferred rules that decide most work (MACs, then activations).
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

from dlarewrite.analysis.cost import elements, macs
from dlarewrite.compiler import Options, load_frozen
from dlarewrite.errors import DlarewriteError, UsageError
from dlarewrite.ir.view import is_float
from dlarewrite.target import Evidence, NodeVerdict, Verdict, judge_graph

_STRENGTH = {e: i for i, e in enumerate(Evidence)}


def rests_on(found: NodeVerdict) -> str:
    """The evidence of the verdict."""
    if found.verdict.transparent:
        return "folded or dropped"
    effect = {Verdict.GPU: "gpu", Verdict.UNCERTAIN: "uncertain"}.get(found.verdict)
    deciding = [f.evidence for f in found.findings if f.effect == effect]
    if not deciding:
        return Evidence.DOCUMENTED.value if found.verdict is Verdict.DLA else "no rule"
    # A refusal stands on its strongest reason, a doubt on its weakest.
    pick = min if found.verdict is Verdict.GPU else max
    return pick(deciding, key=_STRENGTH.__getitem__).value


def survey(folder: Path, options: Options) -> dict[str, Any]:
    """Counts over all models of the folder."""
    nodes: Counter[str] = Counter()
    work: Counter[str] = Counter()
    verdicts: Counter[str] = Counter()
    inferred: dict[str, list[int]] = {}
    problems: list[str] = []
    unknown: list[str] = []
    files = sorted(folder.glob("**/*.onnx"))
    for path in files:
        try:
            try:
                model, target = load_frozen(path, options)
            except UsageError:
                model, target = load_frozen(path, replace(options, batch=None))
        except DlarewriteError as error:
            problems.append(f"{path.name}: {error.message}")
            continue
        judged = judge_graph(model.nodes, model.inputs, model.outputs, target, model.opset)
        for node in model.nodes:
            found = judged.verdicts[id(node)]
            evidence = rests_on(found)
            nodes[evidence] += 1
            work[evidence] += macs(node)
            verdicts[found.verdict.value] += 1
            if found.verdict is Verdict.UNKNOWN and any(is_float(t) for t in node.outputs):
                unknown.append(f"{path.name}: {node.op}")
            if evidence == Evidence.INFERRED.value:
                rule = next(f.rule for f in found.findings if f.evidence is Evidence.INFERRED)
                row = inferred.setdefault(rule, [0, 0, 0])
                row[0] += macs(node)
                row[1] += sum(elements(t) for t in node.outputs)
                row[2] += 1
    top = sorted(inferred.items(), key=lambda item: tuple(-v for v in item[1]))[:10]
    return {
        "models": len(files),
        "nodes": dict(nodes),
        "macs": dict(work),
        "verdicts": dict(verdicts),
        "unknown_float": unknown,
        "problems": problems,
        "inferred_rules": [{"rule": r, "macs": v[0], "elements": v[1], "nodes": v[2]} for r, v in top],
    }


def main(arguments: list[str] | None = None) -> int:
    """Print the survey; exit 1 where a float node has no rule."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--target", default="orin-jp6")
    parser.add_argument("--precision", default="fp16", choices=("fp16", "int8"))
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args(arguments)
    found = survey(chosen.folder, Options(target=chosen.target, precision=chosen.precision, batch=1))
    if chosen.json:
        json.dump(found, sys.stdout, indent=2)
        print()
        return int(bool(found["unknown_float"]))
    print(f"{found['models']} models for {chosen.target}, {chosen.precision}; verdicts: {found['verdicts']}\n")
    total = sum(found["nodes"].values())
    print(f"{'rests on':20}{'nodes':>10}{'share':>8}{'GMACs':>12}")
    for evidence, count in sorted(found["nodes"].items(), key=lambda item: -item[1]):
        print(f"{evidence:20}{count:>10}{100 * count / total:>7.1f}%{found['macs'][evidence] / 1e9:>12.2f}")
    print("\nInferred rules that decide most work")
    for row in found["inferred_rules"]:
        work = f"{row['macs'] / 1e9:>10.3f} GMACs{row['elements'] / 1e6:>10.2f} M elements"
        print(f"  {row['rule']:18}{work}{row['nodes']:>8} nodes")
    for kind in ("unknown_float", "problems"):
        for line in found[kind]:
            print(f"{kind}: {line}")
    return int(bool(found["unknown_float"]))


if __name__ == "__main__":
    sys.exit(main())
