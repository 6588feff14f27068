"""Scalable batch norm: torch's batch statistics, one scale, folded into the last layer at test time."""

from __future__ import annotations

import copy
import math
import pickle
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.autograd import gradcheck, gradgradcheck
from torch.nn import functional as F

from companion import ScalableBatchNorm, scalable_batch_norm


def rows(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    return 3 + 2 * torch.randn(*shape, dtype=dtype, generator=torch.Generator().manual_seed(seed))


def test_formula_with_the_biased_variance():
    z, scale, eps = rows(6, 3), 0.8, 1e-3
    columns = []
    for column in z.T.tolist():
        mean = sum(column) / 6
        variance = sum((x - mean) ** 2 for x in column) / 6
        columns.append([scale * (x - mean) / math.sqrt(variance + eps) for x in column])
    expected = torch.tensor(columns, dtype=torch.float64).T
    torch.testing.assert_close(scalable_batch_norm(z, scale, eps=eps), expected)


@pytest.mark.parametrize("shape", [(6, 3), (4, 3, 5), (2, 3, 4, 2)])
def test_torch_batch_norm_is_the_case_of_scale_one(shape):
    reference = {2: nn.BatchNorm1d, 3: nn.BatchNorm1d, 4: nn.BatchNorm2d}[len(shape)](3, affine=False, momentum=0.3)
    ours = ScalableBatchNorm(3, momentum=0.3)
    reference.double()
    ours.double()
    for seed in range(3):
        z = rows(*shape, seed=seed)
        torch.testing.assert_close(ours(z), reference(z))
    torch.testing.assert_close(ours.running_mean, reference.running_mean)
    torch.testing.assert_close(ours.running_var, reference.running_var)
    torch.testing.assert_close(ours.eval()(z), reference.eval()(z))


def test_scale_multiplies_and_root_mean_square_length_is_scale_times_root_c():
    z = rows(16, 4)
    result = scalable_batch_norm(z, 0.9, eps=0.0)
    torch.testing.assert_close(result, 0.9 * scalable_batch_norm(z, eps=0.0))
    assert result.square().sum(1).mean().sqrt().item() == pytest.approx(0.9 * math.sqrt(4))
    assert result.mean(0).abs().max() < 1e-14


def test_gradient_has_no_part_along_shift_and_scale_of_a_column():
    z = rows(8, 3).requires_grad_()
    F.cross_entropy(scalable_batch_norm(z, 0.9, eps=0.0), torch.arange(8) % 3).backward()
    centred = (z - z.mean(0)).detach()
    assert z.grad.abs().max() > 1e-3
    assert z.grad.sum(0).abs().max() < 1e-15
    assert (z.grad * centred).sum(0).abs().max() < 1e-14


def test_samuelson_bound():
    one_hot = torch.zeros(128, 1, dtype=torch.float64)
    one_hot[0] = 1
    assert scalable_batch_norm(one_hot, eps=0.0).max().item() == pytest.approx(math.sqrt(127))  # 11.27


def test_running_statistics_move_in_place_by_momentum():
    z = rows(5, 2)
    mean, var = torch.tensor([1.0, 2.0], dtype=torch.float64), torch.tensor([3.0, 4.0], dtype=torch.float64)
    expected = 0.75 * mean + 0.25 * z.mean(0), 0.75 * var + 0.25 * z.var(0, correction=1)
    scalable_batch_norm(z, running_mean=mean, running_var=var, momentum=0.25)
    torch.testing.assert_close((mean, var), expected)
    assert not mean.requires_grad
    scalable_batch_norm(z, running_mean=mean, running_var=var, momentum=0)
    torch.testing.assert_close((mean, var), expected)


def test_running_statistics_keep_no_graph():
    norm, z = ScalableBatchNorm(3).double(), rows(5, 3).requires_grad_()
    for _ in range(2):
        norm(z).sum().backward()  # a second backward would fail if the statistics held the first graph
    assert norm.running_mean.grad_fn is None
    assert norm.running_var.grad_fn is None


def test_evaluation_uses_the_running_statistics_and_changes_nothing():
    norm = ScalableBatchNorm(2, scale=0.5, eps=1.0)
    norm.running_mean.copy_(torch.tensor([1.0, 2.0]))
    norm.running_var.copy_(torch.tensor([3.0, 8.0]))
    before = {name: value.clone() for name, value in norm.state_dict().items()}
    norm.eval()
    torch.testing.assert_close(norm(torch.tensor([[5.0, 5.0]])), torch.tensor([[1.0, 0.5]]))
    torch.testing.assert_close(norm(torch.tensor([5.0, 5.0])), torch.tensor([1.0, 0.5]))  # one row without batch axis
    assert all(torch.equal(value, before[name]) for name, value in norm.state_dict().items())


@pytest.mark.parametrize("bias", [True, False])
def test_folded_linear_layer_is_equal(bias):
    linear, norm = nn.Linear(4, 3, bias=bias).double(), ScalableBatchNorm(3, scale=0.7).double()
    x = rows(10, 4)
    norm(linear(x))
    norm.eval()
    weight = linear.weight.detach().clone()
    folded = norm.fold_into(linear)
    torch.testing.assert_close(folded(x), norm(linear(x)))
    assert folded is not linear
    assert folded.bias is not None
    assert torch.equal(linear.weight, weight)
    assert folded.weight.requires_grad
    assert folded.weight.is_leaf


def test_rows_of_the_last_layer_are_free_of_scale():
    x, weight = rows(10, 4), rows(3, 4, seed=1)
    torch.testing.assert_close(
        scalable_batch_norm(x @ (10 * weight).T, eps=0.0), scalable_batch_norm(x @ weight.T, eps=0.0)
    )


def test_empty_batch_leaves_statistics_untouched():
    norm = ScalableBatchNorm(3)
    assert norm(torch.zeros(0, 3)).shape == (0, 3)
    assert torch.equal(norm.running_mean, torch.zeros(3))
    assert torch.equal(norm.running_var, torch.ones(3))


@pytest.mark.parametrize("value", [0.0, 1e4, -1e4])
def test_equal_logits_give_zero(value):
    z = torch.full((4, 3), value, requires_grad=True)
    result = scalable_batch_norm(z)
    (result * torch.arange(12.0).reshape(4, 3)).sum().backward()
    assert torch.equal(result, torch.zeros(4, 3))
    assert z.grad.isfinite().all()


def test_extreme_logits_are_standardised():
    z = torch.tensor([[1e4, -1e4], [-1e4, 1e4]], requires_grad=True)
    result = scalable_batch_norm(z)
    result[0, 0].backward()
    torch.testing.assert_close(result, torch.tensor([[1.0, -1.0], [-1.0, 1.0]]))
    assert z.grad.isfinite().all()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_types_compute_in_float32(dtype):
    z = (1000 * rows(32, 3)).to(dtype)
    norm = ScalableBatchNorm(3)
    result = norm(z)
    assert result.dtype == dtype
    assert norm.running_var.dtype == torch.float32
    torch.testing.assert_close(result, scalable_batch_norm(z.float()).to(dtype))
    assert norm.eval()(z).dtype == dtype


def test_nan_stays_in_its_class():
    z = rows(4, 2)
    z[0, 0] = float("nan")
    result = scalable_batch_norm(z)
    assert result[:, 0].isnan().all()
    assert result[:, 1].isfinite().all()


def test_autocast_leaves_float32_alone():
    z = rows(6, 3, dtype=torch.float32)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = scalable_batch_norm(z)
    assert torch.equal(inside, scalable_batch_norm(z))


def test_gradcheck():
    z, mean, var = rows(5, 3).requires_grad_(), torch.zeros(3).double(), torch.ones(3).double()
    options = {"running_mean": mean, "running_var": var, "training": False}
    assert gradcheck(lambda t: scalable_batch_norm(t, 0.8), z)
    assert gradgradcheck(lambda t: scalable_batch_norm(t, 0.8), z)
    assert gradcheck(lambda t: scalable_batch_norm(t, 0.8, **options), z)
    assert gradgradcheck(lambda t: scalable_batch_norm(t, 0.8, **options), z)


def test_captured_as_one_graph():
    ours, reference = ScalableBatchNorm(3).double(), ScalableBatchNorm(3).double()
    compiled = torch.compile(ours, fullgraph=True, backend="aot_eager")
    for z in (rows(5, 3), rows(5, 3, seed=1)):
        torch.testing.assert_close(compiled(z), reference(z))
    torch.testing.assert_close(ours.running_var, reference.running_var)


def test_scale_as_a_tensor_is_detached():
    scale = torch.tensor(0.5, dtype=torch.float64, requires_grad=True)
    z = rows(5, 3).requires_grad_()
    result = ScalableBatchNorm(3, scale=scale)(z)
    torch.testing.assert_close(result, scalable_batch_norm(z, 0.5))
    result.square().sum().backward()
    assert scale.grad is None


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"logits": [1.0]}, TypeError, "logits must be a tensor, got list"),
        ({"logits": torch.zeros(2, 0)}, ValueError, "logits must have at least one class"),
        ({"scale": 0}, ValueError, "scale must be > 0 and finite, got 0"),
        ({"scale": float("inf")}, ValueError, "scale must be > 0 and finite, got inf"),
        ({"momentum": 1.5}, ValueError, r"momentum must be >= 0 and <= 1 and finite, got 1\.5"),
        ({"eps": -1e-9}, ValueError, "eps must be >= 0 and finite, got -1e-09"),
        ({"logits": torch.zeros(1, 3)}, ValueError, r"training needs more than one value per class.*\(1, 3\)"),
        ({"logits": torch.zeros(3)}, ValueError, r"training needs more than one value per class.*\(3,\)"),
        ({"training": False}, ValueError, "training=False needs running_mean and running_var, got None"),
        ({"running_mean": torch.zeros(3)}, ValueError, "running_mean and running_var must be given together"),
        (
            {"running_mean": torch.zeros(3), "running_var": torch.ones(2)},
            ValueError,
            r"running_var must have shape \(3,\), got \(2,\)",
        ),
    ],
)
def test_errors(arguments, error, message):
    arguments = {"logits": torch.zeros(4, 3), **arguments}
    with pytest.raises(error, match=message):
        scalable_batch_norm(**arguments)


def test_module_errors_and_repr():
    with pytest.raises(ValueError, match="num_classes must be >= 1, got 0"):
        ScalableBatchNorm(0)
    with pytest.raises(TypeError, match=r"num_classes must be an integer, got 2\.5 of type float"):
        ScalableBatchNorm(2.5)
    with pytest.raises(ValueError, match="scale must be > 0"):
        ScalableBatchNorm(2, scale=-1)
    with pytest.raises(ValueError, match=r"running_mean must have shape \(2,\), got \(3,\)"):
        ScalableBatchNorm(3)(torch.zeros(4, 2))
    with pytest.raises(TypeError, match=r"linear must be a torch\.nn\.Linear, got Conv2d"):
        ScalableBatchNorm(3).fold_into(nn.Conv2d(1, 3, 1))
    with pytest.raises(ValueError, match="linear must have 3 outputs, got 4"):
        ScalableBatchNorm(3).fold_into(nn.Linear(2, 4))
    assert repr(ScalableBatchNorm(3, 0.5)) == "ScalableBatchNorm(3, scale=0.5, eps=1e-05, momentum=0.1)"


# Torch's own tools ------------------------------------------------------------------------------------------------


def network(norm: nn.Module) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), norm).double()


def test_update_bn_measures_the_running_statistics_anew():
    batches = [5 + 3 * rows(32, 3, seed=seed) for seed in range(20)]
    ours, theirs = network(ScalableBatchNorm(4, 0.7, momentum=0.3)), network(nn.BatchNorm1d(4, affine=False))
    ours(batches[0])  # to be forgotten
    for model in (ours, theirs):
        torch.optim.swa_utils.update_bn(batches, model)
    for name in ("running_mean", "running_var", "num_batches_tracked"):
        torch.testing.assert_close(getattr(ours[1], name), getattr(theirs[1], name))
    outputs = torch.stack([ours[0](batch) for batch in batches]).detach()
    torch.testing.assert_close(ours[1].running_mean, outputs.mean((0, 1)))
    torch.testing.assert_close(ours[1].running_var, outputs.var(1).mean(0))
    assert ours[1].momentum == 0.3


def test_without_momentum_the_running_statistics_are_the_average_of_all_batches():
    norm, batches = ScalableBatchNorm(3, momentum=None).double(), [rows(5, 3, seed=seed) for seed in range(4)]
    for batch in batches:
        norm(batch)
        norm(batch[:0])  # an empty batch is none
    torch.testing.assert_close(norm.running_mean, torch.stack(batches).mean((0, 1)))
    torch.testing.assert_close(norm.running_var, torch.stack(batches).var(1).mean(0))
    assert norm.num_batches_tracked == 4
    assert repr(norm) == "ScalableBatchNorm(3, scale=1, eps=1e-05, momentum=None)"


@pytest.mark.parametrize("scale", [0.7, torch.tensor(0.7)])
def test_conversion_to_synchronised_batch_norm_keeps_the_scale(scale):
    model = network(ScalableBatchNorm(4, scale, eps=1e-3, momentum=0.3))
    for seed in range(3):
        model(rows(6, 3, seed=seed))
    expected = model.eval()(rows(6, 3, seed=5))
    assert not list(model[1].parameters())  # nothing for an optimiser
    converted = nn.SyncBatchNorm.convert_sync_batchnorm(model)
    assert isinstance(converted[1], nn.SyncBatchNorm)
    assert (converted[1].eps, converted[1].momentum) == (1e-3, 0.3)
    assert not any(parameter.requires_grad for parameter in converted[1].parameters())
    torch.testing.assert_close(converted(rows(6, 3, seed=5)), expected)


def test_fusion_into_the_linear_layer_by_torch_is_ours():
    model = network(ScalableBatchNorm(4, 0.7))
    model(rows(6, 3))
    model.eval()
    fused, folded = nn.utils.fuse_linear_bn_eval(*model), model[1].fold_into(model[0])
    torch.testing.assert_close(fused.weight, folded.weight)
    torch.testing.assert_close(fused.bias, folded.bias)


def test_is_a_copy_of_itself_when_copied_pickled_or_loaded():
    norm = ScalableBatchNorm(3, 0.7).double()
    norm(rows(6, 3))
    loaded = ScalableBatchNorm(3, 0.7).double()
    loaded.load_state_dict(norm.state_dict())
    for other in (copy.deepcopy(norm), pickle.loads(pickle.dumps(norm)), loaded):
        torch.testing.assert_close(other.eval()(rows(6, 3)), norm.eval()(rows(6, 3)), rtol=0, atol=0)
        assert other.num_batches_tracked == 1
    assert list(norm.state_dict()) == ["running_mean", "running_var", "num_batches_tracked"]
    with pytest.raises(AttributeError, match="no attribute 'shift'"):
        _ = norm.shift


def test_without_running_statistics_those_of_the_batch_are_used_in_evaluation_too():
    model = torch.func.replace_all_batch_norm_modules_(nn.Sequential(nn.BatchNorm1d(3), ScalableBatchNorm(3)))
    norm = model[1].eval()
    norm.running_mean = norm.running_var = norm.num_batches_tracked = None
    torch.testing.assert_close(norm(rows(6, 3)), scalable_batch_norm(rows(6, 3)))


def test_running_statistics_of_another_dtype_take_part():
    z = rows(6, 3)
    norm = ScalableBatchNorm(3)  # float32
    torch.testing.assert_close(norm(z), scalable_batch_norm(z))
    torch.testing.assert_close(norm.running_mean, (0.1 * z.mean(0)).float())
    assert norm.eval()(z).dtype == torch.float64


@pytest.mark.parametrize("shape", [(6, 3), (4, 3, 5)], ids=str)
def test_torchs_kernel_and_the_way_with_masks_are_one_function(shape):
    z, seed = rows(*shape), rows(*shape, seed=1)
    results = []
    for eps in (1e-3, torch.tensor(1e-3, dtype=torch.float64)):  # torch's kernel takes numbers only
        own, mean, var = z.clone().requires_grad_(), torch.zeros(3).double(), torch.ones(3).double()
        result = scalable_batch_norm(own, 0.8, running_mean=mean, running_var=var, eps=eps)
        (gradient,) = torch.autograd.grad((result * seed).sum(), own)
        results.append((result.detach(), gradient, mean, var))
    torch.testing.assert_close(*results)
    assert results[0][1].abs().max() > 1e-2


def test_far_from_zero_no_digits_are_lost():
    z = (1e4 + torch.randn(64, 5, generator=torch.Generator().manual_seed(0))).requires_grad_()
    exact = scalable_batch_norm(z.detach().double())
    torch.testing.assert_close(scalable_batch_norm(z).double(), exact, rtol=0, atol=2e-3)  # of z's own rounding, 5e-4


PROCESSES = """
import multiprocessing, sys, warnings
import torch
torch.set_num_threads(1)
from companion import ScalableBatchNorm

def work(rank, folder):
    torch.distributed.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    data = torch.load(f"{folder}/data.pt", weights_only=True)
    own = slice(0, 2) if rank == 0 else slice(2, 7)  # uneven on purpose
    norm = ScalableBatchNorm(3, scale=0.8, synchronised=True).double()
    z = data["z"][own].clone().requires_grad_()
    result = norm(z)
    (result * data["seed"][own]).sum().backward()
    norm(data["z"][:0] if rank == 0 else data["z"])  # one process without data must not leave the other waiting
    answer = {"result": result.detach(), "gradient": z.grad, **norm.state_dict()}
    torch.save(answer, f"{folder}/answer{rank}.pt")
    torch.distributed.destroy_process_group()

if __name__ == "__main__":
    fork = multiprocessing.get_context("fork")
    processes = [fork.Process(target=work, args=(rank, sys.argv[1])) for rank in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    sys.exit(max(abs(process.exitcode) for process in processes))
"""


def test_synchronised_processes_are_one_batch(tmp_path: Path):
    z, seed = rows(7, 3), rows(7, 3, seed=1)
    torch.save({"z": z, "seed": seed}, tmp_path / "data.pt")
    subprocess.run([sys.executable, "-c", PROCESSES, tmp_path], check=True, timeout=500)
    answers = [torch.load(tmp_path / f"answer{rank}.pt", weights_only=True) for rank in range(2)]

    norm = ScalableBatchNorm(3, scale=0.8).double()
    whole = z.clone().requires_grad_()
    expected = norm(whole)
    (expected * seed).sum().backward()
    norm(z)
    torch.testing.assert_close(torch.cat([a["result"] for a in answers]), expected.detach())
    torch.testing.assert_close(torch.cat([a["gradient"] for a in answers]), whole.grad)
    for answer in answers:
        torch.testing.assert_close(answer["running_mean"], norm.running_mean)
        torch.testing.assert_close(answer["running_var"], norm.running_var)


def test_synchronised_without_processes_is_the_plain_module():
    z = rows(5, 3)
    torch.testing.assert_close(ScalableBatchNorm(3, synchronised=True)(z), ScalableBatchNorm(3)(z))
