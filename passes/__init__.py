"""The built-in passes: one pass, one file. This file holds the catalogue and nothing else."""

from __future__ import annotations

from dlarewrite.catalogue import Catalogue, PassRef

if __name__ == "passes":
    raise ImportError("import dlarewrite_passes, not passes: the folder is installed under that name")

CATALOGUE = Catalogue(
    provider="dlarewrite",
    passes=(
        PassRef("hard-sigmoid", "dlarewrite_passes.hard_sigmoid:HardSigmoid"),
        PassRef("gemm-to-conv", "dlarewrite_passes.gemm_to_conv:GemmToConv"),
        PassRef("matmul-tokens", "dlarewrite_passes.matmul_tokens:MatmulTokens"),
        PassRef("conv1d", "dlarewrite_passes.conv1d:Conv1d"),
        PassRef("lift-to-4d", "dlarewrite_passes.lift_to_4d:LiftTo4d"),
        PassRef("transpose-sink", "dlarewrite_passes.transpose_sink:TransposeSink"),
        PassRef("broadcast-explicit", "dlarewrite_passes.broadcast_explicit:BroadcastExplicit"),
    ),
)
