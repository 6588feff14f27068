"""Heads by angle: additive margin softmax, and fixed, evenly distributed class centroids."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.autograd import gradcheck
from torch.nn import functional as F

from companion import AMSoftmaxHead, PEDCCHead, evenly_distributed_centroids

heads = pytest.mark.parametrize("make", [AMSoftmaxHead, PEDCCHead])


def rows(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def cosine(a: list[float], b: list[float]) -> float:
    dot = sum(x * y for x, y in zip(a, b, strict=True))
    return dot / math.sqrt(sum(x * x for x in a) * sum(y * y for y in b))


@heads
def test_formula(make):
    head = make(4, 3, scale=7.0, margin=0.3).double()
    x, y = rows(5, 4), torch.tensor([0, 1, 2, 1, -100])
    directions = (head.weight if make is AMSoftmaxHead else head.centroids).tolist()
    for i, result in enumerate(head(x, y).tolist()):
        expected = [7 * (cosine(x[i].tolist(), w) - 0.3 * (c == y[i].item())) for c, w in enumerate(directions)]
        assert result == pytest.approx(expected, rel=1e-14, abs=1e-14)  # a margin in float32 is off by 1e-8


@heads
def test_no_margin_without_target(make):
    head = make(4, 3, scale=7.0, margin=0.3).double()
    x, y = rows(2, 4), torch.tensor([0, 2])
    difference = head(x) - head(x, y)
    torch.testing.assert_close(difference, 2.1 * F.one_hot(y, 3).double())


@heads
def test_lengths_of_features_do_not_count(make):
    head, x = make(4, 3).double(), rows(2, 4)
    torch.testing.assert_close(head(x), head(1e150 * x))
    assert head(x).abs().max() <= head.scale * (1 + 1e-6)


def test_weight_lengths_do_not_count_either():
    head, x = AMSoftmaxHead(4, 3).double(), rows(2, 4)
    before = head(x)
    head.weight.data *= 10
    torch.testing.assert_close(head(x), before)


def test_what_is_trained():
    assert [name for name, _ in AMSoftmaxHead(4, 3).named_parameters()] == ["weight"]
    assert list(PEDCCHead(4, 3).parameters()) == []
    assert list(PEDCCHead(4, 3).state_dict()) == ["centroids"]
    assert AMSoftmaxHead(4, 3).weight.shape == PEDCCHead(4, 3).centroids.shape == (3, 4)


def test_defaults_are_the_papers():
    assert (AMSoftmaxHead(4, 3).scale, AMSoftmaxHead(4, 3).margin) == (30, 0.35)
    assert (PEDCCHead(4, 3).scale, PEDCCHead(4, 3).margin) == (15, 0.5)


@heads
def test_gradcheck(make):
    head, x, y = make(4, 3).double(), rows(3, 4).requires_grad_(), torch.tensor([0, 1, 2])
    assert gradcheck(lambda features: head(features, y), x)
    if make is AMSoftmaxHead:
        assert gradcheck(lambda w: torch.func.functional_call(head, {"weight": w}, (x.detach(), y)), head.weight)
    else:
        assert gradcheck(lambda features: head.loss(features, y), x)


@heads
@pytest.mark.parametrize("value", [0.0, 1e4, -1e4])
def test_equal_features_give_finite_value_and_gradient(make, value):
    head, x = make(4, 3), torch.full((2, 4), value, requires_grad=True)
    loss = F.cross_entropy(head(x, torch.tensor([0, 1])), torch.tensor([0, 1]))
    loss.backward()
    assert loss.isfinite()
    assert x.grad.isfinite().all()


@heads
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_types_compute_in_float32(make, dtype):
    head = make(100, 3)
    x = (1e4 * rows(2, 100)).clamp(-6e4, 6e4).to(dtype)
    result = head(x)
    assert result.dtype == dtype
    torch.testing.assert_close(result, head(x.float()).to(dtype))
    assert head.to(dtype)(x).dtype == dtype


@heads
def test_autocast_leaves_the_cosines_in_float32(make):
    head, x = make(64, 3), rows(5, 64).float()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = head(x)
    assert inside.dtype == torch.float32
    assert torch.equal(inside, head(x))


@heads
def test_captured_as_one_graph(make):
    head, x, y = make(4, 3), rows(5, 4).float(), torch.tensor([0, 1, 2, 0, 1])
    compiled = torch.compile(head, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(x, y), head(x, y))
    torch.testing.assert_close(compiled(x), head(x))


@heads
@pytest.mark.parametrize(
    "dtype",
    [torch.int8, torch.int16, torch.int32, torch.uint8, torch.uint16, torch.uint32, torch.uint64],
)
def test_every_integer_type_of_labels(make, dtype):
    head, x, y = make(200, 200), rows(6, 200).float(), torch.tensor([0, 1, 44, 100, 127, 3])  # 156 = −100 modulo 256
    y = y if dtype is torch.int8 else torch.where(y == 127, 156, y)
    calls = (head, head.distance, head.loss) if make is PEDCCHead else (head,)
    for call in calls:
        assert torch.equal(call(x, y.to(dtype)), call(x, y))
    if dtype.is_signed:
        y[0] = -100
        for call in calls:
            assert torch.equal(call(x, y.to(dtype)), call(x, y))


@heads
def test_sizes_and_seeds_of_other_libraries(make):
    head = make(np.int64(4), 3.0, np.float32(2.0), np.float64(0.25))
    assert (head.in_features, head.num_classes, head.scale, head.margin) == (4, 3, 2.0, 0.25)
    assert torch.equal(PEDCCHead(4, 3, seed=np.int64(5)).centroids, PEDCCHead(4, 3, seed=5).centroids)


@heads
def test_default_device(make):
    with torch.device("meta"):
        head = make(2, 5)
        assert {tensor.device.type for tensor in head.state_dict().values()} == {"meta"}
        logits = head(torch.ones(3, 2), torch.zeros(3, dtype=torch.int64))
        centroids = evenly_distributed_centroids(5, 2)
    assert (logits.device.type, logits.shape) == ("meta", (3, 5))
    assert torch.equal(centroids, evenly_distributed_centroids(5, 2))  # on the CPU, as stated


@pytest.mark.parametrize(("num_classes", "dim"), [(5, 2), (3, 4)])
def test_centroids_found_in_inference_mode_can_be_trained_with(num_classes, dim):
    with torch.inference_mode():
        head = PEDCCHead(dim, num_classes)
    assert torch.equal(head.centroids, PEDCCHead(dim, num_classes).centroids)
    x = torch.ones(2, dim, requires_grad=True)
    head.loss(x, torch.tensor([0, 1])).backward()
    assert x.grad.isfinite().all()


@heads
def test_empty_batch(make):
    assert make(4, 3)(torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64)).shape == (0, 3)


def test_pedcc_loss_is_cross_entropy_plus_distance():
    head, x, y = PEDCCHead(4, 3).double(), rows(5, 4), torch.tensor([0, 1, 2, 1, 0])
    distance = 0.0
    for row, label in zip(x, y, strict=True):
        distance += (row / row.norm() - head.centroids[label]).square().sum().item() / 5
    assert head.distance(x, y).item() == pytest.approx(distance, rel=1e-14)
    expected = F.cross_entropy(head(x, y), y).item() + 0.7 * distance
    assert head.loss(x, y, distance_weight=0.7).item() == pytest.approx(expected, rel=1e-14)
    assert head.loss(x, y).item() == pytest.approx(expected + 0.3 * distance, rel=1e-14)
    assert head.distance.on == "features"


def test_pedcc_distance_ignores_rows_and_is_zero_on_the_centroid():
    head = PEDCCHead(4, 3).double()
    x, y = rows(5, 4), torch.tensor([0, 1, -100, -100, 2])
    kept = y >= 0
    torch.testing.assert_close(head.distance(x, y), head.distance(x[kept], y[kept]))
    assert head.distance(3 * head.centroids, torch.arange(3)).item() < 1e-12


@pytest.mark.parametrize(("num_classes", "dim"), [(2, 1), (3, 2), (3, 3), (10, 9), (10, 64), (100, 128)])
def test_centroids_form_a_simplex_where_there_is_room(num_classes, dim):
    u = evenly_distributed_centroids(num_classes, dim).double()
    cosines = u @ u.T
    expected = torch.full_like(cosines, -1 / (num_classes - 1)).fill_diagonal_(1)
    torch.testing.assert_close(cosines, expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("num_classes", [5, 8])
def test_centroids_on_the_circle_are_a_regular_polygon(num_classes):
    u = evenly_distributed_centroids(num_classes, 2).double()
    angles = torch.atan2(u[:, 1], u[:, 0]).sort().values
    gaps = torch.diff(angles, append=angles[:1] + 2 * math.pi)
    torch.testing.assert_close(gaps, torch.full_like(gaps, 2 * math.pi / num_classes), rtol=0, atol=1e-4)


def test_centroids_without_room_are_pushed_apart():
    u = evenly_distributed_centroids(30, 8)
    random = F.normalize(torch.randn(30, 8, generator=torch.Generator().manual_seed(0)), dim=1)
    closest = [(v @ v.T - 2 * torch.eye(30)).max().item() for v in (u, random)]
    torch.testing.assert_close(u.norm(dim=1), torch.ones(30))
    assert closest[0] < closest[1] / 2


def test_centroids_of_one_class_and_on_a_line():
    assert evenly_distributed_centroids(1, 3).norm().item() == pytest.approx(1)
    assert evenly_distributed_centroids(5, 1).flatten().tolist() == [1, -1, 1, -1, 1]


def test_centroids_are_decided_by_the_seed_alone():
    torch.manual_seed(1)
    first = evenly_distributed_centroids(4, 6, seed=3)
    state = torch.get_rng_state()
    second = evenly_distributed_centroids(4, 6, seed=3)
    assert torch.equal(first, second)
    assert torch.equal(torch.get_rng_state(), state)
    assert not torch.allclose(first, evenly_distributed_centroids(4, 6, seed=4))


@heads
def test_errors(make):
    head = make(4, 3)
    x, y = torch.zeros(2, 4), torch.tensor([0, 1])
    cases = [
        ((torch.zeros(2, 5),), ValueError, r"features must have shape \(N, 4\), got \(2, 5\)"),
        ((torch.zeros(4),), ValueError, r"features must have shape \(N, 4\), got \(4,\)"),
        (([1.0],), TypeError, "features must be a tensor, got list"),
        ((x, torch.tensor([0.5, 0.5])), TypeError, "target must hold class indices"),
        ((x, torch.tensor([0])), ValueError, r"target must have shape \(2,\), got \(1,\)"),
        ((x, torch.tensor([0, 3])), ValueError, r"target must hold class indices in \[0, 3\).*got 3"),
        ((x, [0, 1]), TypeError, "target must be a tensor"),
    ]
    for arguments, error, message in cases:
        with pytest.raises(error, match=message):
            head(*arguments)
    for arguments, error, message in [
        ((0, 3), ValueError, "in_features must be >= 1, got 0"),
        ((4, 2.5), TypeError, r"num_classes must be an integer, got 2\.5"),
        ((4, 3, 0.0), ValueError, "scale must be > 0"),
        ((4, 3, 1.0, float("inf")), ValueError, "margin must be finite, got inf"),
    ]:
        with pytest.raises(error, match=message):
            make(*arguments)
    if make is PEDCCHead:
        with pytest.raises(ValueError, match="distance_weight must be >= 0"):
            head.loss(x, y, distance_weight=-1)
    assert isinstance(head, nn.Module)
    assert "margin=" in repr(head)


def test_centroid_errors():
    with pytest.raises(ValueError, match="num_classes must be >= 1, got 0"):
        evenly_distributed_centroids(0, 3)
    with pytest.raises(TypeError, match="dim must be an integer, got True"):
        evenly_distributed_centroids(3, True)
    with pytest.raises(TypeError, match=r"seed must be an integer, got 1\.5"):
        evenly_distributed_centroids(3, 2, seed=1.5)
