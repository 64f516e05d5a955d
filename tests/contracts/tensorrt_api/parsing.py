"""What the fake does when an ONNX model is parsed into a network."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import onnx
from google.protobuf.message import DecodeError

from tensorrt_api import layers
from tensorrt_api.classes import Action, Surface
from tensorrt_api.values import count, flag_actions

_DTYPES = {1: "FLOAT", 2: "UINT8", 3: "INT8", 6: "INT32", 7: "INT64", 9: "BOOL", 10: "HALF", 16: "BF16", 11: "FLOAT"}


def say(surface: Surface, logger: Any, severity: str, text: str) -> None:
    """Log through the user's logger, as TensorRT does."""
    level = surface.constant(f"ILogger.Severity.{severity}")
    if type(logger).__name__ != "Logger":
        logger.log(level, text)


def tensor(surface: Surface, made: tuple[str, int, tuple[int, ...]], **held: Any) -> Any:
    """An ITensor of an ONNX tensor; dtypes that the release lacks read as FLOAT."""
    name, dtype, shape = made
    kinds = surface.named["DataType"].__members__
    values = {
        "name": name,
        "dtype": kinds.get(_DTYPES.get(dtype, "FLOAT"), kinds["FLOAT"]),
        "shape": surface.module.Dims(shape) if shape else surface.module.Dims(),
        "allowed_formats": (1 << len(surface.named["TensorFormat"].__members__)) - 1,
        "is_network_input": False,
        "is_network_output": False,
        "is_shape_tensor": False,
        "is_execution_tensor": True,
        "dynamic_range": None,
        "location": surface.constant("TensorLocation.DEVICE"),
    }
    return surface.new("ITensor", **{**values, **held})


def fill(surface: Surface, network: Any, model: onnx.ModelProto) -> None:
    """Put the layers of a model into a network."""
    read = layers.read(model)
    held = network._held
    tensors: dict[str, Any] = {}
    for key, flag in (("inputs", "is_network_input"), ("outputs", "is_network_output")):
        for made in read[key]:
            tensors[made[0]] = tensor(surface, made, **{flag: True})
        held[key] = [tensors[made[0]] for made in read[key]]
    kinds = surface.named["LayerType"].__members__
    for entry in read["layers"]:
        for made in (*entry["inputs"], *entry["outputs"]):
            tensors.setdefault(made[0], tensor(surface, made))
        kind = kinds.get(entry["kind"]) or kinds.get("PLUGIN_V2") or kinds["PLUGIN"]
        held["layers"].append(
            surface.new(
                "ILayer",
                name=entry["name"],
                type=kind,
                metadata=f"[ONNX Layer: {entry['node']}]",
                precision=surface.constant("DataType.FLOAT"),
                precision_is_set=False,
                inputs=[tensors[m[0]] for m in entry["inputs"]],
                outputs=[tensors[m[0]] for m in entry["outputs"]],
                num_inputs=len(entry["inputs"]),
                num_outputs=len(entry["outputs"]),
                op=entry["op"],
                node=entry["node"],
            )
        )


class _Parsing:
    """The actions of the parser."""

    def __init__(self, behaviour: Any) -> None:
        self.behaviour = behaviour

    def parser(self, surface: Surface, parser: Any, network: Any, logger: Any) -> None:
        parser._held.update(network=network, logger=logger, on=set(), errors=[], config=None)
        enum = surface.named.get("OnnxParserFlag")
        if enum is not None and not surface.data["version"].startswith("8."):
            parser._held["on"].add(int(enum.__members__["NATIVE_INSTANCENORM"]))

    def parse(self, surface: Surface, parser: Any, model: Any, path: str | None = None) -> bool:
        try:
            return self._parsed(surface, parser, onnx.ModelProto.FromString(bytes(model)))
        except DecodeError:
            return self._refuse(surface, parser, ["Failed to parse ONNX model from buffer"])

    def parse_file(self, surface: Surface, parser: Any, path: str) -> bool:
        if not Path(path).is_file():
            return self._refuse(surface, parser, [f"Failed to open file: {path}"])
        try:
            return self._parsed(surface, parser, onnx.load(path))
        except DecodeError:
            return self._refuse(surface, parser, [f"Failed to parse ONNX model from file: {path}"])

    def _parsed(self, surface: Surface, parser: Any, model: onnx.ModelProto) -> bool:
        explicit = surface.named["NetworkDefinitionCreationFlag"].__members__.get("EXPLICIT_BATCH")
        asked = parser._held["network"]._held["creation"]
        if surface.data["version"].startswith("8.") and not asked >> int(explicit) & 1:
            return self._refuse(
                surface, parser, ["This version of the ONNX parser only supports explicit batch networks"]
            )
        if self.behaviour.parse_errors:
            return self._refuse(surface, parser, self.behaviour.parse_errors)
        fill(surface, parser._held["network"], model)
        enum = surface.named["OnnxParserFlag"].__members__ if "OnnxParserFlag" in surface.named else {}
        report = enum.get("REPORT_CAPABILITY_DLA")
        if report is None or int(report) not in parser._held["on"]:
            return True
        config = parser._held["config"]
        refused = [
            la for la in parser._held["network"]._held["layers"] if not self.behaviour.can_run_on_dla(la, config)
        ]
        return not refused or self._refuse(
            surface, parser, [f"DLA validation failed for layer: {la._held['name']}" for la in refused]
        )

    def _refuse(self, surface: Surface, parser: Any, errors: Any) -> bool:
        for text in errors:
            say(surface, parser._held["logger"], "ERROR", text)
            parser._held["errors"].append(text)
        return False

    def get_error(self, surface: Surface, parser: Any, index: int) -> Any:
        return surface.new("ParserError", text=parser._held["errors"][int(index)])

    def set_parser_config(self, surface: Surface, parser: Any, config: Any) -> bool:
        parser._held["config"] = config
        return True


def actions(behaviour: Any) -> dict[str, Action]:
    """The table of the parser's actions."""
    p = _Parsing(behaviour)
    table: dict[str, Action] = {
        "OnnxParser.__init__": p.parser,
        "OnnxParser.parse": p.parse,
        "OnnxParser.parse_from_file": p.parse_file,
        "get OnnxParser.num_errors": count("errors"),
        "OnnxParser.get_error": p.get_error,
        "OnnxParser.clear_errors": lambda surface, parser: parser._held["errors"].clear(),
        "OnnxParser.set_builder_config": p.set_parser_config,
    }
    for name in ("desc", "__str__", "__repr__"):
        table[f"ParserError.{name}"] = lambda surface, error: error._held["text"]
    return table | flag_actions("OnnxParser")
