"""Whether a calibration's memory stays flat: ``python -m benchmarks.calibration [--images 500] [--json]``.

Calibrates ResNet-50 (224x224, full width, seeded weights) by entropy on drawn pictures that are written as PNG files
first, and prints resident memory after 50 images and at the end, and images per second. Linux only (reads /proc).
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from dlarewrite.compiler import Options, load_static
from dlarewrite.precision.calibrate import calibrate
from dlarewrite.precision.source import open_data
from models.resnet50 import build

EARLY = 50
ALLOWED = 32 * 2**20
"""Bytes by which memory may grow between the early reading and the end: room for the allocator's own behaviour."""


def resident() -> int:
    """Bytes of this process in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def draw(folder: Path, count: int) -> None:
    """Smooth coloured noise, so that files differ and pixels are not independent."""
    from PIL import Image

    rng = np.random.default_rng(0)
    for number in range(count):
        small = Image.fromarray(rng.integers(0, 255, (12, 16, 3), dtype=np.uint8))
        small.resize((320, 240)).save(folder / f"{number:04d}.png")


def measure(images: int, width: int, size: int) -> dict[str, float]:
    """Resident bytes early and late, and the rate."""
    with tempfile.TemporaryDirectory() as folder:
        draw(Path(folder), images)
        model, _ = load_static(build(size=(size, size), width=width), Options())
        data, _ = open_data(folder, model, {"resize": size + 32, "mean": (0.485, 0.456, 0.406)})
        readings: dict[int, int] = {}

        def watch(done: int, count: int | None, name: str) -> None:
            if done in (min(EARLY, images), images):
                readings[done] = resident()

        begun = time.perf_counter()
        made = calibrate(model, data, watch=watch)
        seconds = time.perf_counter() - begun
    early, late = readings[min(EARLY, images)], readings[images]
    return {
        "images": made.samples,
        "tensors": len(made.table.scales),
        "early_bytes": early,
        "late_bytes": late,
        "grown_bytes": late - early,
        "images_per_second": images / seconds,
    }


def main(arguments: list[str] | None = None) -> int:
    """Print the readings; 1 where memory grew by more than 32 MiB after the first 50 images."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=500)
    parser.add_argument("--width", type=int, default=64, help="channels of the stem; 64 is ResNet-50")
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args(arguments)
    found = measure(chosen.images, chosen.width, chosen.size)
    if chosen.json:
        print(json.dumps(found, indent=2))
    else:
        print(
            f"{found['tensors']:.0f} tensors, {found['images']:.0f} images, {found['images_per_second']:.1f} a second; "
            f"memory after {min(EARLY, chosen.images)}: {found['early_bytes'] / 2**20:.0f} MiB, "
            f"at the end: {found['late_bytes'] / 2**20:.0f} MiB ({found['grown_bytes'] / 2**20:+.1f})"
        )
    return int(found["grown_bytes"] > ALLOWED)


if __name__ == "__main__":
    sys.exit(main())
