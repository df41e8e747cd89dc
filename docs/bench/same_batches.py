"""CXR beside PyTorch on the same batches from the same weights: is the loss the same, step by step?

    python docs/bench/same_batches.py --table train.csv --images DIR [--model resnet18|xray-cnn]
        [--size 160] [--batch 16] [--steps 200] [--learning-rate 1e-4] [--program PATH]
        [--keep LOSSES.json]

Needs torch, torchvision, pandas, pillow and safetensors. PyTorch draws the initial weights; both
sides train from them with Adam, without augmentation and dropout, on the radiographs in the order of
the table, round and round. Ours is the example `same_batches` of cxr-train, or --program.

Two f32 programs that sum in different orders drift apart, for training amplifies rounding. How far is
shown by PyTorch itself: three more runs whose initial weights differ by a part in a million. The first
20 steps must agree within 1 % (exit code 1 if not); later ones are set beside that noise.
"""
import argparse
import itertools
import json
import pathlib
import subprocess
import sys
import tempfile

import numpy
import pandas
import torch
import torchvision
from PIL import Image
from safetensors.torch import save_file
from torch import nn

ROOT = pathlib.Path(__file__).resolve().parents[2]
CARGO = ["cargo", "run", "--release", "-q", "-p", "cxr-train", "--example", "same_batches", "--"]
SHOWN = [1, 2, 5, 10, 20, 50, 100, 200]
EARLY_STEPS, EARLY_TOLERANCE = 20, 0.01
LAST_STEPS = 20
NOISE, NOISE_SEEDS = 1e-6, [1, 2, 3]
MEAN, DEVIATION = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]


class XrayCnn(nn.Module):
    """The write-up's network under its own names, without dropout."""

    def __init__(self, n_findings, size):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 3, padding=1)
        self.conv2 = nn.Conv2d(16, 32, 3, padding=1)
        self.conv3 = nn.Conv2d(32, 64, 3, padding=1)
        self.conv4 = nn.Conv2d(64, 128, 3, padding=1)
        self.fc1 = nn.Linear(128 * (size // 16) ** 2, 1024)
        self.fc2 = nn.Linear(1024, n_findings)

    def forward(self, images):
        maps = images
        for convolution in (self.conv1, self.conv2, self.conv3, self.conv4):
            maps = nn.functional.max_pool2d(torch.relu(convolution(maps)), 2)
        return self.fc2(self.fc1(maps.flatten(1)))


def network(name, n_findings, size):
    torch.manual_seed(0)
    if name == "resnet18":
        return torchvision.models.resnet18(num_classes=n_findings)
    return XrayCnn(n_findings, size)


def radiographs(arguments):
    """Images [N, 3, size, size], normalised as for ImageNet, and targets [N, K]."""
    table = pandas.read_csv(arguments.table)
    findings = sorted(set(table.columns) - {"Image", "PatientId"})
    targets = torch.tensor(table[findings].to_numpy(), dtype=torch.float32)
    side = (arguments.size, arguments.size)
    images = torch.empty(len(table), 3, *side)
    mean, deviation = (torch.tensor(one).view(3, 1, 1) for one in (MEAN, DEVIATION))
    for row, name in enumerate(table["Image"]):
        grey = Image.open(arguments.images / name).convert("L").resize(side, Image.BILINEAR)
        grey = torch.from_numpy(numpy.array(grey, dtype=numpy.float32) / 255)
        images[row] = (grey - mean) / deviation
    return images, targets


def square_root_weights(targets):
    """√(negatives ÷ positives) of each finding; 1 where it has none."""
    positives = targets.sum(0)
    negatives = len(targets) - positives
    defined = (positives > 0) & (negatives > 0)
    return torch.where(defined, (negatives / positives.clamp(min=1)).sqrt(), torch.ones(()))


def torch_losses(arguments, weights, images, targets, pos_weight):
    """The loss before each step, from these initial weights."""
    model = network(arguments.model, targets.shape[1], arguments.size)
    model.load_state_dict(weights)
    model.train()
    loss_of = nn.BCEWithLogitsLoss(pos_weight=pos_weight)
    adam = torch.optim.Adam(model.parameters(), lr=arguments.learning_rate)
    losses = []
    for step in range(arguments.steps):
        rows = torch.arange(step * arguments.batch, (step + 1) * arguments.batch) % len(images)
        adam.zero_grad()
        loss = loss_of(model(images[rows]), targets[rows])
        loss.backward()
        adam.step()
        losses.append(loss.item())
    return losses


def perturbed(weights, seed):
    """Each number times 1 + 1e-6·g, g from the normal distribution; counts are left alone."""
    generator = torch.Generator().manual_seed(seed)

    def shaken(tensor):
        if not tensor.is_floating_point():
            return tensor
        draw = torch.randn(tensor.shape, generator=generator, dtype=torch.float64)
        return (tensor.double() * (1 + NOISE * draw)).float()

    return {name: shaken(tensor) for name, tensor in weights.items()}


def our_losses(arguments, tensors):
    with tempfile.TemporaryDirectory() as folder:
        file = str(pathlib.Path(folder) / "given.safetensors")
        save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, file)
        words = [file, arguments.model, arguments.batch, arguments.steps, arguments.learning_rate]
        command = [str(arguments.program.resolve())] if arguments.program else CARGO
        command = [*command, *map(str, words)]
        done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [line["step"] for line in lines] == list(range(1, arguments.steps + 1))
    return [line["loss"] for line in lines]


def early_only(pairs):
    return ([losses[:EARLY_STEPS] for losses in pair] for pair in pairs)


def last_mean(losses):
    return sum(losses[-LAST_STEPS:]) / len(losses[-LAST_STEPS:])


def report(arguments, n_radiographs, theirs, ours, shaken):
    """Prints the tables; whether the first steps agree."""
    relative = [abs(b - a) / abs(a) for a, b in zip(theirs, ours)]
    noise = [max(abs(s - a) / abs(a) for s in at) for a, *at in zip(theirs, *shaken)]
    print(
        f"{arguments.model}, {n_radiographs} radiographs at {arguments.size}², batch {arguments.batch}, "
        f"Adam {arguments.learning_rate:g}, PyTorch {torch.__version__}\n"
    )
    print("| step | PyTorch | CXR | relative difference | largest of PyTorch shaken by 1e-6 |")
    print("|---|---|---|---|---|")
    for k in [step for step in SHOWN if step <= arguments.steps]:
        print(f"| {k} | {theirs[k - 1]:.6f} | {ours[k - 1]:.6f} | {relative[k - 1]:.1e} | {noise[k - 1]:.1e} |")
    early = max(relative[:EARLY_STEPS])
    pairs = itertools.combinations([theirs, *shaken], 2)
    peers = sorted(max(abs(b - a) / a for a, b in zip(*pair)) for pair in early_only(pairs))
    print(
        f"\nLargest relative difference over the first {EARLY_STEPS} steps: {early:.1e} at step "
        f"{relative.index(early) + 1} (allowed {EARLY_TOLERANCE:g}). Between two of PyTorch's four runs: "
        f"{', '.join(f'{peer:.1e}' for peer in peers)}.\n"
    )
    print(f"Mean loss of the last {LAST_STEPS} of {arguments.steps} steps:\n")
    print("| PyTorch | CXR | PyTorch shaken | CXR − PyTorch | spread of PyTorch's four |")
    print("|---|---|---|---|---|")
    means = [last_mean(losses) for losses in shaken]
    peers = [last_mean(theirs), *means]
    others = ", ".join(f"{mean:.5f}" for mean in means)
    difference, spread = last_mean(ours) - last_mean(theirs), max(peers) - min(peers)
    print(f"| {peers[0]:.5f} | {last_mean(ours):.5f} | {others} | {difference:+.5f} | {spread:.5f} |")
    apart = [abs(a - b) for a, b in itertools.combinations(peers, 2)]
    print(f"\nTwo runs of PyTorch's four are at most {max(apart):.5f} apart, on average {sum(apart) / len(apart):.5f}.")
    return early <= EARLY_TOLERANCE


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--table", type=pathlib.Path, required=True)
    parser.add_argument("--images", type=pathlib.Path, required=True)
    parser.add_argument("--model", choices=["resnet18", "xray-cnn"], default="resnet18")
    parser.add_argument("--size", type=int, default=160)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--learning-rate", type=float, default=1e-4)
    parser.add_argument("--program", type=pathlib.Path)
    parser.add_argument("--keep", type=pathlib.Path)
    arguments = parser.parse_args()
    torch.set_num_threads(2)
    images, targets = radiographs(arguments)
    pos_weight = square_root_weights(targets)
    model = network(arguments.model, targets.shape[1], arguments.size)
    weights = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    given = {**weights, "images": images, "targets": targets, "pos_weight": pos_weight}
    ours = our_losses(arguments, given)
    starts = [weights, *(perturbed(weights, seed) for seed in NOISE_SEEDS)]
    theirs, *shaken = (torch_losses(arguments, start, images, targets, pos_weight) for start in starts)
    if arguments.keep:
        losses = {"PyTorch": theirs, "CXR": ours, "PyTorch shaken": shaken}
        arguments.keep.write_text(json.dumps(losses))
    sys.exit(0 if report(arguments, len(images), theirs, ours, shaken) else 1)


if __name__ == "__main__":
    main()
