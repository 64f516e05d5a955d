"""What a division costs: by device, by handover, and what a region saves."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from dlarewrite.partition.cut import Prices
from dlarewrite.partition.problem import Problem
from dlarewrite.partition.tally import GPU, Tally


@dataclass(frozen=True)
class Bill:
    """Sums of one division: layers on the DLA, layers on the GPU, handovers, fixed costs of loadables."""

    dla: float
    gpu: float
    handovers: float
    loadables: float

    @property
    def total(self) -> float:
        """All of it, as one after another."""
        return self.dla + self.gpu + self.handovers + self.loadables


class Ledger:
    """The costs of one problem, with the handovers of each layer at hand."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self._touching: list[list[int]] = [[] for _ in problem.dla]
        for number, handover in enumerate(problem.handovers):
            for layer in {handover.maker, *handover.readers}:
                if layer >= 0:
                    self._touching[layer].append(number)

    def tally(self, regions: Sequence[Sequence[int]]) -> Tally:
        """The handovers of a division; region k is its home number k."""
        home = [GPU] * len(self.problem.dla)
        for number, region in enumerate(regions):
            for layer in region:
                home[layer] = number
        return Tally(self.problem, self._touching, home)

    def bill(self, regions: Sequence[Sequence[int]]) -> Bill:
        """What a division into ``regions`` costs."""
        problem, tally = self.problem, self.tally(regions)
        return Bill(
            dla=sum(problem.dla[i] for i, h in enumerate(tally.home) if h != GPU),
            gpu=sum(problem.gpu[i] for i, h in enumerate(tally.home) if h == GPU),
            handovers=sum(tally.cost(number) for number in range(len(problem.handovers))),
            loadables=problem.loadable * len(regions),
        )

    def gain(self, region: Sequence[int], tally: Tally, prices: Prices) -> float:
        """What a region saves over its layers on the GPU, its loadable (``prices.entry``) paid."""
        problem, number = self.problem, tally.home[region[0]]
        crossed = sum(tally.cost(t) - tally.without(t, number) for t in self.touched(region))
        saved = prices.gpu * sum(problem.gpu[i] for i in region) - prices.dla * sum(problem.dla[i] for i in region)
        return saved - prices.handover * crossed - prices.entry

    def touched(self, layers: Iterable[int]) -> list[int]:
        """Numbers of the handovers that any of ``layers`` makes or reads, each once."""
        return list(dict.fromkeys(number for layer in layers for number in self._touching[layer]))
