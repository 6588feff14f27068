"""The training loops of the book: each runs, and takes the step that one large batch and the formula give.

The examples are the files that the page shows. Every step is compared, in float64, with one that is written out here
from functions alone; and with cross entropy's, so that a loop which forgot the method would be noticed.
"""

from __future__ import annotations

import copy
import re
import subprocess
import sys

import pytest
import torch
from torch.nn import functional

from companion import (
    adaptive_clip_grad_,
    length_stability,
    partial_norm,
    powergrad_cross_entropy,
    scalable_batch_norm,
    tamed_cross_entropy,
)
from companion.bench import gradient_error

from .conftest import FOLDER, SAME, distance, gradients, require, step

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:.*torch.jit.*deprecated"),  # timm's and skorch's imports
]

EXAMPLES = sorted(path.stem for path in FOLDER.glob("*.py"))
LR = 0.1


def assert_same_step(before, after, loss, inputs, target, lr=LR):
    """Assert that `after` is one step on the loss away from `before`, and that cross entropy's step is another."""
    assert distance(after, step(before, loss, lr)) <= SAME["atol"]
    plain = step(before, lambda network: functional.cross_entropy(network(inputs), target), lr)
    assert distance(after, plain) > 1e-6, "the loop trains with plain cross entropy"


@pytest.mark.parametrize("name", EXAMPLES)
def test_it_runs_as_it_stands_and_learns(name):
    require(name)
    start = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"] if name == "distributed" else []
    run = subprocess.run(
        [sys.executable, *start, str(FOLDER / f"{name}.py")], capture_output=True, text=True, timeout=500, check=False
    )
    assert run.returncode == 0, run.stderr[-3000:]
    accuracies = re.findall(r"^accuracy (\S+)$", run.stdout, flags=re.MULTILINE)
    assert len(accuracies) == 1, run.stdout
    assert float(accuracies[0]) > 0.4, "four times chance, or more"


def test_plain(example, model, batch):
    inputs, target = batch
    before = copy.deepcopy(model)
    example("plain").train(model, [batch], LR)

    def loss(network):
        logits = network(inputs)
        return functional.cross_entropy(partial_norm(logits, 5.0), target) + 0.1 * length_stability(logits)

    assert_same_step(before, model, loss, inputs, target)
    expected = partial_norm(model(inputs), 5.0).softmax(1)
    torch.testing.assert_close(example("plain").predict(model, inputs), expected.detach(), **SAME)


class TestMixedPrecision:
    @pytest.fixture
    def small(self, model, batch):
        """Return model and batch with small numbers: float16 ends at 65,504, which is the first loss scale."""
        with torch.no_grad():
            model.layers[-1].weight.div_(20)
        return model, batch[0] / 10, batch[1]

    def stepped(self, model, inputs, target):
        """Return the model after the step in float64: PowerGrad's gradient, clipped."""
        after = copy.deepcopy(model)
        powergrad_cross_entropy(after(inputs), target, 0.3).backward()
        adaptive_clip_grad_(after.named_parameters(), clipping=0.1)
        with torch.no_grad():
            for parameter in after.parameters():
                parameter.sub_(LR * parameter.grad)
        return after

    def trained(self, loop, small, dtype):
        model, inputs, target = small
        after = copy.deepcopy(model).float()
        loop.train(after, [(inputs.float(), target)], dtype, LR)
        return after

    @pytest.mark.parametrize(("dtype", "digits"), [(torch.bfloat16, 8), (torch.float16, 11)], ids=["bf16", "fp16"])
    def test_step(self, example, small, dtype, digits):
        """Two matrix products, there and back, each rounded to `digits` binary digits: four roundings of every row.

        Clipping is a projection onto a ball, which brings what is close no further apart.
        """
        model, inputs, target = small
        found, right = self.trained(example("mixed_precision"), small, dtype), self.stepped(*small)
        rows = [
            gradients(model, lambda network, x=x, y=y: powergrad_cross_entropy(network(x), y, 0.3))
            for x, y in zip(inputs.split(1), target.split(1), strict=True)
        ]
        for at, (start, exact, close) in enumerate(
            zip(model.parameters(), right.parameters(), found.parameters(), strict=True)
        ):
            mean_length = sum(row[at].norm() for row in rows) / len(rows)
            bound = 4 * 2.0**-digits * LR * mean_length + 2.0**-24 * start.norm()  # weights are stored in float32
            assert (close.double() - exact).norm() <= bound < (exact - start).norm()

    def test_clipping_without_unscaling_is_another_step(self, example, small):
        """Why the line is there: the loss scale makes every gradient long, so that each is clipped, then divided by it."""
        loop = example("mixed_precision")
        text = (FOLDER / "mixed_precision.py").read_text(encoding="utf-8")
        assert text.count("        scaler.unscale_(optimiser)\n") == 1
        exec(text.replace("        scaler.unscale_(optimiser)\n", ""), vars(loop))
        found, right = self.trained(loop, small, torch.float16), self.stepped(*small)
        assert distance(found, right) > 0.5 * distance(small[0], right)

    def test_the_loss_is_computed_in_float32(self, example, small):
        model, inputs, target = small
        with torch.autocast("cpu", torch.bfloat16):
            logits = model.float()(inputs.float())
            loss = example("mixed_precision").objective(logits, target)["loss"]
        assert (logits.dtype, loss.dtype) == (torch.bfloat16, torch.float32)


@pytest.mark.parametrize("part", [15, 16, 60], ids=["equal", "ragged", "whole"])
def test_accumulation(example, model, batch, part):
    inputs, target = batch
    before = copy.deepcopy(model)
    example("accumulation").train(model, [batch], part, LR)
    assert_same_step(before, model, lambda network: tamed_cross_entropy(network(inputs), target, 0.5), inputs, target)


def test_distributed(model, batch, tmp_path):
    """Two processes, thirty rows each, take the step of one with sixty, and keep the statistics of sixty."""
    inputs, target = batch
    torch.save((model, inputs, target), tmp_path / "given.pt")
    script = FOLDER.parents[1] / "tests" / "loops" / "two_processes.py"
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", str(script)]
    run = subprocess.run([*command, str(tmp_path), str(LR)], capture_output=True, text=True, timeout=500, check=False)
    assert run.returncode == 0, run.stderr[-3000:]
    after, norm = torch.load(tmp_path / "found.pt", weights_only=False)

    def loss(network):
        return functional.cross_entropy(scalable_batch_norm(network(inputs), 1.0), target)

    assert_same_step(model, after, loss, inputs, target)
    torch.testing.assert_close(norm.running_mean.double(), 0.1 * model(inputs).mean(0).detach(), rtol=1e-6, atol=1e-6)
    assert not norm.training
    # Each process with statistics of its own would be as far off as two equal parts are.
    alone = gradient_error(lambda z, y: functional.cross_entropy(scalable_batch_norm(z, 1.0), y), (30, 30))
    assert alone > 0.05


class TestLightning:
    pytestmark = pytest.mark.filterwarnings(
        "ignore:.*does not have many workers",  # sixty rows in memory need none
        "ignore:.*smaller than the logging interval",
        "ignore:.*GPU available but not used",
        "ignore:.*isinstance.treespec, LeafSpec.* is deprecated:FutureWarning",  # lightning's own, under torch 2.15
    )

    def fit(self, loop, model, batch, size, **options):
        import lightning
        from torch.utils.data import DataLoader, TensorDataset

        quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
        quiet |= {"enable_model_summary": False, "accelerator": "cpu", "max_epochs": 1, "barebones": False}
        loader = DataLoader(TensorDataset(*batch), batch_size=size)
        lightning.Trainer(**quiet, **options).fit(loop.Classifier(model, LR), loader)

    def stepped(self, model, losses):
        """Return the model after a step on the mean of the losses: clipped to length one, then the decoupled term."""
        found = gradients(model, lambda network: sum(loss(network) for loss in losses) / len(losses))
        length = torch.cat([gradient.flatten() for gradient in found]).norm()
        assert length > 1, "there is nothing to clip"
        after = copy.deepcopy(model)
        with torch.no_grad():
            for parameter, gradient in zip(after.parameters(), found, strict=True):
                parameter.sub_(LR * gradient / length)
                if parameter.ndim == 2:
                    rows = parameter / parameter.norm(dim=1, keepdim=True)
                    parameter.sub_(LR * 0.01 * 2 * (parameter - rows))
        return after

    def losses(self, batch, size):
        return [
            lambda network, x=x, y=y: functional.cross_entropy(network(x), y)
            for x, y in zip(*(rows.split(size) for rows in batch), strict=True)
        ]

    @pytest.mark.parametrize(("size", "parts"), [(60, 1), (15, 4)], ids=["whole", "four parts"])
    def test_step(self, example, model, batch, size, parts):
        before = copy.deepcopy(model)
        self.fit(example("lightning_module"), model, batch, size, accumulate_grad_batches=parts)
        assert distance(model, self.stepped(before, self.losses(batch, 60))) <= SAME["atol"]

    def test_unequal_parts_count_alike(self, example, model, batch):
        """Lightning divides by the number of parts: 24, 24 and 12 rows do not make the mean of sixty."""
        before = copy.deepcopy(model)
        self.fit(example("lightning_module"), model, batch, 24, accumulate_grad_batches=3)
        assert distance(model, self.stepped(before, self.losses(batch, 24))) <= SAME["atol"]
        whole = self.stepped(before, self.losses(batch, 60))
        assert distance(model, whole) > 0.01 * distance(before, whole)


class TestHuggingFace:
    def train(self, loop, batch, folder, size, loss=None):
        """Return a transformer before and after one step of sixty rows in parts of a size."""
        from transformers import ViTConfig, ViTForImageClassification

        torch.manual_seed(0)
        shape = {"image_size": 28, "patch_size": 7, "num_channels": 1, "num_labels": 10}
        width = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8}
        model = ViTForImageClassification(ViTConfig(**shape, **width)).double()
        with torch.no_grad():
            model.classifier.weight.mul_(100)  # logits that differ
        before = copy.deepcopy(model)
        inputs, target = batch
        digits = [{"pixel_values": x, "labels": y} for x, y in zip(inputs, target, strict=True)]
        options = {"per_device_train_batch_size": size, "gradient_accumulation_steps": -(-len(target) // size)}
        options |= {"optim": "sgd", "learning_rate": LR, "lr_scheduler_type": "constant", "max_grad_norm": 0.0}
        trainer = loop.trainer(model, digits, str(folder), max_steps=1, use_cpu=True, disable_tqdm=True, **options)
        if loss is not None:
            trainer.compute_loss_func = loss
        trainer.train()
        return before, model

    @pytest.mark.parametrize("size", [60, 15, 16], ids=["whole", "equal", "ragged"])
    def test_step(self, example, batch, tmp_path, size):
        inputs, target = batch
        before, after = self.train(example("hugging_face"), batch, tmp_path, size)

        def loss(network):
            return tamed_cross_entropy(network(inputs).logits, target, 0.5)

        assert distance(after, step(before, loss, LR)) <= SAME["atol"]
        assert distance(after, step(before, lambda network: network(inputs, labels=target).loss, LR)) > 1e-6

    def test_ignored_items_do_not_count(self, example, batch, tmp_path):
        inputs, target = batch[0], batch[1].clone()
        target[:20] = -100
        before, after = self.train(example("hugging_face"), (inputs, target), tmp_path, 16)

        def loss(network):
            return tamed_cross_entropy(network(inputs).logits, target, 0.5)

        assert distance(after, step(before, loss, LR)) <= SAME["atol"]

    def test_class_weights_need_another_divisor(self, example, batch, tmp_path):
        """The Trainer counts items: with class weights the step is that of the weighted mean times Σw/N."""
        inputs, target = batch
        weight = torch.linspace(0.5, 3.0, 10, dtype=torch.float64)

        def compute(outputs, labels, num_items_in_batch=None):
            loss = tamed_cross_entropy(outputs.logits, labels, 0.5, weight=weight, reduction="sum")
            return loss / num_items_in_batch

        before, after = self.train(example("hugging_face"), batch, tmp_path, 16, compute)
        factor = weight[target].mean()

        def loss(network):
            return tamed_cross_entropy(network(inputs).logits, target, 0.5, weight=weight)

        assert distance(after, step(before, lambda network: factor * loss(network), LR)) <= 10 * SAME["atol"]
        assert abs(factor - 1) > 0.1

    def test_a_language_model_is_shifted_as_the_page_says(self, example):
        from transformers.loss.loss_utils import ForCausalLMLoss

        example("hugging_face")
        logits = torch.randn(2, 5, 7, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
        labels = torch.tensor([[1, 2, 3, 4, 5], [0, 6, 2, -100, -100]])
        ours = tamed_cross_entropy(logits[:, :-1].flatten(0, 1), labels[:, 1:].flatten(), 0.0)
        torch.testing.assert_close(ours, ForCausalLMLoss(logits, labels, vocab_size=7).double(), rtol=1e-6, atol=0)

    def test_without_a_count_it_is_the_mean(self, example):
        from types import SimpleNamespace

        logits = torch.randn(6, 4, generator=torch.Generator().manual_seed(0))
        target = torch.tensor([0, 1, 2, 3, -100, 1])
        compute = example("hugging_face").compute_loss
        outputs = SimpleNamespace(logits=logits)
        torch.testing.assert_close(compute(outputs, target), compute(outputs, target, num_items_in_batch=5))


class TestTimm:
    def model(self):
        import timm

        torch.manual_seed(0)
        return timm.create_model("test_vit", num_classes=10, in_chans=1, img_size=32).double()

    def test_step_on_soft_labels(self, example, batch):
        inputs, target = functional.pad(batch[0], [2] * 4), functional.one_hot(batch[1], 10) * 0.9 + 0.01
        model = self.model()
        before = copy.deepcopy(model)
        example("timm_training").train(model, [(inputs, target)], lr=LR, clip=1e9)

        def loss(network):
            return powergrad_cross_entropy(network(inputs), target.double(), 0.3)

        assert distance(model, step(before, loss, LR)) <= 10 * SAME["atol"]
        plain = step(before, lambda network: functional.cross_entropy(network(inputs), target.double()), LR)
        assert distance(model, plain) > 1e-6

    def test_it_stands_where_timms_own_loss_stood(self, example):
        from timm.loss import SoftTargetCrossEntropy

        example("timm_training")
        logits = torch.randn(6, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
        target = logits.flip(0).softmax(1)
        torch.testing.assert_close(tamed_cross_entropy(logits, target, 0.0), SoftTargetCrossEntropy()(logits, target))

    def test_timms_clipping_is_the_librarys(self, example, model, batch):
        example("timm_training")
        from timm.utils import dispatch_clip_grad

        other = copy.deepcopy(model)
        for network in (model, other):
            functional.cross_entropy(network(batch[0]), batch[1]).backward()
        untouched = [parameter.grad.clone() for parameter in model.parameters()]
        dispatch_clip_grad(other.parameters(), 0.01, mode="agc")
        adaptive_clip_grad_(list(model.parameters()), clipping=0.01)
        for ours, theirs, before in zip(model.parameters(), other.parameters(), untouched, strict=True):
            torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-6, atol=1e-12)
            assert not torch.allclose(ours.grad, before)


def test_geometric(example):
    from companion import data

    loop = example("geometric")
    cora = data.load("cora", sample=True)
    graph = loop.graph_of(cora)
    graph.x = graph.x.double()
    torch.manual_seed(0)
    model = loop.GCN(graph.num_features, hidden_channels=8, num_layers=2, out_channels=7).double()
    with torch.no_grad():
        model.convs[1].lin.weight.mul_(100)
    before, train = copy.deepcopy(model), cora.mask
    loop.train(model, graph, steps=1)

    def adam(loss):
        after = copy.deepcopy(before)
        optimiser = torch.optim.Adam(after.parameters(), lr=0.01)
        loss(after(graph.x, graph.edge_index)).backward()
        optimiser.step()
        return after

    def objective(logits, rows):
        normed = partial_norm(logits[train], 5.0)
        return functional.cross_entropy(normed, cora.labels[train]) + 0.1 * length_stability(logits[rows])

    assert distance(model, adam(lambda logits: objective(logits, train))) <= SAME["atol"]
    everywhere = torch.ones_like(train)
    assert distance(model, adam(lambda logits: objective(logits, everywhere))) > 1e-6, "the penalty saw all nodes"


class TestSkorch:
    def net(self, example, **options):
        quiet = {"train_split": None, "verbose": 0, "batch_size": -1, "max_epochs": 1, "lr": LR}
        net = example("skorch_classifier").classifier(**quiet, **options)
        net.initialize()
        net.module_.double()
        return net

    def test_step(self, example, batch):
        inputs, target = batch
        net = self.net(example)
        before = copy.deepcopy(net.module_)
        net.partial_fit(inputs, target)

        def loss(network):
            return tamed_cross_entropy(network(inputs), target, 0.5)

        assert_same_step(before, net.module_, loss, inputs, target)

    def test_predictions_are_probabilities_because_it_says_so(self, example, batch):
        """With a criterion that skorch does not know, `predict_proba` would hand over the logits as they are."""
        inputs, target = batch
        net = self.net(example)
        net.partial_fit(inputs, target)
        expected = net.module_(inputs).softmax(1).detach().numpy()
        assert abs(net.predict_proba(inputs) - expected).max() <= SAME["atol"]
        net.set_params(predict_nonlinearity="auto")
        assert abs(net.predict_proba(inputs) - net.module_(inputs).detach().numpy()).max() <= SAME["atol"]
