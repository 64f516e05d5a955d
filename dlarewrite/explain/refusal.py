"""The refused layers of a log in groups: one rule or reason, its cure, and the layers that it hit."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from dlarewrite.explain.comparison import Comparison
from dlarewrite.explain.reading import Layer, Reading, Said
from dlarewrite.explain.sources import address
from dlarewrite.explain.typed import rules_of, type_of
from dlarewrite.outcome import NodeEntry
from dlarewrite.target import Profile, rulebook

BASES = ("log", "rule book", "type", "name", "")


@dataclass(frozen=True)
class Refusal:
    """Layers that left the DLA for one reason.

    ``basis`` tells where the rules come from: "log" (the log gives the reason), "rule book" (it does not; the model
    breaks them on this target), "type" or "name" (rules that layers of this type can break, the type being printed or
    guessed from the name), "" (nothing is known). ``cures`` are pass names, ``advice`` is what to do beside them.
    """

    basis: str
    rules: tuple[str, ...]
    meaning: str
    type: str
    said: tuple[Said, ...]
    layers: tuple[Layer, ...]
    nodes: tuple[str, ...]
    cures: tuple[str, ...]
    advice: str
    evidence: str
    sources: tuple[str, ...]

    @property
    def left(self) -> bool:
        """Whether the log says that these layers left the DLA."""
        return self.layers[0].left

    @property
    def code(self) -> str:
        """The first rule's id, or the first sentence's."""
        if self.rules:
            return self.rules[0]
        return self.said[0].pattern.id if self.said else "no-reason"


def refusals(reading: Reading, profile: Profile, comparison: Comparison | None = None) -> tuple[Refusal, ...]:
    """Group the refused layers; with a comparison, the model's own findings fill in reasons that the log leaves out."""
    groups: dict[tuple[object, ...], list[Layer]] = {}
    for layer in reading.refused:
        groups.setdefault(_key(layer, profile, comparison), []).append(layer)
    made = [_refusal(key, layers, comparison) for key, layers in groups.items()]
    return tuple(sorted(made, key=lambda r: (not r.left, BASES.index(r.basis), -len(r.layers))))


def _key(layer: Layer, profile: Profile, comparison: Comparison | None) -> tuple[object, ...]:
    kind, guessed = type_of(layer.name, layer.type)
    shown = "" if guessed else kind
    if layer.said:
        said = tuple((s.pattern.id, s.rules) for s in layer.said)
        return ("log", tuple(dict.fromkeys(r for s in layer.said for r in s.rules)), shown, said, layer.left)
    broken = _broken(layer, comparison)
    if broken:
        return ("rule book", broken, shown, ())
    rules = rules_of(kind, profile)
    if not rules:
        return ("", (), shown, ())
    return ("name" if guessed else "type", rules, shown, ())


def _entries(layer: Layer, comparison: Comparison | None) -> list[NodeEntry]:
    if comparison is None:
        return []
    return [comparison.report.nodes[p] for p in comparison.placing.layers[layer.name].nodes]


def _broken(layer: Layer, comparison: Comparison | None) -> tuple[str, ...]:
    entries = _entries(layer, comparison)
    worst = [f.rule for e in entries for f in e.findings if f.effect == "gpu"]
    return tuple(dict.fromkeys(worst or [f.rule for e in entries for f in e.findings if f.effect == "uncertain"]))


def _refusal(key: tuple[object, ...], layers: list[Layer], comparison: Comparison | None) -> Refusal:
    basis, rules, kind = str(key[0]), tuple(str(r) for r in key[1]), str(key[2])  # type: ignore[attr-defined]
    said = layers[0].said
    entries = [entry for layer in layers for entry in _entries(layer, comparison)]
    cures = dict.fromkeys(f.cure for e in entries for f in e.findings if f.cure and f.effect != "note")
    if not cures and basis != "name":
        cures = dict.fromkeys(_cures(rules[:1] if basis == "type" else rules))
    book = rulebook()
    if said:
        evidence = max((s.pattern.evidence for s in said), key=_rank).value
        sources = tuple(dict.fromkeys(address(k) for s in said for k in s.pattern.sources))
    else:
        evidence = "" if basis in ("name", "") or not rules else book.get(rules[0]).evidence.value
        sources = (book.get(rules[0]).source,) if evidence else ()
    return Refusal(
        basis=basis,
        rules=rules,
        meaning="; ".join(dict.fromkeys(s.pattern.meaning for s in said)) or _without_reason(basis),
        type=kind,
        said=said,
        layers=tuple(layers),
        nodes=tuple(dict.fromkeys(f"{e.name} ({e.op})" for e in entries)),
        cures=tuple(cures),
        advice="; ".join(dict.fromkeys(s.pattern.cure for s in said if s.pattern.cure)),
        evidence=evidence,
        sources=sources,
    )


def _without_reason(basis: str) -> str:
    return {
        "rule book": "the log gives no reason; by the rule book these are broken",
        "type": "the log gives no reason; rules that a layer of this type can break",
        "name": "the log gives neither reason nor type; rules that the name hints at",
    }.get(basis, "the log gives neither a reason nor a type that the rule book knows")


def _cures(rules: Iterable[str]) -> list[str]:
    book = rulebook()
    return [cure for rule in rules if rule in book for cure in book.get(rule).cures]


def _rank(evidence: object) -> int:
    from dlarewrite.target import Evidence

    return list(Evidence).index(evidence)  # type: ignore[arg-type]
