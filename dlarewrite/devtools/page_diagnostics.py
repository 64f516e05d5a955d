"""docs/diagnostics.md: exit codes and errors, from the exception classes."""

from __future__ import annotations

import inspect
from collections.abc import Iterator

from dlarewrite import errors
from dlarewrite.devtools.markdown import code, codes, page, table
from dlarewrite.diagnostics import Severity
from dlarewrite.target import Evidence, Verdict

_INTRO = """\
An error is one line, `[E] ...`, and where it can be mended a second, `hint: ...`. An error that dlarewrite did not
foresee writes a file with the command line, the versions and the traceback, and says where."""

_CODES = {
    0: "Done; every gate that was asked for is met.",
    130: "Interrupted from the keyboard.",
    141: "The reader of the output went away.",
}


def render() -> str:
    """The page."""
    classes = list(_classes(errors.DlarewriteError))
    meanings = {code_: [c for c in classes if c.exit_code == code_] for code_ in sorted({c.exit_code for c in classes})}
    rows = [("0", _CODES[0], "")]
    rows += [(str(number), _summary(found[0]), codes(c.__name__ for c in found)) for number, found in meanings.items()]
    rows += [(str(number), _CODES[number], "") for number in (130, 141)]
    when = [(code(c.__name__), str(c.exit_code), _text(c)) for c in classes]
    return page(
        "Diagnostics and exit codes",
        _INTRO,
        f"## Exit codes\n\n{table(('Code', 'Meaning', 'Raised in Python as'), rows)}",
        f"## Errors\n\n{table(('Class', 'Exit code', 'When'), when)}",
        f"## Verdicts on nodes\n\n{_members(Verdict, _VERDICTS)}",
        f"## Evidence of a rule\n\n{_members(Evidence, _EVIDENCE)}",
        f"## Severities\n\n{codes(s.name.lower() for s in Severity)}",
        "The rules that findings name: [rules](rules.md).",
    )


_VERDICTS = {
    "dla": "Every permission is documented and no rule is broken.",
    "uncertain": "Sources contradict each other or are silent; counted as not on the DLA.",
    "gpu": "A documented rule refuses it.",
    "unknown": "No rule covers the operator; counted as not on the DLA.",
    "folded": "Computed when the engine is built.",
    "noop": "TensorRT makes no layer of it.",
}
_EVIDENCE = {
    "documented": "NVIDIA wrote it down.",
    "log": "A published build log or measurement shows it.",
    "inferred": "It follows from something documented; the verdict is uncertain.",
    "remembered": "No source could be found again; the verdict is uncertain.",
}


def _members(kind: type[Verdict] | type[Evidence], texts: dict[str, str]) -> str:
    return table(("Value", "Meaning"), [(code(member.value), texts[member.value]) for member in kind])


def _classes(base: type[errors.DlarewriteError]) -> Iterator[type[errors.DlarewriteError]]:
    """The exception and those of the same module under it, in the order of definition."""
    for found in vars(errors).values():
        if inspect.isclass(found) and issubclass(found, base):
            yield found


def _summary(found: type[errors.DlarewriteError]) -> str:
    return "Failure." if found is errors.DlarewriteError else _text(found)


def _text(found: type[errors.DlarewriteError]) -> str:
    return " ".join(inspect.cleandoc(found.__doc__ or "").replace("``", "`").split())
