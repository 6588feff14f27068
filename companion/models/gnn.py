"""Two-layer graph networks, GCN and GAT, written so that several independent runs train in one pass.

R runs (different seeds, splits, hyperparameters) share one adjacency and one sparse feature matrix. Their weights are
stacked on a leading axis; nothing mixes them, and each draws its dropout from a generator of its own, so a run in a stack
computes what it would compute alone. ``runs=1`` is the ordinary network. ``network.layers(run)`` is one run seen as an
ordinary module, for penalties on weights and for clipping.

The networks compute in the dtype of their weights: half types in float32, which is also what they do under autocast, because
sparse products know no half types. No step makes an accelerator wait for the host.

Everything sparse is a CSR product: of the features with a weight, of the adjacency with the nodes' values, and, for
attention, of one matrix of edge weights a head. The backward of such a product is again one, with the transpose, whose
entries are the same numbers in another order; that order is computed once a graph.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from types import SimpleNamespace

import torch
from torch import Tensor, nn

from companion._checks import check_number, working_dtype

with (
    warnings.catch_warnings()
):  # torch says once a process that its CSR support is in beta; the products used here are tested
    warnings.simplefilter("ignore", UserWarning)
    torch.eye(1, device="cpu").to_sparse_csr()

_COLUMNS = 64  # columns a sparse product takes at a time on a CPU: more fall out of the cache


@dataclass(frozen=True)
class SparseMatrix:
    """The pattern of a sparse (rows, columns) matrix in CSR order, and what its transpose needs.

    Attributes:
        shape: (rows, columns).
        crow, col: CSR row pointers (rows + 1,) and column indices (nnz,), int32.
        crow_t, col_t: those of the transpose.
        order_t: (nnz,), position in CSR order of each entry of the transpose.
    """

    shape: tuple[int, int]
    crow: Tensor
    col: Tensor
    crow_t: Tensor
    col_t: Tensor
    order_t: Tensor

    @classmethod
    def from_pairs(cls, row: Tensor, col: Tensor, shape: tuple[int, int]) -> tuple[SparseMatrix, Tensor]:
        """Return the pattern of distinct (row, col) pairs (nnz,) and the order that sorts the pairs into it."""
        order = torch.argsort(row * shape[1] + col)
        row, col = row[order], col[order]
        order_t = torch.argsort(col * shape[0] + row)
        pointers = [_pointers(row, shape[0]), col.int(), _pointers(col, shape[1]), row[order_t].int(), order_t.int()]
        return cls(shape, *pointers), order

    def matrix(self, values: Tensor, *, transposed: bool = False) -> Tensor:
        """Return the CSR tensor with ``values`` (nnz,) in CSR order, or its transpose."""
        if transposed:
            values, crow, col, shape = values.index_select(0, self.order_t), self.crow_t, self.col_t, self.shape[::-1]
        else:
            crow, col, shape = self.crow, self.col, self.shape
        return torch.sparse_csr_tensor(crow, col, values, shape, check_invariants=False)

    def rows(self) -> Tensor:
        """Return the row index of every entry, (nnz,) int32."""
        counts = self.crow.diff()
        return torch.repeat_interleave(torch.arange(self.shape[0], device=counts.device, dtype=torch.int32), counts)

    def to(self, device: torch.device | str) -> SparseMatrix:
        """Return the pattern on a device."""
        return SparseMatrix(
            self.shape, *(getattr(self, name).to(device) for name in ("crow", "col", "crow_t", "col_t", "order_t"))
        )


def _pointers(row: Tensor, rows: int) -> Tensor:
    pointers = torch.zeros(rows + 1, dtype=torch.int32, device=row.device)
    pointers[1:] = torch.bincount(row, minlength=rows).cumsum(0)
    return pointers


@dataclass(frozen=True)
class SparseGraph:
    """A graph ready for training: sparse row-normalised features and adjacency with self-loops.

    Attributes:
        features: pattern (N, F) of the non-zero features; ``feature_values`` (nnz,) their values.
        edges: pattern (N, N), row = target, column = source, self-loops included.
        gcn_weights: (E,) entries of D^(-1/2) (A + I) D^(-1/2).
        targets: (E,) target of every edge, int32; ``edges.col`` is its source.
    """

    features: SparseMatrix
    feature_values: Tensor
    edges: SparseMatrix
    gcn_weights: Tensor
    targets: Tensor

    @classmethod
    @torch.inference_mode(False)  # networks are trained on the graph, wherever it was built
    def from_dense(
        cls, features: Tensor, edges: Tensor, *, normalise: bool = True, dtype: torch.dtype = torch.float32
    ) -> SparseGraph:
        """Build from dense features (N, F) and edges (2, E), both directions, no self-loops.

        ``normalise`` divides each row of features by its sum, as the authors of GCN and GAT do; a row whose sum is 0
        becomes 0.
        """
        nodes, wide = len(features), working_dtype(dtype)
        row, col = features.nonzero(as_tuple=True)
        values = features[row, col].to(wide)
        if normalise:
            sums = features.to(wide).sum(1)
            values = values / torch.where(sums == 0, torch.inf, sums)[row]
        pattern, order = SparseMatrix.from_pairs(row, col, tuple(features.shape))
        loops = torch.arange(nodes, device=edges.device)
        source, target = torch.cat([edges[0], loops]), torch.cat([edges[1], loops])
        adjacency, _ = SparseMatrix.from_pairs(target, source, (nodes, nodes))
        scale = adjacency.crow.diff().to(wide).rsqrt()
        targets = adjacency.rows()
        weights = scale[targets.long()] * scale[adjacency.col.long()]
        return cls(pattern, values[order].to(dtype), adjacency, weights.to(dtype), targets)

    @property
    def num_nodes(self) -> int:
        """Number of nodes N."""
        return self.edges.shape[0]

    @property
    def num_features(self) -> int:
        """Number of features F."""
        return self.features.shape[1]

    def to(self, device: torch.device | str) -> SparseGraph:
        """Return the graph on a device."""
        return SparseGraph(
            self.features.to(device),
            self.feature_values.to(device),
            self.edges.to(device),
            self.gcn_weights.to(device),
            self.targets.to(device),
        )


def _in_full_precision(like: Tensor) -> torch.autocast:
    """Return the context without autocast, which would cast the dense factor of a sparse product."""
    return torch.autocast(like.device.type, enabled=False)


def _product(matrix: Tensor, dense: Tensor) -> Tensor:
    """Return the sparse-dense product, in column blocks that stay in a CPU's cache."""
    if dense.is_cuda or dense.shape[1] <= _COLUMNS:
        return matrix @ dense
    return torch.cat([matrix @ block for block in dense.split(_COLUMNS, 1)], 1)


class _Product(torch.autograd.Function):
    """Y = A H for one sparse A with given values; the gradient goes to H alone, and is again such a product."""

    @staticmethod
    def forward(ctx, values: Tensor, dense: Tensor, pattern: SparseMatrix, transposed: bool) -> Tensor:
        ctx.save_for_backward(values)
        ctx.pattern, ctx.transposed = pattern, transposed
        return _product(pattern.matrix(values, transposed=transposed), dense)

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[None, Tensor, None, None]:
        (values,) = ctx.saved_tensors
        with _in_full_precision(gradient):
            return None, _Product.apply(values, gradient.contiguous(), ctx.pattern, not ctx.transposed), None, None


def _largest(source: Tensor, graph: SparseGraph) -> Tensor:
    """Return the largest of each node's neighbours' values (K, N), itself included; the graph is the same for all K."""
    if source.device.type != "cpu":
        values = source.index_select(1, graph.edges.col)
        index = graph.targets.long().expand_as(values)
        return torch.full_like(source, -torch.inf).scatter_reduce(1, index, values, "amax")
    ones = graph.edges.matrix(source.new_ones(len(graph.targets)))
    return torch.sparse.mm(ones, source.t().contiguous(), "amax").t()


def _attend_by_edges(
    values: Tensor, source: Tensor, target: Tensor, mask: Tensor | None, graph: SparseGraph, slope: float
) -> Tensor:
    """Return what `_Attend` returns, edge by edge, with derivatives of every order: slower, and (K, E, F) in memory."""
    score = nn.functional.leaky_relu(
        source.index_select(1, graph.edges.col) + target.index_select(1, graph.targets), slope
    )
    bound = nn.functional.leaky_relu(_largest(source.detach(), graph) + target.detach(), slope)
    exponential = (score - bound.index_select(1, graph.targets)).exp()  # (K, E)
    total = torch.zeros_like(source).index_add(1, graph.targets, exponential)
    weights = exponential if mask is None else exponential * mask
    messages = weights.unsqueeze(2) * values.index_select(1, graph.edges.col)  # (K, E, F)
    return torch.zeros_like(values).index_add(1, graph.targets, messages) / total.unsqueeze(2)


class _Attend(torch.autograd.Function):
    """Attention of K channels (heads times runs): every node averages its neighbours with softmax weights.

    h_i = sum_j a_ij m_ij v_j, a_ij = softmax over the sources j of target i of leaky(s_j + t_i), m the dropout mask.
    With e = exp(score - shift) and D_i = sum_j e_ij: h_i = sum_j e_ij m_ij v_j / D_i, and for the incoming gradient g,
    g' = g / D, the derivative with respect to the score is e_ij (m_ij g'_i . v_j - g'_i . h_i).
    """

    @staticmethod
    def forward(
        ctx, values: Tensor, source: Tensor, target: Tensor, mask: Tensor | None, graph: SparseGraph, slope: float
    ) -> Tensor:
        pattern, ones = graph.edges, values.new_ones(graph.num_nodes, 1)
        raw = source.index_select(1, pattern.col) + target.index_select(1, graph.targets)  # (K, E)
        # The largest score of each target, since leaky is increasing. Any shift leaves the softmax as it is.
        bound = nn.functional.leaky_relu(_largest(source, graph) + target, slope)  # (K, N)
        score = nn.functional.leaky_relu(raw, slope)
        exponential = (score - bound.index_select(1, graph.targets)).exp_()
        total = torch.stack([(pattern.matrix(e) @ ones).squeeze(1) for e in exponential])  # (K, N), at least 1
        weights = exponential if mask is None else exponential * mask
        result = torch.stack([pattern.matrix(w) @ v for w, v in zip(weights, values, strict=True)]) / total.unsqueeze(2)
        ctx.save_for_backward(values, source, target, raw, exponential, mask, weights, total, result)
        ctx.graph, ctx.slope = graph, slope
        return result

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor | None, ...]:
        with _in_full_precision(gradient):
            derivative = _Attend._recorded if torch.is_grad_enabled() else _Attend._derivative
            return *derivative(ctx, gradient), None, None, None

    @staticmethod
    def _recorded(ctx, gradient: Tensor) -> tuple[Tensor | None, ...]:
        """Return the derivatives so that they can be differentiated (``create_graph=True``)."""
        inputs = ctx.saved_tensors[:3]
        result = _attend_by_edges(*inputs, ctx.saved_tensors[5], ctx.graph, ctx.slope)
        needed = [tensor for tensor in inputs if tensor.requires_grad]
        found = iter(torch.autograd.grad(result, needed, gradient, create_graph=True))
        return tuple(next(found) if tensor.requires_grad else None for tensor in inputs)

    @staticmethod
    def _derivative(ctx, gradient: Tensor) -> tuple[Tensor, ...]:
        values, _, _, raw, exponential, mask, weights, total, result = ctx.saved_tensors
        pattern = ctx.graph.edges
        scaled = gradient / total.unsqueeze(2)  # (K, N, F)
        empty = pattern.matrix(torch.zeros_like(raw[0]))
        products = torch.stack(
            [
                torch.sparse.sampled_addmm(empty, g, v.t(), beta=0.0).values()
                for g, v in zip(scaled, values, strict=True)
            ]
        )  # (K, E): g'_i . v_j on every edge
        if mask is not None:
            products = products * mask
        centre = (scaled * result).sum(2)  # (K, N)
        d_score = exponential * (products - centre.index_select(1, ctx.graph.targets))
        d_raw = torch.where(raw > 0, d_score, ctx.slope * d_score)
        ones = values.new_ones(ctx.graph.num_nodes, 1)
        d_target = torch.stack([(pattern.matrix(d) @ ones).squeeze(1) for d in d_raw])
        d_source = torch.stack([(pattern.matrix(d, transposed=True) @ ones).squeeze(1) for d in d_raw])
        d_values = torch.stack([pattern.matrix(w, transposed=True) @ g for w, g in zip(weights, scaled, strict=True)])
        return d_values, d_source, d_target


def keep_mask(
    shape: Sequence[int],
    dropout: float,
    generators: Sequence[torch.Generator],
    *,
    device: torch.device,
    dtype: torch.dtype,
) -> Tensor:
    """Return dropout masks (R, *shape) holding 0 and 1/(share kept), one generator a run.

    Sixteen random bits decide each entry, so the rate is ``dropout`` rounded to 1/65536; the scale uses the rounded rate.
    A rate of 1 drops everything, as in torch.

    Raises:
        ValueError: ``dropout`` lies outside [0, 1].
    """
    dropped = round(65536 * check_number("dropout", dropout, at_least=0, at_most=1))
    size = 1
    for extent in shape:
        size *= extent
    words = torch.empty(len(generators), (size + 3) // 4, dtype=torch.int64, device=device)
    for row, generator in zip(words, generators, strict=True):
        row.random_(-(2**63), None, generator=generator)
    bits = words.view(torch.int16)[:, :size]
    kept = (bits >= min(dropped - 32768, 32767)).to(dtype)  # no int16 is 32768
    return kept.mul_(65536 / (65536 - dropped) if dropped < 65536 else 0.0).view(len(generators), *shape)


def _glorot(shape: tuple[int, ...], fans: int, generators: Sequence[torch.Generator | None]) -> Tensor:
    """Return (R, *shape) uniform in +-sqrt(6/fans), one generator a run."""
    bound = (6.0 / fans) ** 0.5
    devices = [None if generator is None else generator.device for generator in generators]
    drawn = [
        torch.empty(shape, device=device).uniform_(-bound, bound, generator=generator)
        for device, generator in zip(devices, generators, strict=True)
    ]
    return torch.stack(drawn).to(torch.empty(0).device)  # the default device


class _StackedNetwork(nn.Module):
    """What GCN and GAT share: runs on a leading axis, the dtype to compute in, dropout, the product with the features."""

    runs: int
    dropout: float

    def forward(self, graph: SparseGraph, generators: Sequence[torch.Generator] | None = None) -> Tensor:
        """Return logits (R, N, C); with one generator a run dropout is on, without it is off."""
        dtype = self.weight1.dtype
        parameters = {name: parameter.to(working_dtype(dtype)) for name, parameter in self._parameters.items()}
        with _in_full_precision(self.weight1):
            return self._logits(graph, SimpleNamespace(**parameters), generators).to(dtype)

    def layers(self, run: int) -> nn.Module:
        """Return one run as an ordinary module: its weights as matrices (out, in), its biases as vectors.

        The parameters are views: gradients through them reach the stack, what is done to them in place is done to the
        stack, and their ``grad`` are views of its gradients at the time of the call. So penalties on weights and
        clipping act on each run alone:

            penalty = NormLoss(network)(network.layers(run))
            adaptive_clip_grad_(network.layers(run).named_parameters(), exclude=["weight2"])  # after backward()

        Args:
            run: which, from 0.

        Raises:
            IndexError: there is no such run.

        Example:
            >>> network = GCN(num_features=5, num_classes=3, generators=[None, None])
            >>> {name: tuple(p.shape) for name, p in network.layers(1).named_parameters()}
            {'weight1': (16, 5), 'bias1': (16,), 'weight2': (3, 16), 'bias2': (3,)}
        """
        one = nn.Module()
        with torch.inference_mode(False), torch.enable_grad():  # a view made without gradients would pass for frozen
            for name, parameter in self._parameters.items():
                one._parameters[name] = _of_run(name, parameter, run)
        for name, parameter in self._parameters.items():
            if parameter.is_leaf and parameter.grad is not None:
                one._parameters[name].grad = _of_run(name, parameter.grad, run)
        return one

    def weight_vectors(self, name: str, weight: Tensor) -> Tensor:
        """Return a stacked weight (R, in, out) with one weight vector on axis 0, (R·out, in), for penalties on weights."""
        return weight.mT.flatten(0, 1) if name.startswith("weight") else weight

    def _masks(self, shape: Sequence[int], like: Tensor, generators: Sequence[torch.Generator] | None) -> Tensor | None:
        if generators is None:
            return None
        return keep_mask(shape, self.dropout, generators, device=like.device, dtype=like.dtype)

    def _first_product(
        self, graph: SparseGraph, weight: Tensor, generators: Sequence[torch.Generator] | None
    ) -> Tensor:
        """Return dropout(X) W, (R, N, H), for weights (R, F, H)."""
        products, features = [], graph.feature_values.to(weight.dtype)
        for run, run_weight in enumerate(weight):
            mask = self._masks((len(features),), weight, None if generators is None else generators[run : run + 1])
            values = features if mask is None else features * mask[0]
            products.append(_Product.apply(values, run_weight, graph.features, False))
        return torch.stack(products)


def _of_run(name: str, parameter: Tensor, run: int) -> Tensor:
    """Return one run's part of a stacked parameter: a weight (in, out) transposed, a bias (1, width) as a vector."""
    part = parameter[run]
    if name.startswith("weight"):
        return part.mT
    return part.squeeze(0) if name.startswith("bias") else part


class GCN(_StackedNetwork):
    r"""Graph convolutional network of two layers: $Z = \hat A\,\mathrm{relu}(\hat A X W_1 + b_1)\,W_2 + b_2$.

    $\hat A = D^{-1/2}(A + I)D^{-1/2}$; dropout acts on the input and on the hidden layer.

    Args:
        num_features: F.
        num_classes: the number of classes, C.
        hidden: width of the hidden layer.
        dropout: rate, from 0 to 1.
        generators: one source of initial values a run; a single ``None`` is one run from torch's global source.

    Source: Kipf and Welling, 2017.
    """

    def __init__(
        self,
        num_features: int,
        num_classes: int,
        *,
        hidden: int = 16,
        dropout: float = 0.5,
        generators: Sequence[torch.Generator | None] = (None,),
    ) -> None:
        super().__init__()
        self.runs = len(generators)
        self.dropout = check_number("dropout", dropout, at_least=0, at_most=1)
        self.weight1 = nn.Parameter(_glorot((num_features, hidden), num_features + hidden, generators))  # (R, F, H)
        self.bias1 = nn.Parameter(torch.zeros(self.runs, 1, hidden))
        self.weight2 = nn.Parameter(_glorot((hidden, num_classes), hidden + num_classes, generators))  # (R, H, C)
        self.bias2 = nn.Parameter(torch.zeros(self.runs, 1, num_classes))

    def _logits(self, graph: SparseGraph, own: SimpleNamespace, generators: Sequence[torch.Generator] | None) -> Tensor:
        hidden = self._first_product(graph, own.weight1, generators)  # (R, N, H)
        hidden = torch.relu(self._propagate(graph, hidden) + own.bias1)
        mask = self._masks(hidden.shape[1:], hidden, generators)
        hidden = hidden if mask is None else hidden * mask
        return self._propagate(graph, hidden @ own.weight2) + own.bias2

    def _propagate(self, graph: SparseGraph, nodes: Tensor) -> Tensor:
        """Return the adjacency times (R, N, H): the runs lie side by side on the feature axis."""
        runs, count, width = nodes.shape
        flat = nodes.transpose(0, 1).reshape(count, runs * width)
        weights = graph.gcn_weights.to(flat.dtype)
        return _Product.apply(weights, flat, graph.edges, False).view(count, runs, width).transpose(0, 1)


class GAT(_StackedNetwork):
    r"""Graph attention network of two layers, ELU between them; the last layer has one head.

    $h_i = \sum_{j \in N(i) \cup \{i\}} a_{ij} W x_j$, $a_{ij} = \mathrm{softmax}_j\,\mathrm{leaky}(u \cdot W x_j + v \cdot W x_i)$, per head;
    dropout acts on the input, the hidden layer and the attention weights.

    Args:
        num_features: F.
        num_classes: the number of classes, C.
        heads, hidden: heads of the first layer and the width of each.
        dropout: rate, from 0 to 1.
        slope: of the leaky rectifier, at least 0.
        generators: one source of initial values a run; a single ``None`` is one run from torch's global source.

    Source: Veličković et al., 2018.
    """

    def __init__(
        self,
        num_features: int,
        num_classes: int,
        *,
        heads: int = 8,
        hidden: int = 8,
        dropout: float = 0.6,
        slope: float = 0.2,
        generators: Sequence[torch.Generator | None] = (None,),
    ) -> None:
        super().__init__()
        self.runs, self.heads, self.hidden = len(generators), heads, hidden
        self.dropout = check_number("dropout", dropout, at_least=0, at_most=1)
        self.slope = check_number("slope", slope, at_least=0)
        width = heads * hidden
        self.weight1 = nn.Parameter(
            _glorot((num_features, width), num_features + width, generators)
        )  # (R, F, heads * hidden)
        self.source1 = nn.Parameter(_glorot((heads, hidden), heads + hidden, generators))  # (R, heads, hidden): u
        self.target1 = nn.Parameter(_glorot((heads, hidden), heads + hidden, generators))  # v
        self.bias1 = nn.Parameter(torch.zeros(self.runs, 1, width))
        self.weight2 = nn.Parameter(
            _glorot((width, num_classes), width + num_classes, generators)
        )  # (R, heads * hidden, C)
        self.source2 = nn.Parameter(_glorot((1, num_classes), 1 + num_classes, generators))
        self.target2 = nn.Parameter(_glorot((1, num_classes), 1 + num_classes, generators))
        self.bias2 = nn.Parameter(torch.zeros(self.runs, 1, num_classes))

    def _logits(self, graph: SparseGraph, own: SimpleNamespace, generators: Sequence[torch.Generator] | None) -> Tensor:
        values = self._first_product(graph, own.weight1, generators)  # (R, N, heads * hidden)
        hidden = nn.functional.elu(self._attend(graph, values, own.source1, own.target1, generators) + own.bias1)
        mask = self._masks(hidden.shape[1:], hidden, generators)
        hidden = hidden if mask is None else hidden * mask
        return self._attend(graph, hidden @ own.weight2, own.source2, own.target2, generators) + own.bias2

    def _attend(
        self,
        graph: SparseGraph,
        values: Tensor,
        source: Tensor,
        target: Tensor,
        generators: Sequence[torch.Generator] | None,
    ) -> Tensor:
        """Return (R, N, heads * width) from values of that shape and attention vectors (R, heads, width)."""
        runs, nodes, _ = values.shape
        heads = source.shape[1]
        channels = values.view(runs, nodes, heads, -1).transpose(1, 2).contiguous()  # (R, heads, N, width)
        scores = [
            (channels @ vector.unsqueeze(3)).squeeze(3).flatten(0, 1) for vector in (source, target)
        ]  # (R * heads, N)
        mask = self._masks((heads, len(graph.targets)), values, generators)
        mask = None if mask is None else mask.flatten(0, 1)
        result = _Attend.apply(channels.flatten(0, 1), *scores, mask, graph, self.slope)  # (R * heads, N, width)
        return result.view(runs, heads, nodes, -1).transpose(1, 2).reshape(runs, nodes, -1)
