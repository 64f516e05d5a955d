"""Python classes made from a frozen surface: they take what the real bindings take, and nothing else.

What a method does is looked up in a table of actions by ``Class.method``; a call that has no action is an error of the
fake, never a silent success.
"""

from __future__ import annotations

import functools
import types
from collections.abc import Callable, Iterator
from typing import Any

from tensorrt_api import signatures
from tensorrt_api.enums import make_enum
from tensorrt_api.signatures import PLAIN, Signature, bare, element

Action = Callable[..., Any]
# Classes that a tuple, a list or an array turns into by itself.
_CONVERTIBLE = {"Dims": (tuple, list), "Permutation": (tuple, list), "Weights": ()}
_RENAMED = {"IParserError": "ParserError", "Severity": "ILogger.Severity"}


class FakeError(Exception):
    """The fake has no action for a call that the real release knows: teach the fake, or do not make the call."""


class _Bound(type):
    """Refuses an instance whose ``__init__`` did not call the base's, as pybind11 does."""

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        made = super().__call__(*args, **kwargs)
        if "_held" not in made.__dict__:
            base = next(c for c in cls.__mro__ if "_surface" in c.__dict__)
            raise TypeError(f"{base.__name__}.__init__() must be called when overriding __init__")
        return made


class Surface:
    """A module made of a surface, its actions and a log of every call."""

    def __init__(self, data: dict[str, Any], actions: dict[str, Action], reports: str) -> None:
        self.data, self.actions = data, actions
        self.calls: list[str] = []
        self.quiet = 0
        self.module = types.ModuleType("tensorrt")
        self.module.__dict__.update(__version__=reports, _fake=self)
        self.named: dict[str, Any] = {}
        self._make()

    def _make(self) -> None:
        for path, members in self.data["enums"].items():
            self.named[path] = make_enum(path.rpartition(".")[2], members, path in self.data["ordered"])
        pending = dict(self.data["classes"])
        while pending:
            for path in [p for p, entry in pending.items() if all(b in self.named for b in self._bases(entry))]:
                self.named[path] = self._class(path, pending.pop(path))
        for path, value in self.named.items():
            owner, _, name = path.rpartition(".")
            if owner:
                setattr(self.named[owner], name, value)
            else:
                setattr(self.module, name, value)
        for path, entry in self.data["classes"].items():
            for name, constant in entry.get("constants", {}).items():
                setattr(self.named[path], name, self.constant(constant))
        for name, constant in self.data["constants"].items():
            setattr(self.module, name, self.constant(constant))
        for name, texts in self.data["functions"].items():
            setattr(self.module, name, self._function(name, texts))

    def _bases(self, entry: dict[str, Any]) -> list[str]:
        return [b for b in entry["bases"] if b in self.data["classes"]]

    def constant(self, path: str) -> Any:
        """An enum or an enum's member by its path."""
        if path in self.named:
            return self.named[path]
        owner, _, name = path.rpartition(".")
        return getattr(self.named[owner], name)

    def fits(self, type_: str, value: Any) -> bool:
        """Whether ``value`` can be given where the bindings say ``type_``."""
        options = [t.strip() for t in type_.split(" | ")]
        if len(options) > 1:
            return any(self.fits(t, value) for t in options)
        name = bare(type_)
        if name.startswith("Optional["):
            return value is None or self.fits(name[len("Optional[") : -1], value)
        held = element(type_)
        if held is not None:
            return isinstance(value, (list, tuple)) and all(self.fits(held, v) for v in value)
        if name in PLAIN:
            return PLAIN[name](value)
        name = _RENAMED.get(name, name)
        if name not in self.named:
            raise FakeError(f"the fake does not know the type {type_!r}")
        if name in _CONVERTIBLE and isinstance(value, _CONVERTIBLE[name]):
            return all(PLAIN["int"](v) for v in value)
        if name == "Weights" and PLAIN["ndarray"](value):
            return True
        return isinstance(value, self.named[name])

    def overloads(self, texts: list[str]) -> list[Signature]:
        """The parsed overloads of a method."""

        def default_of(type_: str, member: str) -> Any:
            return getattr(self.constant(_RENAMED.get(bare(type_), bare(type_))), member)

        return [signatures.parse(text, default_of) for text in texts]

    def invoke(self, path: str, texts: list[str], owner: tuple[Any, ...], args: Any, kwargs: Any) -> Any:
        """Check a call against the overloads, log it, and act it out; raises TypeError as pybind11 words it."""
        for overload in self.overloads(texts):
            bound = overload.bind(args, kwargs, self.fits)
            if bound is None:
                continue
            self.log(f"{path}({', '.join(map(brief, bound))})")
            return self.act(path, owner, bound)
        shown = ", ".join([*map(brief, owner), *map(brief, args), *(f"{k}={brief(v)}" for k, v in kwargs.items())])
        kinds = "\n".join(f"    {i}. {text}" for i, text in enumerate(texts, 1))
        raise TypeError(
            f"{path.rpartition('.')[2]}(): incompatible function arguments. The following argument types are "
            f"supported:\n{kinds}\n\nInvoked with: {shown}"
        )

    def act(self, path: str, owner: tuple[Any, ...], bound: list[Any]) -> Any:
        """Run the action of a call; what it calls in turn is TensorRT's doing and is not logged."""
        action = self.actions.get(path)
        if action is None:
            raise FakeError(f"the fake does not act out {path}")
        self.quiet += 1
        try:
            return action(self, *owner, *bound)
        finally:
            self.quiet -= 1

    def log(self, line: str) -> None:
        """Note a call, unless TensorRT itself made it."""
        if not self.quiet:
            self.calls.append(line)

    def _function(self, name: str, texts: list[str]) -> Any:
        def call(*args: Any, **kwargs: Any) -> Any:
            return self.invoke(name, texts, (), args, kwargs)

        call.__name__ = name
        return call

    def _class(self, path: str, entry: dict[str, Any]) -> Any:
        body: dict[str, Any] = {"_surface": path, "__module__": "tensorrt"}
        for name, texts in entry.get("methods", {}).items():
            if name in ("__enter__", "__exit__", "__del__"):
                continue
            body[name] = self._method(f"{path}.{name}", name, texts)
        if "__init__" not in body:
            body["__init__"] = _no_constructor
        for name, kinds in entry.get("properties", {}).items():
            body[name] = self._property(f"{path}.{name}", kinds)
        body["__setattr__"] = _set
        # pybind11 classes with the buffer protocol do not show it; only this one is read as bytes.
        bases = tuple(self.named[b] for b in self._bases(entry)) or (_Memory if path == "IHostMemory" else _Object,)
        return _Bound(path.rpartition(".")[2], bases, body)

    def _method(self, path: str, name: str, texts: list[str]) -> Any:
        def call(owner: Any, *args: Any, **kwargs: Any) -> Any:
            if name == "__init__":
                owner.__dict__["_held"] = {}
            return self.invoke(path, texts, (owner,), args, kwargs)

        call.__name__ = name
        return functools.wraps(call)(call)

    def _property(self, path: str, kinds: dict[str, str]) -> property:
        name = path.rpartition(".")[2]

        def get(owner: Any) -> Any:
            if f"get {path}" in self.actions:
                return self.act(f"get {path}", (owner,), [])
            if name in owner._held:
                return owner._held[name]
            raise FakeError(f"the fake does not know the value of {path}")

        def put(owner: Any, value: Any) -> None:
            if not (self.fits(kinds["set"], value) or (value is None and bare(kinds["set"]) in self.named)):
                raise TypeError(
                    f"(): incompatible function arguments. The following argument types are supported:\n"
                    f"    1. (arg0: {path.rpartition('.')[0]}, arg1: {kinds['set']}) -> None\n\nInvoked with: {value!r}"
                )
            self.log(f"{path} = {brief(value)}")
            if f"set {path}" in self.actions:
                self.act(f"set {path}", (owner,), [value])
            owner._held[name] = value

        return property(get, put if "set" in kinds else None)

    def new(self, name: str, /, **held: Any) -> Any:
        """An object of a class that only TensorRT makes."""
        made = self.named[name].__new__(self.named[name])
        made.__dict__["_held"] = held
        return made

    def memory(self, data: bytes) -> Any:
        """Host memory that reads as ``data``."""
        made = self.named["IHostMemory"].__new__(self.named["IHostMemory"], data)
        made.__dict__["_held"] = {"nbytes": len(data)}
        return made


class _Object(metaclass=_Bound):
    _surface = "object"


class _Memory(bytes, metaclass=_Bound):
    """Bytes with the names of TensorRT's host memory only."""

    _surface = "object"

    def __getattribute__(self, name: str) -> Any:
        if hasattr(bytes, name) and not name.startswith("__"):
            raise AttributeError(f"'IHostMemory' object has no attribute '{name}'")
        return super().__getattribute__(name)


def _no_constructor(owner: Any, *args: Any, **kwargs: Any) -> None:
    raise TypeError(f"{type(owner).__name__}: No constructor defined!")


def _set(owner: Any, name: str, value: Any) -> None:
    """pybind11 objects have only the attributes they declare; a Python subclass may have more."""
    found = next((vars(c)[name] for c in type(owner).__mro__ if name in vars(c)), None)
    if isinstance(found, property):
        if found.fset is None:
            raise AttributeError(f"can't set attribute '{name}' of '{type(owner).__name__}' object")
        found.fset(owner, value)
        return
    if "_surface" in vars(type(owner)):
        raise AttributeError(f"'{type(owner).__name__}' object has no attribute '{name}'")
    owner.__dict__[name] = value


def brief(value: Any) -> str:
    """A value as it reads in the call log: objects by class and name, long bytes by their length."""
    if isinstance(value, (bytes, bytearray, memoryview)):
        return f"<{len(value)} bytes>"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(brief, value)) + "]"
    if "_held" in getattr(value, "__dict__", {}):
        base = next(c for c in type(value).__mro__ if "_surface" in c.__dict__)
        name = value._held.get("name")
        return f"<{base.__name__} {name}>" if name else f"<{base.__name__}>"
    if hasattr(value, "name") and hasattr(type(value), "__members__"):
        return str(value)
    return repr(value)


def unknown_types(surface: Surface) -> Iterator[str]:
    """Types in a surface's signatures that the fake would let anything pass for."""
    for path, entry in surface.data["classes"].items():
        for name, texts in entry.get("methods", {}).items():
            for overload in surface.overloads(texts):
                for parameter in overload.parameters:
                    yield from _unknown(surface, parameter.type, f"{path}.{name}")
        for name, kinds in entry.get("properties", {}).items():
            yield from _unknown(surface, kinds.get("set", "object"), f"{path}.{name}")


def _unknown(surface: Surface, type_: str, where: str) -> Iterator[str]:
    for option in type_.split(" | "):
        inner = element(option)
        name = bare(option)
        if inner is not None:
            yield from _unknown(surface, inner, where)
        elif name not in PLAIN and _RENAMED.get(name, name) not in surface.named and not name.startswith("Optional["):
            yield f"{where}: {name}"
