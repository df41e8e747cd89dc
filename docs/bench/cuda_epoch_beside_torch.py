"""A whole epoch on one NVIDIA card, from image files to valid metrics: CXR beside PyTorch with its DataLoader.

    python docs/bench/cuda_epoch_beside_torch.py --train train.csv --valid valid.csv --images images/
        [--program target/release/cxr] [--precision bf16] [--epochs 3] [--workers 16]

Needs torch, torchvision, pandas and scikit-learn with CUDA, and a build of cxr with the feature `cuda`. Both
train ResNet18 on the same radiographs at 320² under the write-up's draws, batches of 64, and measure macro AUROC on
valid after each epoch. CXR decodes each file once (its cache of pixels goes to the card); the DataLoader
decodes every file in every epoch, as the write-up does, with as many workers as are asked for; `cached` is
the same from u8 pictures that were decoded and resized once. Epochs after the first count. PyTorch's step is
its best: channels-last, bf16 autocast, compiled.
"""
import argparse
import json
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

import numpy
import pandas
import torch
import torchvision
from PIL import Image
from sklearn.metrics import roc_auc_score
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

ROOT = pathlib.Path(__file__).resolve().parents[2]
SIZE, BATCH = 320, 64
DRAWS = [
    transforms.RandomHorizontalFlip(),
    transforms.RandomRotation(20),
    transforms.RandomAffine(degrees=0, translate=(0.2, 0.2), scale=(0.8, 1.2), shear=20),
]
TO_TENSOR = transforms.Compose([transforms.ToTensor(), transforms.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])])
OTHER_COLUMNS = {"Image", "PatientId"}


class Radiographs(Dataset):
    def __init__(self, table, images, moves, cached):
        self.names = [pathlib.Path(images) / name for name in table["Image"]]
        findings = [name for name in table.columns if name not in OTHER_COLUMNS]
        self.labels = torch.tensor(table[findings].to_numpy(dtype="float32"))
        self.moves = transforms.Compose(DRAWS) if moves else None
        self.cached = [numpy.asarray(self.small(name)) for name in self.names] if cached else None

    @staticmethod
    def small(name):
        return Image.open(name).convert("RGB").resize((SIZE, SIZE), Image.BILINEAR)

    def __len__(self):
        return len(self.names)

    def __getitem__(self, place):
        image = Image.fromarray(self.cached[place]) if self.cached else self.small(self.names[place])
        return TO_TENSOR(self.moves(image) if self.moves else image), self.labels[place]


def torch_epochs(arguments, cached):
    train, valid = (pandas.read_csv(table) for table in (arguments.train, arguments.valid))
    sets = Radiographs(train, arguments.images, True, cached), Radiographs(valid, arguments.images, False, cached)
    shared = dict(batch_size=BATCH, num_workers=arguments.workers, pin_memory=True, persistent_workers=True)
    loaders = DataLoader(sets[0], shuffle=True, **shared), DataLoader(sets[1], **shared)
    n_findings = sets[0].labels.shape[1]
    torch.backends.cudnn.benchmark = True
    model = torchvision.models.resnet18(num_classes=n_findings).cuda().to(memory_format=torch.channels_last)
    compiled = torch.compile(model)
    loss_of = torch.nn.BCEWithLogitsLoss()
    adam = torch.optim.Adam(model.parameters(), lr=1e-4, fused=True)
    seconds = []
    for _ in range(arguments.epochs):
        torch.cuda.synchronize()
        began = time.perf_counter()
        model.train()
        for images, labels in loaders[0]:
            images = images.cuda(non_blocking=True).contiguous(memory_format=torch.channels_last)
            adam.zero_grad(set_to_none=True)
            with torch.autocast("cuda", dtype=torch.bfloat16):
                loss = loss_of(compiled(images), labels.cuda(non_blocking=True))
            loss.backward()
            adam.step()
        model.eval()
        scores = []
        with torch.inference_mode(), torch.autocast("cuda", dtype=torch.bfloat16):
            for images, _ in loaders[1]:
                images = images.cuda(non_blocking=True).contiguous(memory_format=torch.channels_last)
                scores.append(model(images).float().cpu())
        scores, truths = torch.cat(scores).numpy(), sets[1].labels.numpy()
        both = [k for k in range(n_findings) if 0 < truths[:, k].sum() < len(truths)]
        auroc = numpy.mean([roc_auc_score(truths[:, k], scores[:, k]) for k in both])
        seconds.append(time.perf_counter() - began)
        print(f"  PyTorch{' cached' if cached else ''}: {seconds[-1]:.2f} s, macro AUROC {auroc:.3f}", file=sys.stderr, flush=True)
    return seconds[1:]


def our_epochs(arguments):
    with tempfile.TemporaryDirectory() as folder:
        run = pathlib.Path(folder) / "run"
        settings = [f"size={SIZE}", f"batch_size={BATCH}", f"epochs={arguments.epochs}",
                    "data.leakage=repair", f"cuda.precision={arguments.precision}", "cuda.plans=measured"]
        command = [arguments.program, "train", "--preset", "seed-resnet18", "--train", arguments.train, "--valid", arguments.valid,
                   "--images", arguments.images, "--device", "cuda", "--run", str(run), "--json"]
        for setting in settings:
            command += ["--set", setting]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode != 0:
            raise SystemExit(done.stderr[-2000:])
        table = pandas.read_csv(run / "results.csv")
        for row in table.itertuples():
            print(f"  CXR: {row.seconds:.2f} s", file=sys.stderr, flush=True)
        return list(table["seconds"])[1:]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--train", required=True)
    parser.add_argument("--valid", required=True)
    parser.add_argument("--images", required=True)
    parser.add_argument("--program", default=str(ROOT / "target/release/cxr"))
    parser.add_argument("--precision", default="bf16")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--workers", type=int, default=16)
    arguments = parser.parse_args()
    rows = {
        f"CXR {arguments.precision}": our_epochs(arguments),
        f"PyTorch, {arguments.workers} workers": torch_epochs(arguments, False),
        f"PyTorch, {arguments.workers} workers, cached": torch_epochs(arguments, True),
    }
    ours = statistics.median(next(iter(rows.values())))
    print("| | seconds an epoch | ÷ CXR |\n|---|---|---|")
    for name, seconds in rows.items():
        print(f"| {name} | {statistics.median(seconds):.2f} | {statistics.median(seconds) / ours:.1f} |")
    print(json.dumps(rows))


main()
