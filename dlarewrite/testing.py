"""One-line helpers for the tests of a pass: golden cases, numeric equality, negative twins.

A golden case is a text file: a model in ONNX's text syntax, a line ``-----``, and either the graph that the pass
leaves (as :func:`dlarewrite.ir.text.render` prints it) or ``= refuses REASON``. Lines before the model that start
with ``#`` are comments; ``# target: NAME``, ``# precision: int8``, ``# options: a=1``, ``# shape: NAME:1x3`` and
``# native-io: true`` set what the pass runs with. A float value that the graph declares (``<float[4,3,3,3] w>``) and
nothing produces is a weight with seeded values.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnx.parser

from dlarewrite.errors import UsageError
from dlarewrite.ir.editor import Change
from dlarewrite.ir.model import Model
from dlarewrite.ir.structure import check_structure
from dlarewrite.ir.text import render
from dlarewrite.numerics import Numerics
from dlarewrite.rewrite.context import Context, Settings
from dlarewrite.rewrite.manager import PassManager, RewriteLog
from dlarewrite.rewrite.pass_ import AnyPass
from dlarewrite.rewrite.spec import Fixpoint, create
from dlarewrite.target import DEFAULT_TARGET, Precision, load_target

SEPARATOR = "-----"


@dataclass(frozen=True)
class Ran:
    """What running one pass to its fixpoint did."""

    before: onnx.ModelProto
    after: onnx.ModelProto
    log: RewriteLog
    text: str

    @property
    def changes(self) -> list[Change]:
        return self.log.changes

    @property
    def reasons(self) -> list[str]:
        return [r.reason for r in self.log.refusals]


def parse(text: str, seed: int = 0) -> onnx.ModelProto:
    """A model from ONNX text, shape-inferred; declared floats that nothing produces become seeded weights."""
    model = onnx.parser.parse_model(text)
    graph = model.graph
    made = {o for n in graph.node for o in n.output} | {v.name for v in graph.input}
    made |= {t.name for t in graph.initializer}
    for value in [v for v in graph.value_info if v.name not in made]:
        tensor = value.type.tensor_type
        kind = onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type)
        dims = [d.dim_value for d in tensor.shape.dim]
        rng = np.random.default_rng([seed, zlib.crc32(value.name.encode())])
        graph.initializer.append(onnx.numpy_helper.from_array(rng.standard_normal(dims).astype(kind), value.name))
        graph.value_info.remove(value)
    onnx.checker.check_model(model)
    return onnx.shape_inference.infer_shapes(model, data_prop=True)


def run(
    pass_: AnyPass | type[AnyPass],
    model: onnx.ModelProto | str,
    *,
    target: str = DEFAULT_TARGET,
    precision: Precision = Precision.FP16,
    settings: Settings | None = None,
    numeric: bool = True,
) -> Ran:
    """Run one pass to its fixpoint on a model (or ONNX text), check the graph, and compare the outputs' values."""
    before = parse(model) if isinstance(model, str) else model
    instance = pass_() if isinstance(pass_, type) else pass_
    work = Model.load(before)
    allowed = settings or Settings(lossy=instance.numerics is Numerics.LOSSY, growth_macs=100.0)
    log = PassManager([Fixpoint((instance,))]).run(Context(work, load_target(target, precision), allowed))
    check_structure(work)
    after = work.to_proto()
    onnx.checker.check_model(after, full_check=True)
    if numeric and log.changes and instance.numerics is not Numerics.LOSSY:
        assert_equal(before, after, instance.numerics)
    return Ran(before, after, log, render(work))


def assert_equal(before: onnx.ModelProto, after: onnx.ModelProto, numerics: Numerics = Numerics.EXACT) -> None:
    """Run both in onnxruntime on seeded inputs; raise AssertionError with the evidence where outputs differ."""
    from dlarewrite.verify import noted_changes, prove

    evidence = prove(before, after, numerics=numerics, io_changed=noted_changes(after))
    if not evidence.ok:
        raise AssertionError(f"outputs differ beyond {numerics}: {evidence}")


def check_case(path: Path, find: Callable[[str], type[AnyPass]], *, update: bool = False) -> None:
    """Run a golden case ``cases/<pass>/<case>.txt``; ``update`` writes what the pass leaves instead of comparing."""
    head, _, expected = path.read_text().partition(f"\n{SEPARATOR}\n")
    notes = dict(_notes(head))
    instance = create(find(path.parent.name), notes.get("options", ""))
    settings = None
    if "shape" in notes:
        name, _, dims = notes["shape"].rpartition(":")
        settings = Settings(shapes={name: tuple(int(d) for d in dims.split("x"))})
    if notes.get("native-io") == "true":
        settings = Settings(native_io=True)
    target, precision = notes.get("target", DEFAULT_TARGET), Precision(notes.get("precision", "fp16"))
    ran = run(instance, _body(head), target=target, precision=precision, settings=settings)
    if ran.changes:
        second = run(instance, ran.after, target=target, precision=precision, settings=settings)
        if second.changes:
            raise AssertionError(f"{path.name}: the pass fires again on its own result: {second.changes}")
    found = ran.text if ran.changes else f"= refuses {'; '.join(ran.reasons)}" if ran.reasons else "= unchanged"
    if update:
        path.write_text(f"{head}\n{SEPARATOR}\n{found}\n")
    elif found.strip() != expected.strip():
        raise AssertionError(f"{path.parent.name}/{path.name}: expected\n{expected}\n\nfound\n{found}")


def _notes(head: str) -> list[tuple[str, str]]:
    found = []
    for line in head.splitlines():
        if line.startswith("# ") and ": " in line:
            key, _, value = line[2:].partition(": ")
            found.append((key.strip(), value.strip()))
    return found


def _body(head: str) -> str:
    body = "\n".join(line for line in head.splitlines() if not line.startswith("#"))
    if not body.strip():
        raise UsageError("the golden case holds no model")
    return body
