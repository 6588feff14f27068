"""Several processes, with scalable batch norm: torchrun --standalone --nproc-per-node 2 distributed.py."""

import torch
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel

from companion import ScalableBatchNorm, data
from companion.models.mlp import MLP


def train(model, batches, lr=0.1):
    """Take one step a batch, of which every process computes its share."""
    rank, processes = distributed.get_rank(), distributed.get_world_size()
    model = nn.Sequential(model, ScalableBatchNorm(num_classes=10, synchronised=True))
    model = DistributedDataParallel(model)
    optimiser = torch.optim.SGD(model.parameters(), lr=lr)
    for inputs, target in batches:
        optimiser.zero_grad()
        logits = model(inputs[rank::processes])
        nn.functional.cross_entropy(logits, target[rank::processes]).backward()
        optimiser.step()
    return model.module.eval()


if __name__ == "__main__":
    distributed.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
    torch.manual_seed(0)  # the same shuffling everywhere
    digits, test = data.load("mnist", sample=True), data.load("mnist", "test", sample=True)
    batches = [each for _ in range(5) for each in data.batches(digits.normalised(), digits.labels, 50, generator=None)]
    trained = train(MLP((784, 128, 10)), batches)
    right = trained(test.normalised()).argmax(1) == test.labels
    if distributed.get_rank() == 0:
        print(f"accuracy {right.float().mean():.3f}")
    distributed.destroy_process_group()
