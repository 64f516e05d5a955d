"""The built-in passes: one pass, one file. This file holds the catalogue and nothing else."""

from __future__ import annotations

from dlarewrite.catalogue import Catalogue, PassRef

if __name__ == "passes":
    raise ImportError("import dlarewrite_passes, not passes: the folder is installed under that name")

CATALOGUE = Catalogue(
    provider="dlarewrite",
    passes=(
        PassRef("keepdims", "dlarewrite_passes.keepdims:Keepdims"),
        PassRef("global-average-pool", "dlarewrite_passes.global_average_pool:GlobalAveragePool"),
        PassRef("global-max-pool", "dlarewrite_passes.global_max_pool:GlobalMaxPool"),
        PassRef("reduce-channel", "dlarewrite_passes.reduce_channel:ReduceChannel"),
        PassRef("reduce-sum", "dlarewrite_passes.reduce_sum:ReduceSum"),
        PassRef("cumsum", "dlarewrite_passes.cumsum:CumSum"),
        PassRef("pool-pads", "dlarewrite_passes.pool_pads:PoolPads"),
        PassRef("pool-window", "dlarewrite_passes.pool_window:PoolWindow"),
        PassRef("average-unpadded", "dlarewrite_passes.average_unpadded:AverageUnpadded"),
        PassRef("average-exclusive", "dlarewrite_passes.average_exclusive:AverageExclusive"),
        PassRef("average-window", "dlarewrite_passes.average_window:AverageWindow"),
        PassRef("hard-sigmoid", "dlarewrite_passes.hard_sigmoid:HardSigmoid"),
        PassRef("hard-swish", "dlarewrite_passes.hard_swish:HardSwish"),
        PassRef("clip-bounds", "dlarewrite_passes.clip_bounds:ClipBounds"),
        PassRef("leaky-forms", "dlarewrite_passes.leaky_forms:LeakyForms"),
        PassRef("mish-polynomial", "dlarewrite_passes.mish_polynomial:MishPolynomial"),
        PassRef("swish-mish", "dlarewrite_passes.swish_mish:SwishMish"),
        PassRef("gelu-tanh", "dlarewrite_passes.gelu_tanh:GeluTanh"),
        PassRef("gelu", "dlarewrite_passes.gelu:Gelu"),
        PassRef("softplus", "dlarewrite_passes.softplus:Softplus"),
        PassRef("elu-polynomial", "dlarewrite_passes.elu_polynomial:EluPolynomial"),
        PassRef("elu", "dlarewrite_passes.elu:Elu"),
        PassRef("softsign", "dlarewrite_passes.softsign:Softsign"),
        PassRef("reciprocal", "dlarewrite_passes.reciprocal:Reciprocal"),
        PassRef("div-pow-by-const", "dlarewrite_passes.div_pow_by_const:DivPowByConst"),
        PassRef("min-max", "dlarewrite_passes.min_max:MinMax"),
        PassRef("const-operand", "dlarewrite_passes.const_operand:ConstOperand"),
        PassRef("logic", "dlarewrite_passes.logic:Logic"),
        PassRef("gemm-to-conv", "dlarewrite_passes.gemm_to_conv:GemmToConv"),
        PassRef("matmul-tokens", "dlarewrite_passes.matmul_tokens:MatmulTokens"),
        PassRef("conv1d", "dlarewrite_passes.conv1d:Conv1d"),
        PassRef("lift-to-4d", "dlarewrite_passes.lift_to_4d:LiftTo4d"),
        PassRef("transpose-sink", "dlarewrite_passes.transpose_sink:TransposeSink"),
        PassRef("broadcast-explicit", "dlarewrite_passes.broadcast_explicit:BroadcastExplicit"),
        PassRef("conv-kernel", "dlarewrite_passes.conv_kernel:ConvKernel"),
        PassRef("conv-dilation", "dlarewrite_passes.conv_dilation:ConvDilation"),
        PassRef("conv-pads", "dlarewrite_passes.conv_pads:ConvPads"),
        PassRef("conv-stride", "dlarewrite_passes.conv_stride:ConvStride"),
        PassRef("conv-maps", "dlarewrite_passes.conv_maps:ConvMaps"),
        PassRef("conv-groups-dense", "dlarewrite_passes.conv_groups_dense:ConvGroupsDense"),
        PassRef("conv-cbuf", "dlarewrite_passes.conv_cbuf:ConvCbuf"),
    ),
)
