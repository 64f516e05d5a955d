"""What this distribution gives to dlarewrite; the entry point in pyproject.toml names this catalogue."""

from __future__ import annotations

from dlarewrite.catalogue import Catalogue, PassRef

CATALOGUE = Catalogue(
    provider="dlarewrite-redundant-relu",
    passes=(PassRef("redundant-relu", "dlarewrite_redundant_relu.redundant_relu:RedundantRelu"),),
)
