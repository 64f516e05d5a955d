"""How passes arrive: catalogues behind entry points, one per distribution, and single files given by the user.

A distribution registers ``[project.entry-points."dlarewrite.passes"] name = "package:CATALOGUE"``. Built-in passes use
the same door. Two providers of one name are an error that names both; a plugin that fails to load is reported.
"""

from __future__ import annotations

import difflib
import importlib
import importlib.metadata
import importlib.util
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, get_origin

from dlarewrite.errors import PluginError, UsageError

if TYPE_CHECKING:
    from dlarewrite.rewrite.pass_ import AnyPass

GROUP = "dlarewrite.passes"
API_VERSION = 1


@dataclass(frozen=True)
class PassRef:
    """A pass by name and place (``"module:Class"``), loaded only when it is needed."""

    name: str
    place: str

    def load(self) -> type[AnyPass]:
        """Import the class; raises :class:`PluginError` with the cause where it cannot be had."""
        module_name, _, attribute = self.place.partition(":")
        try:
            found: type[AnyPass] = getattr(importlib.import_module(module_name), attribute)
        except Exception as error:
            raise PluginError(
                f"pass {self.name!r} cannot be loaded from {self.place!r}: {type(error).__name__}: {error}"
            ) from error
        if getattr(found, "name", None) != self.name:
            raise PluginError(f"{self.place!r} calls itself {getattr(found, 'name', None)!r}, not {self.name!r}")
        return found


@dataclass(frozen=True)
class Catalogue:
    """What one distribution provides; ``passes`` are in the order in which the default pipeline runs them."""

    provider: str
    passes: tuple[PassRef, ...]
    api_version: int = API_VERSION


@dataclass(frozen=True)
class Failure:
    """A plugin that could not be loaded, and why."""

    provider: str
    reason: str


@dataclass
class Registry:
    """All passes that were found, by name, with their providers; ``failures`` are reported, never swallowed."""

    refs: dict[str, PassRef] = field(default_factory=dict)
    providers: dict[str, str] = field(default_factory=dict)
    failures: list[Failure] = field(default_factory=list)
    _classes: dict[str, type[AnyPass]] = field(default_factory=dict)

    def add(self, catalogue: Catalogue) -> None:
        """Take a catalogue in; raises :class:`PluginError` on a name clash or another API version."""
        if catalogue.api_version != API_VERSION:
            raise PluginError(
                f"{catalogue.provider} was written for pass API {catalogue.api_version}, this is {API_VERSION}"
            )
        for ref in catalogue.passes:
            if ref.name in self.refs:
                raise PluginError(
                    f"pass {ref.name!r} is provided by both {self.providers[ref.name]} and {catalogue.provider}",
                    hint="uninstall one of them",
                )
            self.refs[ref.name] = ref
            self.providers[ref.name] = catalogue.provider

    def add_class(self, found: type[AnyPass], provider: str) -> None:
        """Take in one class that is loaded already."""
        self.add(Catalogue(provider, (PassRef(found.name, f"{found.__module__}:{found.__qualname__}"),)))
        self._classes[found.name] = found

    def find(self, name: str) -> type[AnyPass]:
        """The class of a pass; raises :class:`UsageError` that offers the nearest names for an unknown one."""
        if name not in self.refs:
            near = difflib.get_close_matches(name, self.refs, n=3)
            offer = f"did you mean {', '.join(near)}?" if near else "see `dlarewrite list passes`"
            raise UsageError(f"there is no pass named {name!r}", hint=offer)
        if name not in self._classes:
            self._classes[name] = self.refs[name].load()
        return self._classes[name]

    def classes(self) -> list[type[AnyPass]]:
        """All classes in catalogue order."""
        return [self.find(name) for name in self.refs]


def discover(
    files: Sequence[str | Path] = (), entry_points: Iterable[importlib.metadata.EntryPoint] | None = None
) -> Registry:
    """Built-in and installed catalogues (built-in first), then the local plugin ``files``."""
    registry = Registry()
    points = importlib.metadata.entry_points(group=GROUP) if entry_points is None else entry_points
    for point in sorted(points, key=lambda p: (p.name != "builtin", p.name)):
        try:
            catalogue = point.load()
        except Exception as error:
            registry.failures.append(Failure(point.name, f"{point.value}: {type(error).__name__}: {error}"))
            continue
        if not isinstance(catalogue, Catalogue):
            registry.failures.append(Failure(point.name, f"{point.value} is not a Catalogue"))
            continue
        registry.add(catalogue)
    for file in files:
        _add_file(registry, Path(file))
    return registry


def _add_file(registry: Registry, path: Path) -> None:
    """Load a local plugin file: every Pass or GraphPass class defined in it is taken in."""
    from dlarewrite.rewrite.pass_ import AnyPass

    if not path.is_file():
        raise UsageError(f"plugin file {str(path)!r} does not exist")
    spec = importlib.util.spec_from_file_location(f"dlarewrite_local_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise UsageError(f"plugin file {str(path)!r} is not Python")
    module = importlib.util.module_from_spec(spec)
    # Frozen dataclasses look their module up while they are made.
    sys.modules[spec.name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise PluginError(f"plugin {str(path)!r} raised {type(error).__name__} while loading: {error}") from error
    found = [
        c
        for c in vars(module).values()
        # A generic alias counts as a type before Python 3.11.
        if isinstance(c, type)
        and get_origin(c) is None
        and issubclass(c, AnyPass)
        and c.__module__ == module.__name__
        and hasattr(c, "name")
    ]
    if not found:
        raise PluginError(f"plugin {str(path)!r} defines no pass", hint="see docs/writing-a-pass.md")
    for pass_class in found:
        registry.add_class(pass_class, str(path))
