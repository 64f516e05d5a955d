"""A split on disk: a folder that appears whole and proven, or not at all."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Callable, Collection, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import onnx

from dlarewrite.analysis.cost import macs
from dlarewrite.errors import MismatchError, ModelError, UsageError
from dlarewrite.ir.model import Model
from dlarewrite.ir.weights import StoredValues
from dlarewrite.partition import manifest as manifests
from dlarewrite.partition.extract import Part
from dlarewrite.partition.manifest import INPUT, OUTPUT, Manifest, PartEntry, TensorEntry
from dlarewrite.partition.split import Split
from dlarewrite.target import Target
from dlarewrite.verify import Evidence, pipeline
from dlarewrite.verify.ports import Port, input_ports, output_ports

Prove = Callable[[Path, Manifest], Evidence]


@dataclass(frozen=True)
class Origin:
    """The file that was split, and how faithful the model that the parts were cut from is to it."""

    name: str
    sha256: str
    numerics: str


def check_folder(folder: Path, inputs: Collection[Path], *, force: bool = False) -> None:
    """Raise :class:`UsageError` where a split cannot be written to ``folder``.

    A folder that holds something is refused; with ``force`` it may hold an earlier split, which is replaced, but no
    other file, and none of ``inputs``.
    """
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"output {str(folder)!r} is a file", hint="name a folder with -o")
    parent = folder.absolute().parent
    if not parent.is_dir():
        raise UsageError(f"folder {str(parent)!r} does not exist", hint=f"mkdir -p {parent}")
    if not os.access(parent, os.W_OK):
        raise UsageError(f"cannot write into {str(parent)!r}", hint="choose a writable folder")
    if not folder.is_dir():
        return
    held = sorted(entry.name for entry in folder.iterdir())
    if held and not force:
        raise UsageError(f"{str(folder)!r} is not empty", hint="choose another folder, or --force to replace a split")
    if not held:
        return
    for path in inputs:
        if path.exists() and path.resolve().parent == folder.resolve():
            raise UsageError(f"{str(path)!r} lies in the folder that would be replaced", hint="choose another folder")
    if manifests.FILE not in held:
        raise UsageError(f"{str(folder)!r} holds no split to replace", hint="choose another folder")
    strange = [name for name in held if name not in manifests.load(folder).files]
    if strange:
        raise UsageError(
            f"{str(folder)!r} holds files that no split wrote, the first: {strange[0]!r}",
            hint="move them away, or choose another folder",
        )


def weight_files(model: Model) -> list[Path]:
    """Files that hold weights of a model outside its .onnx file."""
    found: dict[Path, None] = {}
    for node in model.nodes:
        for tensor in model.reads(node):
            values = getattr(tensor, "_values", None)
            if isinstance(values, StoredValues) and values.external:
                places = [entry.value for entry in values.tensor.external_data if entry.key == "location"]
                found.update(dict.fromkeys((values.folder or Path()) / place for place in places))
    return list(found)


def write(
    split: Split, model: Model, folder: Path, *, origin: Origin, target: Target, prove: Prove
) -> tuple[Manifest, Evidence]:
    """Write the parts of ``model``, the manifest and the runner; in place only after ``prove`` found them equal.

    Returns the manifest as written, and the proof. ``prove`` is given the folder that the parts are in for now, and
    what is known of them. Raises :class:`MismatchError` where it finds a difference; nothing is left behind then.
    """
    with _replacing(folder) as place:
        for part in split.parts:
            part.model.save(place / f"{part.name}.onnx")
        found = _describe(split, model, place, origin, target)
        evidence = prove(place, found)
        if not evidence.ok and not evidence.skipped:
            raise MismatchError(
                f"the parts do not compute what the model computes: {evidence.reason}; nothing was written",
                hint="--inputs data.npz proves on your own data; --no-verify writes without proof",
            )
        written = replace(found, evidence=evidence.to_dict())
        (place / manifests.FILE).write_text(written.dump(), encoding="utf-8")
        runner = Path(pipeline.__file__).with_name("standalone.py")
        (place / manifests.RUNNER).write_text(runner.read_text(encoding="utf-8"), encoding="utf-8")
    return written, evidence


@contextlib.contextmanager
def _replacing(folder: Path) -> Iterator[Path]:
    """A new folder beside ``folder`` that takes its place when the block ends well."""
    target = folder.resolve()
    try:
        place = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    except OSError as error:
        raise ModelError(f"cannot write into {str(target.parent)!r}: {error.strerror}") from error
    try:
        yield place
        umask = os.umask(0)
        os.umask(umask)
        place.chmod(0o777 & ~umask)
        if target.is_dir() and any(target.iterdir()):
            old = Path(tempfile.mkdtemp(prefix=f".{target.name}.old.", dir=target.parent))
            target.replace(old)
            try:
                place.replace(target)
            except OSError:
                old.replace(target)
                raise
            shutil.rmtree(old)
        else:
            place.replace(target)
    except OSError as error:
        raise ModelError(f"cannot write {str(folder)!r}: {error.strerror or error}") from error
    finally:
        shutil.rmtree(place, ignore_errors=True)


def _describe(split: Split, model: Model, place: Path, origin: Origin, target: Target) -> Manifest:
    ports = {part.name: _ports(place / f"{part.name}.onnx") for part in split.parts}
    source: dict[str, str] = {}
    readers: dict[str, list[str]] = {}
    for part in split.parts:
        for port in ports[part.name][0]:
            readers.setdefault(port.name, []).append(part.name)
        for port in ports[part.name][1]:
            source.setdefault(port.name, part.name)

    frame = _border(model)
    for port in output_ports(frame):
        readers.setdefault(port.name, []).append(OUTPUT)

    def entry(port: Port) -> TensorEntry:
        made_by, read_by = source.get(port.name, INPUT), tuple(readers.get(port.name, ()))
        return TensorEntry(port.name, _dtype(port), port.shape, made_by, read_by)

    return Manifest(
        kind=split.kind,
        source=origin.name,
        source_sha256=origin.sha256,
        target=target.profile.name,
        precision=target.precision.value,
        numerics=origin.numerics,
        inputs=tuple(map(entry, input_ports(frame))),
        outputs=tuple(map(entry, output_ports(frame))),
        parts=tuple(
            _part(part, place, split, [[entry(port) for port in side] for side in ports[part.name]])
            for part in split.parts
        ),
        empty=split.empty,
        left_out=tuple({**asdict(group), "nodes": list(group.nodes)} for group in split.left_out),
        notes=split.notes,
    )


def _part(part: Part, place: Path, split: Split, tensors: list[list[TensorEntry]]) -> PartEntry:
    path = place / f"{part.name}.onnx"
    data = path.with_name(f"{path.name}.data")
    return PartEntry(
        name=part.name,
        device=part.device,
        file=path.name,
        sha256=manifests.digest(path),
        inputs=tuple(tensors[0]),
        outputs=tuple(tensors[1]),
        nodes=len(part.model),
        macs=sum(map(macs, part.layers)),
        loadables=split.loadables.get(part.name, 0),
        data=data.name if data.exists() else "",
        data_sha256=manifests.digest(data) if data.exists() else "",
    )


def _dtype(port: Port) -> str:
    """The numpy dtype of a port, or its kind where it is no plain tensor."""
    if port.kind != "tensor" or not port.elem_type:
        return port.kind
    return "str" if port.elem_type == onnx.TensorProto.STRING else _numpy_name(port.elem_type)


def _numpy_name(elem_type: int) -> str:
    return str(onnx.helper.tensor_dtype_to_np_dtype(elem_type).name)


def _ports(path: Path) -> tuple[list[Port], list[Port]]:
    proto = onnx.load(str(path), load_external_data=False)
    return input_ports(proto), output_ports(proto)


def _border(model: Model) -> onnx.ModelProto:
    """A model's inputs and outputs, described, and nothing between them."""
    bare = Model((), model.inputs, model.outputs, model.opset, model.envelope, model.names, model.folder)
    return bare.to_proto()
