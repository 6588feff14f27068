"""Objective: every place of the training step, alone and together."""

from __future__ import annotations

import copy
import functools

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from companion import (
    AMSoftmaxHead,
    LengthStability,
    NormLoss,
    Objective,
    PartialNorm,
    PEDCCHead,
    PowerGradCrossEntropy,
    ScalableBatchNorm,
    TamedCrossEntropy,
    adaptive_clip_grad_,
    length_stability,
    logit_penalty,
    norm_loss,
    partial_norm,
)


def batch(rows: int = 6, classes: int = 3) -> tuple[torch.Tensor, torch.Tensor]:
    z = 2 * torch.randn(rows, classes, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    return z, torch.arange(rows) % classes


def test_empty_objective_is_cross_entropy():
    z, y = batch()
    terms = Objective()(z, y)
    assert list(terms) == ["criterion", "loss"]
    assert torch.equal(terms["loss"], F.cross_entropy(z, y))


def test_terms_are_unweighted_and_loss_is_their_weighted_sum():
    z, y = batch()
    objective = Objective(
        logit_transform=PartialNorm(1.0),
        penalties={"stability": (length_stability, 0.3), "size": (logit_penalty, 0.01)},
    )
    terms = objective(z, y)
    assert list(terms) == ["criterion", "stability", "size", "loss"]
    torch.testing.assert_close(terms["criterion"], F.cross_entropy(partial_norm(z, 1.0), y))
    torch.testing.assert_close(terms["stability"], length_stability(z))  # of the raw logits
    torch.testing.assert_close(terms["loss"], terms["criterion"] + 0.3 * terms["stability"] + 0.01 * terms["size"])


def test_gradient_reaches_the_logits_through_every_term():
    z, y = batch()
    z.requires_grad_()
    objective = Objective(
        logit_transform=PartialNorm(1e-3), criterion=F.cross_entropy, penalties={"stability": (length_stability, 0.5)}
    )
    terms = objective(z, y)
    terms["loss"].backward()
    radial = (z.grad * z).sum(1) / z.norm(dim=1)
    lengths = z.detach().norm(dim=1)
    expected = 0.5 * (lengths - lengths.mean()) / (6 * length_stability(z.detach()))
    torch.testing.assert_close(radial, expected)  # P-ON outside its ball leaves the radial part to the penalty


def test_weights_as_tensors_are_detached_and_train_together():
    z, y = batch()
    weights = torch.tensor([0.0, 0.5], dtype=torch.float64, requires_grad=True)

    def loss(weight):
        return Objective(penalties={"size": (logit_penalty, weight)})(z, y)["loss"]

    stacked = torch.func.vmap(loss)(weights)
    assert not stacked.requires_grad
    torch.testing.assert_close(stacked, F.cross_entropy(z, y) + weights.detach() * logit_penalty(z))


def test_head_makes_the_logits_and_knows_the_target():
    features, y = torch.randn(6, 4, generator=torch.Generator().manual_seed(0)), torch.arange(6) % 3
    head = AMSoftmaxHead(4, 3)
    terms = Objective(head=head)(None, y, features=features)
    torch.testing.assert_close(terms["loss"], F.cross_entropy(head(features, y), y))
    assert terms["loss"] > F.cross_entropy(head(features), y)


def test_pedcc_as_head_and_penalty_is_its_own_loss():
    features, y = torch.randn(6, 4, generator=torch.Generator().manual_seed(0)), torch.arange(6) % 3
    head = PEDCCHead(4, 3)
    objective = Objective(head=head, penalties={"distance": (head.distance, 0.7)})
    terms = objective(None, y, features=features)
    torch.testing.assert_close(terms["loss"], head.loss(features, y, distance_weight=0.7))


def test_penalty_on_the_model():
    z, y = batch()
    model = nn.Linear(3, 3).double()
    objective = Objective(penalties={"norm": (NormLoss(model), 0.1)})
    terms = objective(model(z), y, model=model)
    torch.testing.assert_close(terms["norm"], norm_loss(model.weight))
    terms["loss"].backward()
    assert model.weight.grad is not None


def test_a_whole_step_clips_before_and_decouples_after():
    z, y = batch()
    model = nn.Linear(3, 3).double()
    twin = nn.Linear(3, 3).double()
    twin.load_state_dict(model.state_dict())
    objective = Objective(
        clip=functools.partial(adaptive_clip_grad_, clipping=0.02, exclude=()),
        decoupled={"norm": (NormLoss(model), 0.5)},
    )
    optimiser, other = (torch.optim.SGD(m.parameters(), lr=0.1) for m in (model, twin))
    objective(model(z), y, model=model)["loss"].backward()
    objective.after_backward(model)
    optimiser.step()
    objective.after_step(model, 0.1)

    F.cross_entropy(twin(z), y).backward()
    adaptive_clip_grad_(twin.parameters(), clipping=0.02)
    other.step()
    length = twin.weight.detach().norm(dim=1, keepdim=True)
    expected = twin.weight.detach() - 0.1 * 0.5 * 2 * twin.weight.detach() * (1 - 1 / length)
    torch.testing.assert_close(model.weight.detach(), expected)
    torch.testing.assert_close(model.bias.detach(), twin.bias.detach())


def test_clip_sees_the_models_parameters_by_name():
    seen = []
    objective = Objective(head=AMSoftmaxHead(4, 3), clip=lambda pairs: seen.extend(name for name, _ in pairs))
    objective.after_backward(nn.Linear(3, 3))
    assert seen == ["weight", "bias"]


def test_without_clip_and_decoupled_terms_nothing_moves():
    model = nn.Linear(3, 3)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    model.weight.grad = torch.full((3, 3), 1e3)
    Objective().after_backward(model)
    Objective().after_step(model, 0.1)
    assert (model.weight.grad == 1e3).all()
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_modules_inside_are_reached():
    head, model = AMSoftmaxHead(4, 3), nn.Linear(4, 4)
    objective = Objective(
        head=head,
        logit_transform=ScalableBatchNorm(3),
        criterion=nn.CrossEntropyLoss(weight=torch.ones(3)),
        penalties={"norm": (NormLoss(model), 0.1)},
    )
    assert [p is head.weight for p in objective.parameters()] == [True]  # the model's own are not handed out twice
    assert {"head.weight", "logit_transform.running_mean", "criterion.weight"} <= set(objective.state_dict())
    objective.eval()
    assert not objective.logit_transform.training
    objective.double()
    assert head.weight.dtype == torch.float64
    assert "PartialNorm" in repr(Objective(logit_transform=PartialNorm(1.0)))
    assert "stability=0.1·length_stability" in repr(Objective(penalties={"stability": (length_stability, 0.1)}))


def test_weights_as_tensors_move_stack_and_are_saved_with_the_objective():
    objective = Objective(
        penalties={"stability": (LengthStability(), torch.tensor(0.3)), "size": (logit_penalty, 0.1)},
        decoupled={"norm": (NormLoss(nn.Linear(2, 2)), torch.tensor(0.5))},
    )
    assert len(objective.state_dict()) == 2
    objective.to("meta")
    assert objective.penalties["stability"][1].device.type == objective.decoupled["norm"][1].device.type == "meta"
    assert objective.penalties["size"] == (logit_penalty, 0.1)
    assert "stability=0.3·LengthStability" in repr(Objective(penalties={"stability": (LengthStability(), 0.3)}))
    assert type(Objective(penalties={"size": (logit_penalty, np.float32(0.5))}).penalties["size"][1]) is float


def test_head_predicts_without_target_and_running_statistics_are_kept_from_it():
    features = torch.randn(6, 4, generator=torch.Generator().manual_seed(0))
    for head in (AMSoftmaxHead(4, 3), PEDCCHead(4, 3)):
        objective = Objective(head=head, logit_transform=ScalableBatchNorm(3, 0.8))
        objective(None, torch.arange(6) % 3, features=features)
        objective.eval()
        before = copy.deepcopy(objective.state_dict())
        predicted = objective.transform(objective.head(features, None))
        norm = objective.logit_transform
        expected = 0.8 * (head(features) - norm.running_mean) / (norm.running_var + norm.eps).sqrt()
        torch.testing.assert_close(predicted, expected)
        assert all(torch.equal(value, before[name]) for name, value in objective.state_dict().items())


STACKED = {
    "scalable batch norm": lambda: Objective(logit_transform=ScalableBatchNorm(3, 0.9)),
    "average over all batches": lambda: Objective(logit_transform=ScalableBatchNorm(3, momentum=None)),
    "scales": lambda: Objective(logit_transform=ScalableBatchNorm(3, 0.5 + torch.rand(()))),
    "partial norm, penalty and criterion": lambda: Objective(
        logit_transform=PartialNorm(0.5 + torch.rand(())),
        criterion=TamedCrossEntropy(torch.rand(())),
        penalties={"stability": (length_stability, torch.rand(()))},
    ),
    "powergrad": lambda: Objective(criterion=PowerGradCrossEntropy(torch.rand(()))),
    "learned head": lambda: Objective(head=AMSoftmaxHead(3, 3), logit_transform=ScalableBatchNorm(3)),
}


@pytest.mark.parametrize("make", STACKED.values(), ids=STACKED)
def test_stacked_runs_take_the_steps_that_each_takes_alone(make):
    runs = []
    for seed in range(2):
        torch.manual_seed(seed)
        runs.append(nn.ModuleDict({"model": nn.Linear(4, 3), "objective": make()}).double())
    inputs, target = torch.randn(3, 2, 8, 4, dtype=torch.float64), torch.arange(16).reshape(2, 8) % 3
    parameters, buffers = torch.func.stack_module_state(runs)
    template = copy.deepcopy(runs[0])

    class Step(nn.Module):
        """A module whose call is a training step's loss, as `functional_call` wants it."""

        def __init__(self, parts: nn.ModuleDict) -> None:
            super().__init__()
            self.parts = parts

        def forward(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
            output, objective = self.parts["model"](x), self.parts["objective"]
            given = {"logits": output} if objective.head is None else {"logits": None, "features": output}
            return objective(given.pop("logits"), y, **given)["loss"]

    def loss(parameters, buffers, x, y):
        state = {f"parts.{name}": value for name, value in {**parameters, **buffers}.items()}
        return torch.func.functional_call(Step(template), state, (x, y))

    for batch in inputs:
        gradients, together = torch.func.vmap(torch.func.grad_and_value(loss))(parameters, buffers, batch, target)
        parameters = {name: (value - 0.1 * gradients[name]).detach() for name, value in parameters.items()}
        for run, x, y, value in zip(runs, batch, target, together, strict=True):
            alone = Step(run)(x, y)
            torch.testing.assert_close(alone, value)
            for parameter, gradient in zip(
                run.parameters(), torch.autograd.grad(alone, list(run.parameters())), strict=True
            ):
                parameter.data -= 0.1 * gradient
    for number, run in enumerate(runs):
        for name, parameter in run.named_parameters():
            torch.testing.assert_close(parameter.detach(), parameters[name][number])
        for name, buffer in run.named_buffers():
            torch.testing.assert_close(buffer, buffers[name][number])


def test_transform_is_what_the_criterion_sees():
    z, _ = batch()
    assert torch.equal(Objective(logit_transform=PartialNorm(1.0)).transform(z), partial_norm(z, 1.0))
    assert Objective().transform(z) is z


def test_captured_as_one_graph():
    z, y = batch()
    objective = Objective(logit_transform=PartialNorm(1.0), penalties={"stability": (length_stability, 0.3)})
    compiled = torch.compile(objective, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(z, y), objective(z, y))


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"head": 3}, TypeError, "head must be callable or None, got 3"),
        ({"criterion": None}, TypeError, "criterion must be callable, got None"),
        ({"penalties": {"a": length_stability}}, TypeError, r"penalties\['a'\] must be a pair \(term, weight\)"),
        ({"penalties": {"a": (length_stability, "1")}}, TypeError, r"penalties\['a'\]'s weight must be a number"),
        ({"penalties": {"a": (length_stability, -1)}}, ValueError, r"penalties\['a'\]'s weight must be >= 0"),
        ({"penalties": {"a": (3, 1)}}, TypeError, r"penalties\['a'\] must be callable, got 3"),
        (
            {"penalties": {"a": (torch.mean, 1)}},
            ValueError,
            r"penalties\['a'\]\.on must be one of 'logits', 'features', 'model', got None",
        ),
        (
            {"penalties": {"loss": (length_stability, 1)}},
            ValueError,
            "penalties must not be named 'criterion' or 'loss'",
        ),
        (
            {"decoupled": {"a": (length_stability, 1)}},
            TypeError,
            r"decoupled\['a'\] must have a method decoupled_step_",
        ),
    ],
)
def test_construction_errors(arguments, error, message):
    with pytest.raises(error, match=message):
        Objective(**arguments)


def test_call_errors():
    z, y = batch()
    head = PEDCCHead(4, 3)
    for objective, arguments, message in [
        (Objective(), (None, y), "logits must be given when the objective has no head, got None"),
        (Objective(head=head), (z, y), "logits must be None when the objective has a head"),
        (Objective(head=head), (None, y), "features must be given when the objective has a head, got None"),
        (Objective(penalties={"d": (head.distance, 1)}), (z, y), "penalty 'd' acts on features"),
        (Objective(penalties={"n": (NormLoss(head), 1)}), (z, y), "penalty 'n' acts on model"),
        (Objective(criterion=nn.CrossEntropyLoss(reduction="none")), (z, y), r"criterion must be a 0-d tensor.*\(6,\)"),
    ]:
        with pytest.raises(ValueError, match=message):
            objective(*arguments)
