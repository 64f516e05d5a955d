"""The first files of a new pass: a rewrite that works, its golden cases, and the test that runs them."""

from __future__ import annotations

import importlib.resources
import re
import string
from dataclasses import dataclass
from pathlib import Path

from dlarewrite.catalogue import discover
from dlarewrite.errors import DlarewriteError, UsageError

_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_CASES = ("fires", "fires-twice", "shared", "single", "refuses")
_LAST_REF = re.compile(r"(?P<refs>.*\n)(?P<indent>[ \t]+)(?P<ref>PassRef\([^\n]*\),\n)", re.DOTALL)


@dataclass(frozen=True)
class Made:
    """What was written, in order, and what to do next."""

    files: tuple[Path, ...]
    next_steps: tuple[str, ...]


def create(name: str, folder: Path) -> Made:
    """Write the files of pass ``name``; in dlarewrite's source tree the pass also joins the catalogue.

    Raises :class:`UsageError` for a name that is taken or not in the form ``two-words``, and where a file is there
    already; nothing is written then.
    """
    _check_name(name)
    class_name = "".join(map(str.capitalize, name.split("-")))
    words = {"name": name, "module": name.replace("-", "_"), "class_name": class_name}
    catalogue = folder / "passes" / "__init__.py"
    inside = catalogue.is_file() and "CATALOGUE" in catalogue.read_text(encoding="utf-8")
    texts = _built_in(folder, words) if inside else _plugin(folder, words)
    for path in texts:
        if path.exists():
            raise UsageError(f"{str(path)!r} is there already", hint="choose another name, or another --dir")
    listed = _listed(catalogue, words) if inside else ""
    try:
        for path, text in texts.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        if inside:
            catalogue.write_text(listed, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"cannot write into {str(folder)!r}: {error.strerror}") from error
    return Made(tuple(texts), _next_steps(texts, words, inside))


def _check_name(name: str) -> None:
    if _NAME.fullmatch(name) is None:
        raise UsageError(f"{name!r} is no name for a pass", hint="small letters and digits, words joined by hyphens")
    registry = discover()
    if name in registry.refs:
        provider = registry.providers[name]
        raise UsageError(f"there is a pass {name!r} already, from {provider}", hint="choose another name")


def _plugin(folder: Path, words: dict[str, str]) -> dict[Path, str]:
    texts = {folder / f"{words['module']}.py": _fill("pass", words)}
    texts.update(_cases(folder / "cases" / words["name"]))
    texts[folder / f"test_{words['module']}.py"] = _fill("test", words)
    return texts


def _built_in(folder: Path, words: dict[str, str]) -> dict[Path, str]:
    texts = {folder / "passes" / f"{words['module']}.py": _fill("pass", words)}
    texts.update(_cases(folder / "tests" / "cases" / words["name"]))
    return texts


def _cases(folder: Path) -> dict[Path, str]:
    return {folder / f"{case}.txt": _template(f"case-{case}") for case in _CASES}


def _fill(template: str, words: dict[str, str]) -> str:
    return string.Template(_template(template)).substitute(words)


def _template(name: str) -> str:
    return (importlib.resources.files("dlarewrite.devtools") / "templates" / f"{name}.txt").read_text(encoding="utf-8")


def _listed(catalogue: Path, words: dict[str, str]) -> str:
    """The catalogue's source with one more line after the last of its kind."""
    text = catalogue.read_text(encoding="utf-8")
    found = _LAST_REF.match(text)
    if found is None:
        raise DlarewriteError(f"{str(catalogue)!r} has no line with a PassRef to put the new one after")
    line = f'PassRef("{words["name"]}", "dlarewrite_passes.{words["module"]}:{words["class_name"]}"),\n'
    return text[: found.end()] + found["indent"] + line + text[found.end() :]


def _next_steps(texts: dict[Path, str], words: dict[str, str], inside: bool) -> tuple[str, ...]:
    module = next(iter(texts))
    if inside:
        return (f"test it: pytest tests/unit/test_cases.py -k {words['name']}", "describe it: docs/writing-a-pass.md")
    test = module.with_name(f"test_{words['module']}.py")
    return (f"test it: pytest {test}", f"use it: dlarewrite optimize in.onnx out.onnx --plugin {module}")
