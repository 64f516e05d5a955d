"""Addresses of the threads and reports in which the sentences of build logs were seen."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from types import MappingProxyType

from dlarewrite.target.sources import cite

_THREADS: Mapping[str, str] = MappingProxyType(
    {
        "#": "https://github.com/NVIDIA/TensorRT/issues/",
        "ult#": "https://github.com/ultralytics/ultralytics/issues/",
        "cudla#": "https://github.com/NVIDIA-AI-IOT/cuDLA-samples/issues/",
        "tut#": "https://github.com/NVIDIA-AI-IOT/jetson_dla_tutorial/issues/",
        "tf2onnx#": "https://github.com/onnx/tensorflow-onnx/issues/",
        "yolov3#": "https://github.com/lewes6369/TensorRT-Yolov3/issues/",
        "dsyolo#": "https://github.com/marcoslucianops/DeepStream-Yolo/issues/",
        "demos#": "https://github.com/jkjung-avt/tensorrt_demos/issues/",
        "mlperf05#": "https://github.com/mlcommons/inference_results_v0.5/issues/",
        "isaac#": "https://github.com/NVIDIA-ISAAC-ROS/isaac_ros_depth_segmentation/issues/",
        "torchtrt#": "https://github.com/pytorch/TensorRT/issues/",
    }
)
_REPORTS: Mapping[str, str] = MappingProxyType(
    {
        "SAMPLE": "cuDLA sample's README in the TensorRT repository, https://github.com/NVIDIA/TensorRT",
        "VGG": "build log of VGG-19 on Orin of February 2022, quoted in a public benchmark script",
        "TLOG": "tutorial log of March 2022, quoted in a public note on the Jetson DLA tutorial",
        "XSEG": "public compiler test of a segmentation network on AGX Xavier and Xavier NX, TensorRT 8.5.2.2",
        "SAMQ": "public placement report of a memory encoder and of YOLO on Orin NX, TensorRT 10.3.0.30",
        "Y11D": "public placement report of YOLO11 on Orin, TensorRT 10.3.0",
        "F337313": "build log on the NVIDIA developer forum, https://forums.developer.nvidia.com/t/337313",
        "here": "inferred from the other sentences and from the documented rules; verify on a device",
    }
)


@functools.cache
def address(key: str) -> str:
    """The key with its address, as in "#828 (https://...)"; raises :class:`KeyError` for an unknown key."""
    if key in _REPORTS:
        return f"{key} ({_REPORTS[key]})"
    kind, number, rest = key.partition("#")
    if number and rest.isdigit() and kind + number in _THREADS:
        return f"{key} ({_THREADS[kind + number]}{rest})"
    return cite(key)
