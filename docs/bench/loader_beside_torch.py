"""CXR's loader beside PyTorch's on the same radiographs: images per second, in turns.

    python docs/bench/loader_beside_torch.py IMAGES_DIR [--rounds 5] [--copies 8] [--threads 2]
        [--program target/release/cxr]

Needs torch, torchvision, numpy and pillow, and a release build of cxr. Every row goes from PNG files (or
from pictures decoded and resized once) to batches of 64 normalised tensors [64, 3, 320, 320] under the
write-up's draws: flip, rotation by 20°, affine map. PyTorch's rows: `seed` is the write-up to the letter,
in colour; `grey` has one channel until the end; `cached` begins from u8 pictures of 320². A round runs each
row once; the table has medians over the rounds, and everything divided by `seed` with two workers.
"""
import argparse
import json
import pathlib
import statistics
import subprocess
import time

import numpy
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

SIZE, BATCH = 320, 64
DRAWS = [
    transforms.RandomHorizontalFlip(),
    transforms.RandomRotation(20),
    transforms.RandomAffine(degrees=0, translate=(0.2, 0.2), scale=(0.8, 1.2), shear=20),
    transforms.ToTensor(),
]
NORM = transforms.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
IN_COLOUR = transforms.Compose([transforms.Resize((SIZE, SIZE)), *DRAWS, NORM])
MOVED = transforms.Compose(DRAWS)


def small_grey(path):
    return Image.open(path).convert("L").resize((SIZE, SIZE), Image.BILINEAR)


def three_channels(image):
    return NORM(MOVED(image).expand(3, -1, -1))


class Radiographs(Dataset):
    """Tensors of paths, by a function of the path's place."""

    def __init__(self, kind, paths, copies):
        self.kind, self.paths, self.copies = kind, paths, copies
        self.pictures = [numpy.asarray(small_grey(path)) for path in paths] if kind == "cached" else None

    def __len__(self):
        return len(self.paths) * self.copies

    def __getitem__(self, index):
        place = index % len(self.paths)
        if self.kind == "seed":
            return IN_COLOUR(Image.open(self.paths[place]).convert("RGB"))
        if self.kind == "grey":
            return three_channels(small_grey(self.paths[place]))
        return three_channels(Image.fromarray(self.pictures[place]))


class TorchRow:
    def __init__(self, kind, paths, copies, workers):
        self.name = f"PyTorch {kind}, {workers} workers"
        data = Radiographs(kind, paths, copies)
        self.loader = DataLoader(
            data, batch_size=BATCH, shuffle=True, num_workers=workers, persistent_workers=workers > 0
        )
        self.run()

    def run(self):
        began = time.perf_counter()
        n = sum(len(batch) for batch in self.loader)
        return n / (time.perf_counter() - began)


class OurRow:
    def __init__(self, name, program, images, words):
        self.name = f"CXR {name}"
        command = [program, "bench", "loader", "--images", images, "--size", SIZE, "--batch", BATCH, *words]
        self.command = [*map(str, command), "--json"]
        self.memset = []

    def run(self):
        done = subprocess.run(self.command, stdout=subprocess.PIPE, text=True, check=True)
        measured = json.loads(done.stdout)
        self.memset.append(measured["memset_images_per_second"])
        # The first epoch takes new memory from the system.
        epochs = measured["epochs"][1:]
        return statistics.median(epoch["images_per_second"] for epoch in epochs)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("images", type=pathlib.Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--copies", type=int, default=8)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--program", default="target/release/cxr")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    paths = sorted(arguments.images.glob("*.png"))
    rows = [
        TorchRow(kind, paths, arguments.copies, workers)
        for kind in ("seed", "grey", "cached")
        for workers in (0, arguments.threads)
    ]
    threads = ["--threads", arguments.threads]
    long = ["--copies", arguments.copies * 5, "--epochs", 6, *threads]
    ours = [
        OurRow("uncached", arguments.program, arguments.images,
               ["--no-cache", "--copies", arguments.copies, "--epochs", 2, *threads]),
        OurRow("cached in memory", arguments.program, arguments.images, long),
        OurRow("cached, the default preset's draws", arguments.program, arguments.images,
               [*long, "--augment", "mild"]),
        OurRow("cached, no draws", arguments.program, arguments.images, [*long, "--augment", "none"]),
    ]
    rates = {row.name: [] for row in [*rows, *ours]}
    for _ in range(arguments.rounds):
        for row in [*rows, *ours]:
            rates[row.name].append(row.run())
    medians = {name: statistics.median(of_row) for name, of_row in rates.items()}
    seed = medians[f"PyTorch seed, {arguments.threads} workers"]
    best_cached = max(rate for name, rate in medians.items() if name.startswith("PyTorch cached"))
    memset = statistics.median(value for row in ours for value in row.memset)
    print(f"{len(paths)} radiographs, {arguments.threads} threads, {arguments.rounds} rounds, PyTorch {torch.__version__}\n")
    print("| row | images/s | smallest to largest | ÷ seed, 2 workers | ÷ best cached of PyTorch | ÷ memset |")
    print("|---|---|---|---|---|---|")
    for name, rate in medians.items():
        least, most = min(rates[name]), max(rates[name])
        print(
            f"| {name} | {rate:.0f} | {least:.0f}–{most:.0f} | {rate / seed:.2f} "
            f"| {rate / best_cached:.2f} | {rate / memset:.2f} |"
        )
    print(f"| filling the same memory | {memset:.0f} | | {memset / seed:.0f} | {memset / best_cached:.1f} | 1 |")


if __name__ == "__main__":
    main()
