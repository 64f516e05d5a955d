"""The links between nodes and tensors, by identity; graphsurgeon's lists would compare by name."""

from __future__ import annotations

from collections.abc import Sequence

import onnx_graphsurgeon as gs


def swap_input(node: gs.Node, index: int, tensor: gs.Tensor) -> None:
    """Make input ``index`` of the node read ``tensor``."""
    old = node.inputs[index]
    _drop(old.outputs, node)
    list.__setitem__(node.inputs, index, tensor)
    list.append(tensor.outputs, node)


def set_inputs(node: gs.Node, tensors: Sequence[gs.Tensor]) -> None:
    """Make the node read ``tensors`` and nothing else."""
    for tensor in node.inputs:
        _drop(tensor.outputs, node)
    list.clear(node.inputs)
    for tensor in tensors:
        list.append(node.inputs, tensor)
        list.append(tensor.outputs, node)


def unlink(node: gs.Node) -> None:
    """Take the node away from all that it reads and makes."""
    set_inputs(node, ())
    for tensor in node.outputs:
        _drop(tensor.inputs, node)
    list.clear(node.outputs)


def link(node: gs.Node, inputs: Sequence[gs.Tensor], outputs: Sequence[gs.Tensor]) -> None:
    """Give a node without links these inputs and outputs."""
    set_inputs(node, inputs)
    for tensor in outputs:
        list.append(node.outputs, tensor)
        list.append(tensor.inputs, node)


def _drop(nodes: list[gs.Node], node: gs.Node) -> None:
    """Remove one occurrence of ``node``."""
    for index, candidate in enumerate(nodes):
        if candidate is node:
            list.__delitem__(nodes, index)
            return
