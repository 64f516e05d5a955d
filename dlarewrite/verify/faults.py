"""What some releases of onnxruntime compute wrongly, said in other words before a model runs.

From opset 19 on, AveragePool of onnxruntime 1.23 divides by the cells inside the input even where
``count_include_pad`` is 1, if the window reaches the end of the pads. That release is the last one for Python 3.10.
"""

from __future__ import annotations

import functools

import numpy as np
import onnx
from onnx import helper, numpy_helper

_SINCE = 19


def avoid(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model itself, or a copy whose counted pads are Pad nodes where this onnxruntime would get them wrong."""
    opset = next((e.version for e in model.opset_import if e.domain in ("", "ai.onnx")), 0)
    if opset < _SINCE or not any(map(_counts_pads, model.graph.node)) or not forgets_pads():
        return model
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    nodes: list[onnx.NodeProto] = []
    for number, node in enumerate(copy.graph.node):
        if _counts_pads(node):
            nodes.append(_pad(copy.graph, node, f"padded.{number}"))
        nodes.append(node)
    kept = [onnx.NodeProto.FromString(node.SerializeToString()) for node in nodes]
    del copy.graph.node[:]
    copy.graph.node.extend(kept)
    return copy


@functools.cache
def forgets_pads() -> bool:
    """Whether this onnxruntime takes the mean of 1 and a counted pad for 1, not 1/2."""
    import onnxruntime as ort

    shape = [1, 1, 1, 1]
    node = helper.make_node("AveragePool", ["x"], ["y"], kernel_shape=[2, 1], pads=[0, 0, 1, 0], count_include_pad=1)
    graph = helper.make_graph(
        [node],
        "probe",
        [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, shape)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", _SINCE)], ir_version=8)
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    (mean,) = session.run(None, {"x": np.ones(shape, np.float32)})
    return float(mean.item()) != 0.5


def _counts_pads(node: onnx.NodeProto) -> bool:
    """A pool with counted pads; one with ceil_mode, whose last window may hang over them, is left."""
    if node.op_type != "AveragePool" or node.domain not in ("", "ai.onnx"):
        return False
    attrs = {a.name: a for a in node.attribute}
    counted = "count_include_pad" in attrs and attrs["count_include_pad"].i == 1
    explicit = "auto_pad" not in attrs or attrs["auto_pad"].s == b"NOTSET"
    hangs = "ceil_mode" in attrs and attrs["ceil_mode"].i == 1
    return counted and explicit and not hangs and "pads" in attrs and any(attrs["pads"].ints)


def _pad(graph: onnx.GraphProto, pool: onnx.NodeProto, name: str) -> onnx.NodeProto:
    """A Pad with the pool's pads, which the pool then reads and has no longer."""
    attribute = next(a for a in pool.attribute if a.name == "pads")
    begin, end = np.split(np.asarray(attribute.ints), 2)
    pads = np.concatenate([[0, 0], begin, [0, 0], end]).astype(np.int64)
    graph.initializer.append(numpy_helper.from_array(pads, f"{name}.pads"))
    node = helper.make_node("Pad", [pool.input[0], f"{name}.pads"], [name], name=name)
    pool.input[0] = name
    attribute.ints[:] = [0] * len(attribute.ints)
    return node
