"""docs/passes.md: every built-in pass, from its docstring."""

from __future__ import annotations

from typing import Any

from dlarewrite.catalogue import discover
from dlarewrite.devtools.docstrings import PassDoc, of_pass
from dlarewrite.devtools.markdown import code, codes, page, table
from dlarewrite.errors import DlarewriteError
from dlarewrite.rewrite.pass_ import options

_INTRO = """\
The passes that come with dlarewrite, in the order in which the default pipeline runs them. *prepare* and *finish*
passes run once, *clean* and *legalise* passes until nothing changes. A *legalise* pass fires only where the target
refuses a node, and only if less is refused afterwards. EXACT, ROUNDING and LOSSY say how faithful a pass is, and
set the tolerance of the proof."""


def render() -> str:
    """The page; raises :class:`DlarewriteError` where a pass lacks a heading."""
    registry = discover()
    found = [registry.find(name) for name in registry.refs if registry.providers[name] == "dlarewrite"]
    rows = [
        (f"[{p.name}](#{p.name})", p.phase.name.lower(), str(p.numerics), _document(p).title.rstrip(".")) for p in found
    ]
    return page("Passes", _INTRO, table(("Pass", "Phase", "Numerics", "What"), rows), *(_section(p) for p in found))


def _document(pass_class: type[Any]) -> PassDoc:
    document = of_pass(pass_class)
    if document.missing:
        raise DlarewriteError(
            f"the docstring of pass {pass_class.name!r} lacks: {', '.join(document.missing)}",
            hint="see docs/writing-a-pass.md",
        )
    return document


def _section(pass_class: type[Any]) -> str:
    document = _document(pass_class)
    lines = [f"## {pass_class.name}", "", document.title, ""]
    for heading, text in document.headings.items():
        lines.append(f"- **{heading}**: {_text(heading, text)}")
    chosen = options(pass_class)
    if chosen:
        lines.append(f"- **Options**: {codes(f'{name}={default}' for name, default in chosen.items())}")
    if pass_class.after:
        lines.append(f"- **Runs after**: {codes(pass_class.after)}")
    if pass_class.bound:
        lines.append(f"- **Error bound**: {pass_class.bound}")
    return "\n".join(lines)


def _text(heading: str, text: str) -> str:
    if heading != "Example":
        return " ".join(text.split())
    return (
        code(text)
        if "\n" not in text
        else "\n\n  ```text\n" + "\n".join(f"  {t}" for t in text.splitlines()) + "\n  ```"
    )
