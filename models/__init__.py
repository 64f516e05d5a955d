"""Builders of the networks that dlarewrite is shown and measured on: one file per architecture, seeded weights.

``BUILDERS[name](...)`` returns an ``onnx.ModelProto``; ``python -m models.NAME OUT.onnx`` writes one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Protocol, cast

if TYPE_CHECKING:
    import onnx

__all__ = ["BUILDERS", "Builder"]


class Builder(Protocol):
    """``build`` of one architecture: keyword options in, a checked model out."""

    def __call__(self, **options: object) -> onnx.ModelProto: ...


class _Builders(Mapping[str, Builder]):
    """Imports a builder when it is asked for, so that ``python -m models.NAME`` never loads its module twice."""

    _names = (
        "alexnet",
        "chain",
        "googlenet",
        "mobilenetv2",
        "mobilenetv3",
        "pointpillars",
        "resnet34",
        "resnet50",
        "retinanet",
        "shufflenet",
        "ssd",
        "unet",
        "yolo_focus_spp",
        "yolov5",
        "yolox_nano",
    )

    def __getitem__(self, name: str) -> Builder:
        if name not in self._names:
            raise KeyError(name)
        return cast(Builder, import_module(f"{__name__}.{name}").build)

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


BUILDERS: Mapping[str, Builder] = _Builders()
"""Architecture name -> its ``build`` function."""
