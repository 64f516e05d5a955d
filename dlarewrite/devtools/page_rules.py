"""docs/rules.md: targets, support matrix and rule book, from the data that the judge uses."""

from __future__ import annotations

from dlarewrite.devtools.markdown import code, codes, page, table
from dlarewrite.target import Rule, profiles, rulebook, support_matrix
from dlarewrite.target.rule import ALL, BOTH
from dlarewrite.target.sources import cite

_INTRO = """\
What the DLA takes, as `dlarewrite check` judges it. The messages of findings, the boundary tests and this page come
from the same rules. A rule with firm evidence (documented, log) decides; one that is only inferred or remembered
makes a node *uncertain*."""

_MATRIX = """\
One column per TensorRT release and chip. `Y`: taken, within the rules below. `Y*`: taken under conditions that an
offline check cannot see. `N`: refused. `?`: sources contradict each other or are silent."""


def render() -> str:
    """The page."""
    layers: dict[str, list[Rule]] = {}
    for rule in rulebook():
        layers.setdefault(rule.layer, []).append(rule)
    sections = [
        f"### {'Every layer' if layer == '*' else layer}\n\n" + "\n\n".join(map(_rule, rules))
        for layer, rules in layers.items()
    ]
    return page("Rules", _INTRO, _targets(), _matrix(), "## Rules", *sections, _sources())


def _targets() -> str:
    rows = [(code(p.name), p.title, p.version, p.column, str(p.max_loadables), "; ".join(p.notes)) for p in profiles()]
    columns = ("Target", "Machine", "TensorRT", "Column", "Loadables per core", "Notes")
    return f"## Targets\n\n{table(columns, rows)}"


def _matrix() -> str:
    matrix = support_matrix()
    heads = [f"{column} ({', '.join(p.name for p in profiles() if p.column == column)})" for column in matrix.columns]
    rows = [
        (row.title, codes(row.ops), *(str(row.cells[column]) for column in matrix.columns), row.doubt) for row in matrix
    ]
    return f"## Support matrix\n\n{_MATRIX}\n\n{table(('Layer', 'ONNX', *heads, 'Doubt'), rows)}"


def _rule(rule: Rule) -> str:
    quantity = ", ".join(rule.quantity)
    precisions = ", ".join(sorted(p.value for p in rule.precisions))
    lines = [
        f"#### {rule.id}",
        "",
        rule.title,
        "",
        f"- **Must be**: {quantity + ' ' if quantity else ''}{rule.limit.speak()}",
        f"- **Otherwise**: {rule.effect}",
        f"- **Evidence**: {rule.evidence.value}",
        f"- **Operators**: {codes(rule.ops) or 'all'}",
    ]
    if rule.profiles < ALL:
        lines.append(f"- **Targets**: {codes(p.name for p in profiles() if p.column in rule.profiles)}")
    if rule.precisions < BOTH:
        lines.append(f"- **Precisions**: {precisions}")
    if rule.cures:
        lines.append(f"- **Cure**: {codes(rule.cures)}")
    lines.append(f"- **Source**: {', '.join(rule.sources)}")
    if rule.explanation:
        lines += ["", rule.explanation]
    return "\n".join(lines)


def _sources() -> str:
    """Every source that a rule names, once, with its address."""
    keys = sorted({key for rule in rulebook() for key in rule.sources})
    rows = [(key, cite(key).removeprefix(key).strip().removeprefix("(").removesuffix(")")) for key in keys]
    return f"## Sources\n\n{table(('Key', 'What'), rows)}"
