"""What ``--data`` names: a folder, a numpy file, or ``module:function``."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from dlarewrite.errors import EnvironmentMissing, UsageError
from dlarewrite.ir.model import Model
from dlarewrite.precision.arrays import array_data
from dlarewrite.precision.data import Data, files_in, function_data, image_data
from dlarewrite.precision.images import SUFFIXES, Preprocess, geometry
from dlarewrite.verify.ports import Port, input_ports

Choice = Mapping[str, Any]


def open_data(spec: str, model: Model, images: Choice | None = None) -> tuple[Data, Preprocess | None]:
    """The data for a model with static shapes, and how pictures are prepared where it is pictures.

    ``images`` overrides fields of :class:`~dlarewrite.precision.images.Preprocess`; ``size`` and ``layout`` come from
    the model's input otherwise. Raises UsageError for what is not there or does not suit the model.
    """
    ports = {port.name: port for port in input_ports(model.to_proto())}
    path = Path(spec)
    if path.exists():
        kind, paths = files_in(path) if path.is_dir() else _single(path)
        if kind == "arrays":
            return array_data(paths, ports), None
        name, batch, how = _preprocess(ports, dict(images or {}))
        return image_data(paths, name, batch, how), how
    if ":" not in spec:
        raise UsageError(
            f"data {spec!r} does not exist", hint="name a folder, an .npz or .npy file, or module:function"
        )
    return function_data(spec, _function(spec), ports), None


def _single(path: Path) -> tuple[str, list[Path]]:
    suffix = path.suffix.lower()
    if suffix in (".npz", ".npy"):
        return "arrays", [path]
    if suffix in SUFFIXES:
        return "images", [path]
    if suffix == ".py":
        raise UsageError(f"{str(path)!r} needs the name of a function", hint=f"write {path}:FUNCTION")
    raise UsageError(f"{str(path)!r} is neither a numpy file nor a picture")


def _preprocess(ports: Mapping[str, Port], chosen: dict[str, Any]) -> tuple[str, int, Preprocess]:
    if len(ports) != 1:
        raise UsageError(
            f"pictures feed a model with one input, this one has {len(ports)}: {', '.join(ports)}",
            hint="give all inputs with --data file.npz or --data module:function",
        )
    port = next(iter(ports.values()))
    dims = tuple(d for d in port.shape or () if isinstance(d, int))
    found = geometry(dims, chosen.get("layout"))
    if found is None or port.dtype not in ("float", "float16", "double"):
        wanted = f" in layout {chosen['layout']}" if chosen.get("layout") else ""
        raise UsageError(
            f"input {port.name!r} ({port}) takes no pictures{wanted}",
            hint="it needs 4 dims with 1 or 3 channels, and floats; else give --data file.npz or module:function",
        )
    layout, channels, size = found
    order = chosen.setdefault("order", "gray" if channels == 1 else "rgb")
    if (order == "gray") != (channels == 1):
        raise UsageError(f"input {port.name!r} ({port}) has {channels} channels, --order is {order}")
    if tuple(chosen.setdefault("size", size)) != size:
        given = "x".join(map(str, chosen["size"]))
        raise UsageError(
            f"input {port.name!r} ({port}) takes {size[0]}x{size[1]}, --size is {given}",
            hint=f"leave --size out, or freeze the input with --shape {port.name}:…",
        )
    chosen["layout"] = layout
    return port.name, dims[0], Preprocess(**chosen)


def _function(spec: str) -> Callable[[], Any]:
    place, _, name = spec.rpartition(":")
    module = _from_file(Path(place)) if place.endswith(".py") else _from_module(place)
    found = getattr(module, name, None)
    if found is None:
        raise UsageError(f"{place!r} has no {name!r}", hint="write module:function")
    if not callable(found):
        raise UsageError(f"{spec!r} is a {type(found).__name__}, not a function")
    return found  # type: ignore[no-any-return]


def _from_file(path: Path) -> Any:
    if not path.is_file():
        raise UsageError(f"data file {str(path)!r} does not exist")
    described = importlib.util.spec_from_file_location(f"dlarewrite_data_{path.stem}", path)
    if described is None or described.loader is None:
        raise UsageError(f"{str(path)!r} is no Python file")
    module = importlib.util.module_from_spec(described)
    try:
        described.loader.exec_module(module)
    except Exception as error:
        raise UsageError(f"{str(path)!r} raised {type(error).__name__}: {error}") from error
    return module


def _from_module(name: str) -> Any:
    here = str(Path.cwd())
    sys.path.insert(0, here)
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and name.split(".")[0] != error.name.split(".")[0]:
            raise EnvironmentMissing(f"data module {name!r} needs {error.name!r}, which is not installed") from error
        raise UsageError(
            f"there is no data {name!r}", hint="name a folder, an .npz or .npy file, or module:function"
        ) from error
    except Exception as error:
        raise UsageError(f"data module {name!r} raised {type(error).__name__}: {error}") from error
    finally:
        sys.path.remove(here)
