"""Which operators a shipped graph may use: those that compute numbers from numbers, the same at every run.

Left out on purpose: loops without a bound (``Loop``), chance (``RandomNormal``, ``Bernoulli``, ...), training, text and
its patterns (``RegexFullMatch``, ...), decoders of picture files (``ImageDecoder``), sequences and optional values, and
whatever refers to other files or libraries (``EPContext``). No operator of the file's own is code: functions that a
graph defines are looked through, and an operator that needs a library is in no list.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Mapping
from typing import TypeVar

Operator = tuple[str, str]
"""Domain and name; the standard's own domain is empty."""

MOST_NODES = 200_000
"""Operators of a graph when the functions that it defines were written out; functions of functions grow fast."""

_STANDARD = """
Abs Acos Acosh Add AffineGrid And ArgMax ArgMin Asin Asinh Atan Atanh Attention AveragePool BatchNormalization BitShift
BitwiseAnd BitwiseNot BitwiseOr BitwiseXor BlackmanWindow Cast CastLike Ceil Celu CenterCropPad Clip Col2Im Compress
Concat Constant ConstantOfShape Conv ConvInteger ConvTranspose Cos Cosh CumProd CumSum DFT DeformConv DepthToSpace
DequantizeLinear Det Div Dropout DynamicQuantizeLinear Einsum Elu Equal Erf Exp Expand EyeLike Flatten Floor GRU Gather
GatherElements GatherND Gelu Gemm GlobalAveragePool GlobalLpPool GlobalMaxPool Greater GreaterOrEqual GridSample
GroupNormalization HammingWindow HannWindow HardSigmoid HardSwish Hardmax Identity If InstanceNormalization IsInf IsNaN
LRN LSTM LayerNormalization LeakyRelu Less LessOrEqual Log LogSoftmax LpNormalization LpPool MatMul MatMulInteger Max
MaxPool MaxRoiPool MaxUnpool Mean MeanVarianceNormalization Min Mish Mod Mul Neg NonMaxSuppression NonZero Not OneHot Or
PRelu Pad Pow QLinearConv QLinearMatMul QuantizeLinear RMSNormalization RNN Range Reciprocal ReduceL1 ReduceL2
ReduceLogSum ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum ReduceSumSquare Relu Reshape Resize
ReverseSequence RoiAlign RotaryEmbedding Round STFT Scan Scatter ScatterElements ScatterND Selu Shape Shrink Sigmoid
Sign Sin Sinh Size Slice Softmax Softplus Softsign SpaceToDepth Split Sqrt Squeeze Sub Sum SwiGLU Swish Tan Tanh
ThresholdedRelu Tile TopK Transpose Trilu Unique Unsqueeze Upsample Where Xor
"""
_MICROSOFT = """
Attention BiasAdd BiasGelu BiasSplitGelu ConvTransposeWithDynamicPads DequantizeLinear DynamicQuantizeMatMul FastGelu
FusedConv FusedGemm FusedMatMul FusedMatMulActivation Gelu GroupNorm Inverse MatMulInteger16 MatMulIntegerToFloat
MatMulNBits MultiHeadAttention NhwcConv NhwcFusedConv NhwcMaxPool QLinearAdd QLinearAveragePool QLinearConcat
QLinearConv QLinearGlobalAveragePool QLinearLeakyRelu QLinearMul QLinearReduceMean QLinearSigmoid QLinearSoftmax
QLinearWhere QuantizeLinear QuickGelu Rfft Irfft SkipGroupNorm SkipLayerNormalization
SimplifiedLayerNormalization SkipSimplifiedLayerNormalization TransposeMatMul Trilu
"""
ALLOWED: frozenset[Operator] = frozenset(
    {("", name) for name in _STANDARD.split()} | {("com.microsoft", name) for name in _MICROSOFT.split()}
)

Name = TypeVar("Name", bound=Hashable)
Calls = tuple[int, Counter[Name]]
"""How many operators a graph or function has that are no functions, and how often it calls each function."""


def forbidden(operators: frozenset[Operator]) -> list[str]:
    """Return the names of operators that are not allowed, in order, their domain in front."""
    return sorted(f"{domain}.{name}" if domain else name for domain, name in operators - ALLOWED)


def written_out(own: Mapping[Name, Calls[Name]], top: Calls[Name]) -> int:
    """Return how many operators a graph has once the functions that it calls were written out in their places.

    Parameters
    ----------
    own
        Of each function that the file defines.
    top
        Of the graph.

    Raises
    ------
    RecursiveFunction
        When functions call one another in a circle.
    """
    sizes: dict[Name, int] = {}
    # Callees first, without recursion: a file may chain as many functions as it likes.
    for start in own:
        open_, todo = {start}, [(start, iter(own[start][1]))]
        while todo:
            name, rest = todo[-1]
            callee = next((one for one in rest if one not in sizes), None)
            if callee is None:
                sizes[name] = _size(own[name], sizes)
                open_.discard(name)
                todo.pop()
            elif callee in open_:
                raise RecursiveFunction(callee)
            else:
                open_.add(callee)
                todo.append((callee, iter(own[callee][1])))
    return _size(top, sizes)


class RecursiveFunction(ValueError):
    """Functions of a graph call one another in a circle; the argument is one of them."""


def _size(called: Calls[Name], sizes: Mapping[Name, int]) -> int:
    return called[0] + sum(times * sizes[name] for name, times in called[1].items())
