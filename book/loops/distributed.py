"""Several processes, with scalable batch norm.

Start it with torchrun --standalone --nproc-per-node 2 distributed.py.
"""

import torch
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel

from companion import ScalableBatchNorm, data
from companion.models.mlp import MLP


def train(model, batches, lr=0.1):
    """Take one step a batch, of which every process computes its share."""
    rank, processes = distributed.get_rank(), distributed.get_world_size()
    norm = ScalableBatchNorm(num_classes=10, synchronised=True)
    model = DistributedDataParallel(nn.Sequential(model, norm))
    optimiser = torch.optim.SGD(model.parameters(), lr=lr)
    for batch, labels in batches:
        inputs, target = batch[rank::processes], labels[rank::processes]
        optimiser.zero_grad()
        loss = nn.functional.cross_entropy(model(inputs), target)
        loss.backward()
        optimiser.step()
    return model.module.eval()


if __name__ == "__main__":
    distributed.init_process_group("gloo")
    torch.manual_seed(0)  # the same order of the rows everywhere
    digits = data.load("mnist", sample=True)
    inputs, labels = digits.normalised(), digits.labels
    batches = []
    for _ in range(5):
        batches += data.batches(inputs, labels, 50, generator=None)
    trained = train(MLP((784, 128, 10)), batches)

    test = data.load("mnist", "test", sample=True)
    right = trained(test.normalised()).argmax(1) == test.labels
    if distributed.get_rank() == 0:
        print(f"accuracy {right.float().mean():.3f}")
    distributed.destroy_process_group()
