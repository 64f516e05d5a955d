"""Inputs from a numpy archive, checked against the model before anything runs."""

from __future__ import annotations

import re
from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import onnx
from numpy.typing import NDArray

from dlarewrite.errors import UsageError
from dlarewrite.verify.ports import Port, input_ports
from dlarewrite.verify.shell import EXOTIC, Source, open_model

_Arrays = dict[str, NDArray[Any]]
_NUMBERED = re.compile(r"(\d+)/(.+)", re.DOTALL)


def load_npz(path: str | PathLike[str], model: Source) -> tuple[dict[str, NDArray[Any]], ...]:
    """Read samples for `model` from a numpy .npz archive.

    An archive with one sample holds one array per input, named as the input. Several samples are numbered:
    `0/image`, `1/image` … with every input in each. dtypes must be the model's; a dtype that numpy lacks (bfloat16,
    float8) is given as float32, a 4-bit integer as int8. Symbolic dimensions take any size.

    Raises UsageError with one line that names every problem found.
    """
    proto, _ = open_model(model)
    ports = {port.name: port for port in input_ports(proto)}
    name = Path(path).name
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {key: archive[key] for key in archive.files}
    except (OSError, ValueError, BadZipFile, AttributeError, TypeError) as error:
        raise UsageError(f"cannot read {path} as a numpy .npz archive: {error}") from error
    samples = _split(arrays, ports)
    problems: list[str] = []
    checked = tuple(fit(sample, ports, problems, prefix) for prefix, sample in samples)
    if problems:
        raise UsageError(
            f"{name} does not fit the model: {'; '.join(problems)}",
            hint=f"the model's inputs: {', '.join(f'{port.name} ({port})' for port in ports.values())}",
        )
    return checked


def _split(arrays: _Arrays, ports: Mapping[str, Port]) -> list[tuple[str, _Arrays]]:
    """Each sample with the prefix that its arrays' names have in the archive."""
    matches = {key: None if key in ports else _NUMBERED.fullmatch(key) for key in arrays}
    if not arrays or not any(matches.values()):
        return [("", dict(arrays))]
    samples: dict[int, _Arrays] = {}
    plain = {key: arrays[key] for key, match in matches.items() if match is None}
    for key, match in matches.items():
        if match is not None:
            samples.setdefault(int(match[1]), {})[match[2]] = arrays[key]
    return [(f"{number}/", {**plain, **samples[number]}) for number in sorted(samples)]


def fit(
    sample: Mapping[str, NDArray[Any]], ports: Mapping[str, Port], problems: list[str], prefix: str = ""
) -> dict[str, NDArray[Any]]:
    """The sample in the dtypes of the model's inputs; what does not fit is added to ``problems``, a phrase each."""
    problems += [f"{prefix}{name} is no input" for name in sample if name not in ports]
    problems += [f"{prefix}{name} is missing" for name in ports if name not in sample]
    checked = {}
    for name in (name for name in ports if name in sample):
        port, array = ports[name], sample[name]
        expected = np.dtype(onnx.helper.tensor_dtype_to_np_dtype(port.elem_type)) if port.elem_type else array.dtype
        if port.kind not in ("tensor", "optional"):
            problems.append(f"{prefix}{name} is a {port.kind} input, which an archive cannot hold")
        elif not _dtype_fits(array, port.elem_type, expected):
            problems.append(f"{prefix}{name} is {array.dtype}, expected {_wanted(port.elem_type, expected)}")
        elif not _shape_fits(array, port):
            problems.append(f"{prefix}{name} has shape {list(array.shape)}, expected {port}")
        else:
            checked[name] = array.astype(expected)
    return checked


def _wanted(elem_type: int, expected: np.dtype[Any]) -> str:
    if elem_type not in EXOTIC:
        return "str" if expected.kind == "O" else str(expected)
    return "int8" if "int" in expected.name else "float32"


def _dtype_fits(array: NDArray[Any], elem_type: int, expected: np.dtype[Any]) -> bool:
    if expected.kind == "O":
        return array.dtype.kind == "U"
    return array.dtype.name == _wanted(elem_type, expected) or array.dtype == expected


def _shape_fits(array: NDArray[Any], port: Port) -> bool:
    if port.shape is None:
        return True
    same = (not isinstance(dim, int) or dim == size for dim, size in zip(port.shape, array.shape, strict=False))
    return array.ndim == len(port.shape) and all(same)
