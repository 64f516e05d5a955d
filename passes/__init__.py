"""The built-in passes: one pass, one file. This file holds the catalogue and nothing else."""

from __future__ import annotations

from dlarewrite.catalogue import Catalogue, PassRef

if __name__ == "passes":
    raise ImportError("import dlarewrite_passes, not passes: the folder is installed under that name")

CATALOGUE = Catalogue(
    provider="dlarewrite",
    passes=(PassRef("hard-sigmoid", "dlarewrite_passes.hard_sigmoid:HardSigmoid"),),
)
