"""Clipping of parameter gradients: unit by unit (AGC), or all together (GC)."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel

from companion import adaptive_clip_grad_, clip_by_norm_


def parameter(*shape: int, seed: int = 0, size: float = 1.0, dtype: torch.dtype = torch.float64) -> nn.Parameter:
    generator = torch.Generator().manual_seed(seed)
    weight = nn.Parameter(torch.randn(shape, dtype=torch.float64, generator=generator).to(dtype))
    weight.grad = (size * torch.randn(shape, dtype=torch.float64, generator=generator)).to(dtype)
    return weight


class TestAdaptive:
    @pytest.mark.parametrize("shape", [(8, 3), (8, 3, 2, 2)])
    def test_formula_row_by_row(self, shape):
        weight = parameter(*shape)
        weight.data[0] = 1e-5  # its length counts as eps
        before, rows = weight.grad.clone().reshape(8, -1).tolist(), weight.detach().reshape(8, -1).tolist()
        adaptive_clip_grad_([weight], clipping=1.0, eps=1e-2)
        clipped = 0
        for w, g, result in zip(rows, before, weight.grad.reshape(8, -1).tolist(), strict=True):
            allowed = max(math.hypot(*w), 1e-2)
            factor = min(1, allowed / math.hypot(*g))
            clipped += factor < 1
            assert result == pytest.approx([factor * x for x in g], rel=1e-12)
        assert 1 < clipped < 8

    @pytest.mark.parametrize("shape", [(5,), ()])
    def test_a_vector_is_one_unit(self, shape):
        bias = parameter(*shape, size=10)
        expected = bias.grad * (0.01 * bias.detach().norm() / bias.grad.norm())
        adaptive_clip_grad_([bias])
        torch.testing.assert_close(bias.grad, expected)

    def test_defaults(self):
        weight = nn.Parameter(torch.zeros(1, 2))
        weight.grad = torch.tensor([[3.0, 4.0]])
        adaptive_clip_grad_([weight])
        torch.testing.assert_close(weight.grad, torch.tensor([[0.6e-5, 0.8e-5]]))  # 0.01 · 1e-3

    def test_head_is_left_out_by_name_only(self):
        model = nn.ModuleDict({"body": nn.Linear(2, 2), "head": nn.Linear(2, 2), "fc": nn.Linear(2, 2)})
        for p in model.parameters():
            p.grad = torch.full_like(p, 100.0)
        adaptive_clip_grad_(model.named_parameters())
        kept = {name for name, p in model.named_parameters() if (p.grad == 100).all()}
        assert kept == {"head.weight", "head.bias", "fc.weight", "fc.bias"}
        adaptive_clip_grad_(model.parameters())
        assert not any((p.grad == 100).all() for p in model.parameters())

    def test_exclude_by_tensor_and_by_pattern(self):
        model = nn.ModuleDict({"body": nn.Linear(2, 2), "head": nn.Linear(2, 2)})

        def kept(parameters, exclude):
            for p in model.parameters():
                p.grad = torch.full_like(p, 100.0)
            adaptive_clip_grad_(parameters, exclude=exclude)
            return [name for name, p in model.named_parameters() if (p.grad == 100).all()]

        assert kept(model.parameters(), [model["body"].weight]) == ["body.weight"]
        assert kept(model.named_parameters(), ["*.bias", model["head"].weight]) == [
            "body.bias",
            "head.weight",
            "head.bias",
        ]
        assert kept(model.named_parameters(), ()) == []
        with pytest.raises(
            ValueError, match=r"exclude holds name patterns \['head\.\*'\], which need \(name, tensor\)"
        ):
            kept(model.parameters(), ["head.*"])

    def test_one_tensor_alone_and_those_without_gradient(self):
        weight, frozen = parameter(4, 3, size=100), nn.Parameter(torch.ones(2, 2))
        adaptive_clip_grad_(weight)
        assert weight.grad.norm() < 1
        adaptive_clip_grad_([frozen])
        assert frozen.grad is None

    @pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
    def test_sizes_and_types(self, dtype):
        weight = parameter(2, 100, size=1e4, dtype=dtype)
        weight.data.fill_(1.0)
        adaptive_clip_grad_([weight], clipping=0.5)
        assert weight.grad.dtype == dtype
        torch.testing.assert_close(weight.grad.float().norm(dim=1), torch.tensor([5.0, 5.0]), rtol=5e-3, atol=0)

    def test_zero_and_huge_gradients(self):
        weight = nn.Parameter(torch.ones(2, 2, dtype=torch.float64))
        weight.grad = torch.tensor([[0.0, 0.0], [3e200, 4e200]], dtype=torch.float64)
        adaptive_clip_grad_([weight], clipping=1.0)
        root = math.sqrt(2)
        torch.testing.assert_close(
            weight.grad, torch.tensor([[0.0, 0.0], [0.6 * root, 0.8 * root]], dtype=torch.float64)
        )

    def test_nan_stays_visible(self):
        weight = parameter(2, 2)
        weight.grad[0, 0] = float("nan")
        adaptive_clip_grad_([weight])
        assert weight.grad[0].isnan().any()
        assert weight.grad[1].isfinite().all()

    def test_errors(self):
        for arguments, error, message in [
            ({"clipping": 0}, ValueError, "clipping must be > 0 and finite, got 0"),
            ({"eps": -1.0}, ValueError, "eps must be >= 0 and finite, got -1"),
            ({"clipping": "1"}, TypeError, "clipping must be a number"),
        ]:
            with pytest.raises(error, match=message):
                adaptive_clip_grad_([parameter(2, 2)], **arguments)


class TestByNorm:
    def test_equals_torch(self):
        ours, theirs = ([parameter(4, 3), parameter(3, seed=1)] for _ in range(2))
        for limit in (1.0, 100.0):
            length = clip_by_norm_(ours, limit)
            expected = nn.utils.clip_grad_norm_(theirs, limit)
            torch.testing.assert_close(length, expected, rtol=1e-5, atol=0)  # torch adds 1e-6 to the length
            for a, b in zip(ours, theirs, strict=True):
                torch.testing.assert_close(a.grad, b.grad, rtol=1e-5, atol=0)

    def test_pairs_exclusion_and_none(self):
        model = nn.ModuleDict({"body": nn.Linear(2, 2, bias=False), "fc": nn.Linear(2, 2, bias=False)})
        for p in model.parameters():
            p.grad = torch.full_like(p, 2.0)
        assert clip_by_norm_(model.named_parameters(), 2.0, exclude=["fc.*"]).item() == 4
        assert torch.equal(model["body"].weight.grad, torch.ones(2, 2))
        assert torch.equal(model["fc"].weight.grad, torch.full((2, 2), 2.0))
        assert clip_by_norm_([nn.Parameter(torch.ones(2))]).item() == 0

    def test_huge_half_and_wrong(self):
        weight = parameter(100, size=1e4, dtype=torch.float16)
        assert clip_by_norm_([weight], 1.0).item() > 65504  # no float16 could hold it
        assert weight.grad.float().norm().item() == pytest.approx(1, rel=1e-2)
        with pytest.raises(ValueError, match="max_norm must be > 0"):
            clip_by_norm_([weight], 0.0)

    def test_nothing_to_clip_has_length_zero_on_any_default_device(self):
        with torch.device("meta"):
            assert clip_by_norm_([]).item() == 0


clippers = pytest.mark.parametrize("clip", [adaptive_clip_grad_, clip_by_norm_])


@clippers
@pytest.mark.parametrize(
    ("indices", "values", "shape"),
    [
        ([[3, 1, 3]], [[3.0, 0.0], [30.0, 40.0], [0.0, 4.0]], (5, 2)),  # an embedding: row 3 came twice
        ([[1, 0, 1], [1, 0, 1]], [4.0, 5.0, 6.0], (2, 2)),  # single entries
        ([[2, 2, 0]], [4.0, 5.0, 6.0], (4,)),  # of a vector, which is one unit
        ([[2]], [[0.0, 0.0]], (3, 2)),
        ([[]], [], (4,)),
    ],
)
def test_a_sparse_gradient_is_clipped_as_the_dense_one(clip, indices, values, shape):
    tails = shape[len(indices) :]
    values = torch.tensor(values, dtype=torch.float64).reshape(-1, *tails)
    gradient = torch.sparse_coo_tensor(torch.tensor(indices, dtype=torch.int64), values, shape, check_invariants=True)
    weights = [parameter(*shape) for _ in range(2)]
    weights[0].grad, weights[1].grad = gradient.to_dense(), gradient
    lengths = [clip([weight, parameter(3, 2, seed=1)], 1.0) for weight in weights]
    assert lengths[0] is None or torch.equal(*lengths)
    assert weights[1].grad.is_sparse
    torch.testing.assert_close(weights[1].grad.to_dense(), weights[0].grad, rtol=1e-15, atol=0)
    assert torch.equal(weights[0].grad, gradient.to_dense()) != values.any()  # all but the zeros were too long


@clippers
def test_an_embeddings_own_sparse_gradient(clip):
    gradients = {}
    for sparse in (True, False):
        torch.manual_seed(0)
        embedding = nn.Embedding(10, 4, sparse=sparse)
        (3 * embedding(torch.tensor([1, 2, 2]))).square().sum().backward()
        clip(embedding.parameters())
        gradients[sparse] = embedding.weight.grad.to_dense() if sparse else embedding.weight.grad
    torch.testing.assert_close(gradients[True], gradients[False])


@clippers
def test_names_are_matched_under_wrappers(clip):
    net = nn.ModuleDict({"body": nn.Linear(2, 2), "fc": nn.Linear(2, 2)})
    compiled = torch.compile(net, backend="eager")
    averaged = AveragedModel(net)
    for model in (net, compiled, nn.DataParallel(net), nn.DataParallel(compiled), averaged):
        for p in model.parameters():
            p.grad = torch.full_like(p, 100.0)
        clip(model.named_parameters(), exclude=["fc.*"])
        kept = [name for name, p in model.named_parameters() if (p.grad == 100).all()]
        assert [name.rpartition("fc.")[2] for name in kept] == ["weight", "bias"]
        name = kept[0]
        clip(model.named_parameters(), exclude=[name])  # the name as it stands
        assert (model.get_parameter(name).grad == 100).all()


@clippers
def test_one_pattern_or_tensor_needs_no_list(clip):
    model = nn.ModuleDict({"body": nn.Linear(2, 2, bias=False), "other": nn.Linear(2, 2, bias=False)})
    for exclude in ("other.*", model["other"].weight):
        for p in model.parameters():
            p.grad = torch.full_like(p, 100.0)
        clip(model.named_parameters(), exclude=exclude)
        assert [bool((p.grad == 100).all()) for p in model.parameters()] == [False, True]
