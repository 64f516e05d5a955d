"""Carry feeds to, and outputs from, a model whose inputs or outputs were changed on purpose."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import Any

import numpy as np
import onnx

from dlarewrite.errors import ModelError
from dlarewrite.verify.ports import IoChange, input_ports


def changed_feed(feed: Mapping[str, Any], after: onnx.ModelProto, changed: Mapping[str, IoChange]) -> dict[str, Any]:
    """The feed of `after` that means the same as `feed` does to the original."""
    ports = {port.name: port for port in input_ports(after)}
    carried = {}
    for name, value in feed.items():
        change = changed.get(name)
        if change is None:
            carried[name] = value
            continue
        port = ports[change.name]
        shape = tuple(size for size in port.shape or () if isinstance(size, int))
        if port.shape is None or len(shape) != len(port.shape) or prod(shape) != value.size:
            raise ModelError(f"input {port.name!r} ({port}) cannot take what {name!r} {list(value.shape)} holds")
        perm = change.perm or tuple(range(len(shape)))
        array = value.reshape([shape[axis] for axis in perm]).transpose(np.argsort(perm))
        carried[change.name] = array.astype(onnx.helper.tensor_dtype_to_np_dtype(port.elem_type))
    return carried


def restored(
    reference: Mapping[str, Any], candidate: Mapping[str, Any], changed: Mapping[str, IoChange]
) -> dict[str, Any]:
    """The candidate's outputs under the original's names, with its axes, shapes and dtypes where those were changed."""
    names = {change.name: name for name, change in changed.items() if name in reference}
    found = {names.get(name, name): value for name, value in candidate.items()}
    for name, change in changed.items():
        if name not in reference or name not in found:
            continue
        array, old = found[name], reference[name]
        array = array.transpose(change.perm) if len(change.perm) == array.ndim else array
        found[name] = array.reshape(old.shape).astype(old.dtype) if array.size == old.size else array
    return found
