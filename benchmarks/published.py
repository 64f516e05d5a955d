"""Published times of DLA and GPU, each with the network, machine and power mode that it was measured on."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from dlarewrite.partition.cost import Device
from dlarewrite.target import Precision

NETWORKS: dict[str, tuple[str, dict[str, Any]]] = {
    "RetinaNet ResNeXt-50 800x800": (
        "retinanet",
        {"size": (800, 800), "trunk": "resnext50", "width": 64, "classes": 264},
    ),
    "ResNet-34 1280x768": ("resnet34", {"size": (768, 1280), "width": 64}),
    "RetinaNet ResNet-34 1280x768": ("retinanet", {"size": (768, 1280), "width": 64}),
    "SSD-ResNet-34 1200x1200": ("ssd", {"size": (1200, 1200), "trunk": "resnet34", "width": 1.0}),
    "ResNet-50": ("resnet50", {"width": 64}),
    "SSD-MobileNetV1 300x300": ("ssd", {"size": (300, 300), "width": 1.0, "classes": 91}),
    "YOLOv5s 672x672": ("yolov5", {"size": (672, 672), "width": 32}),
    "GoogLeNet": ("googlenet", {"width": 1.0}),
    "AlexNet": ("alexnet", {"width": 1.0}),
    "YOLOX-nano 416x416": ("yolox_nano", {}),
}
"""Title -> builder in ``models`` and its options: the published sizes at full width."""

ON_GPU: dict[str, tuple[str, ...]] = {
    "GoogLeNet": ("Softmax",),
    "AlexNet": ("Softmax",),
}
"""Operators that the published DLA figure does not contain."""


@dataclass(frozen=True)
class Point:
    """One figure: ``seconds`` of one batch of ``images`` on one device.

    ``loadables`` are those launched one after the other and waited for; 0 where inferences are queued back to back.
    ``handed`` are the bytes of the tensors that cross, with the direction; ``weight`` keeps a series of figures that
    say the same from counting many times.
    """

    network: str
    label: str
    target: str
    module: str
    mode: str
    precision: Precision
    device: Device
    seconds: float
    source: str
    images: int = 1
    sparse: bool = False
    loadables: int = 0
    handed: tuple[tuple[int, Device], ...] = ()
    gpu_operators: tuple[str, ...] = ()
    weight: float = 1.0


MODES = ("MAXN", "50W", "30W", "15W")
RATES: dict[str, tuple[int, tuple[int, ...], tuple[int, ...]]] = {
    "RetinaNet ResNeXt-50 800x800": (1, (78, 72, 71, 36), (102, 96, 95, 51)),
    "ResNet-34 1280x768": (1, (285, 260, 255, 121), (384, 360, 354, 176)),
    "RetinaNet ResNet-34 1280x768": (1, (108, 98, 96, 45), (143, 133, 131, 66)),
    "SSD-ResNet-34 1200x1200": (1, (83, 76, 74, 36), (103, 97, 95, 49)),
    "ResNet-50": (2, (2037, 1948, 1928, 1072), ()),
    "SSD-MobileNetV1 300x300": (2, (2664, 2506, 2472, 1313), ()),
}
"""Network -> batch, and images per second of two DLA cores in the four modes, dense and with sparse weights."""

BATCHES = {1: (3.82, 1.82), 2: (7.68, 2.91), 4: (15.17, 4.99), 8: (30.92, 9.19), 12: (46.71, 13.27), 16: (62.54, 16.87)}
"""YOLOv5s: batch -> milliseconds on one DLA and on the GPU."""


def _table() -> list[Point]:
    points = []
    for network, (images, dense, sparse) in RATES.items():
        for kind, rates in (("", dense), (" sparse", sparse)):
            for mode, rate in zip(MODES, rates, strict=False):
                seconds = 2 * images / rate
                place = ("orin-jp5", "agx-orin-64", mode, Precision.INT8, Device.DLA)
                points.append(
                    Point(network, mode + kind, *place, seconds, "DLASW", images=images, sparse=bool(sparse and kind))
                )
    return points


def _batches() -> list[Point]:
    weight = 1 / math.sqrt(len(BATCHES))
    place = ("drive-orin-6.0.9", "drive-orin", "sample", Precision.INT8)
    made = []
    for column, device in enumerate((Device.DLA, Device.GPU)):
        for images, times in BATCHES.items():
            name, seconds = f"{device.value} batch {images}", times[column] / 1e3
            made.append(Point("YOLOv5s 672x672", name, *place, device, seconds, "CUDLA", images, weight=weight))
    return made


_ORIN = ("orin-jp6", "agx-orin-64", "MAXN")
_XAVIER = ("xavier-jp4", "agx-xavier", "MAXN")
_RESNET: dict[str, Any] = {
    # Trunk and classifier are two loadables with the global pooling on the GPU between them.
    "loadables": 2,
    "handed": ((602112, Device.DLA), (100352, Device.GPU), (2048, Device.DLA), (4000, Device.GPU)),
    "gpu_operators": ("GlobalAveragePool", "Flatten"),
}

POINTS: tuple[Point, ...] = (
    *_table(),
    *_batches(),
    Point("ResNet-50", "dla int8", *_ORIN, Precision.INT8, Device.DLA, 1.2783e-3, "KR", **_RESNET),
    Point("ResNet-50", "dla fp16", *_ORIN, Precision.FP16, Device.DLA, 17.73e-3, "KR", **_RESNET),
    Point("ResNet-50", "gpu int8", *_ORIN, Precision.INT8, Device.GPU, 1.0132e-3, "KR"),
    Point("ResNet-50", "gpu fp16", *_ORIN, Precision.FP16, Device.GPU, 1.0293e-3, "KR"),
    Point("GoogLeNet", "Orin dla int8", *_ORIN, Precision.INT8, Device.DLA, 1.032e-3, "HAX", loadables=1),
    Point("GoogLeNet", "Xavier dla fp16", *_XAVIER, Precision.FP16, Device.DLA, 3.656e-3, "HAX", loadables=1),
    Point("GoogLeNet", "Xavier gpu fp16", *_XAVIER, Precision.FP16, Device.GPU, 1.959e-3, "HAX"),
    # The fastest of the runs beside a busy GPU, 5.7 to 6.4 ms: the one least disturbed.
    Point("AlexNet", "Xavier dla fp16", *_XAVIER, Precision.FP16, Device.DLA, 5.7e-3, "HAX", loadables=1),
    Point(
        "YOLOX-nano 416x416",
        "Orin NX gpu fp16",
        *("orin-jp6", "orin-nx-16", "MAXN"),
        Precision.FP16,
        Device.GPU,
        2.30e-3,
        "YXN",
    ),
)

BOARD_WATTS = 29.7 - 15.19
"""What AGX Orin draws more at MAXN while the GPU runs ResNet-50 in INT8 than while one DLA core does (KR)."""

PER_JOULE: tuple[tuple[str, str, bool, float], ...] = (
    ("ResNet-50", "30W", False, 2.6),
    ("RetinaNet ResNeXt-50 800x800", "15W", True, 5.6),
)
"""Network, mode of AGX Orin, sparse weights, and images per joule of the DLA over those of the GPU (DLASW)."""

UNUSED = (
    "pure conv2d INT8, GPU 405 / DLA 133 per second: its shapes are not published",
    "YOLOX-nano on the DLA, YOLOX-m streams: times of DLA and GPU fallback together",
    "CIFAR CNN: the network's layers are not published",
    "GPU + 2 DLA rates of Xavier NX: batches and the share of each device are not published",
    "ResNet-50 FP32 on the GPU: no build of that precision uses a DLA",
)
"""Published figures that cannot be held against a model of one device, and why."""
