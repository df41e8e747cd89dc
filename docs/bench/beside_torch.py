"""CXR beside PyTorch on the CPU, interleaved in one run: training steps and inference.

    python docs/bench/beside_torch.py step  resnet18 16 [--pairs 5] [--steps 3] [--isa avx2]
    python docs/bench/beside_torch.py infer resnet18 16

Needs torch and torchvision, and `cargo build --release`. Every program runs alone, one after the
other, round by round; a round gives each one's median seconds. Printed: medians over the rounds, and
the median over the rounds of (PyTorch's best of the round / ours). PyTorch runs channels-last, with
the allocator as it comes and with MALLOC_MMAP_MAX_=0 (`tuned`); inference also traced and frozen with
oneDNN fusion, and with --compiled by torch.compile. Two threads for everyone.
"""
import argparse
import json
import os
import pathlib
import resource
import statistics
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
TUNED = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": "100000000000"}
WARMUP, SIZE, FINDINGS = 2, 320, 14


def network(name):
    import torch
    import torchvision
    from torch import nn

    if name == "resnet18":
        return torchvision.models.resnet18(num_classes=FINDINGS)

    class XrayCnn(nn.Module):
        def __init__(self):
            super().__init__()
            sizes = [3, 16, 32, 64, 128]
            blocks = [
                (nn.Conv2d(a, b, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2))
                for a, b in zip(sizes, sizes[1:])
            ]
            self.features = nn.Sequential(*[layer for block in blocks for layer in block])
            flat = 128 * (SIZE // 16) ** 2
            self.head = nn.Sequential(nn.Linear(flat, 1024), nn.Dropout(0.25), nn.Linear(1024, FINDINGS))

        def forward(self, images):
            # reshape: flatten() of a channels-last map copies as well
            return self.head(self.features(images).reshape(len(images), -1))

    return XrayCnn()


def torch_step(name, batch, steps):
    import torch

    model = network(name).to(memory_format=torch.channels_last).train()
    images = torch.randn(batch, 3, SIZE, SIZE).contiguous(memory_format=torch.channels_last)
    labels = (torch.rand(batch, FINDINGS) < 0.1).float()
    loss_of = torch.nn.BCEWithLogitsLoss(pos_weight=torch.full((FINDINGS,), 3.0))
    adam = torch.optim.Adam(model.parameters(), lr=1e-4)
    times = []
    for _ in range(WARMUP + steps):
        began = time.perf_counter()
        adam.zero_grad()
        loss_of(model(images), labels).backward()
        adam.step()
        times.append(time.perf_counter() - began)
    return times[WARMUP:]


def torch_infer(name, batch, steps, way):
    import torch

    model = network(name).to(memory_format=torch.channels_last).eval()
    images = torch.randn(batch, 3, SIZE, SIZE).contiguous(memory_format=torch.channels_last)
    with torch.inference_mode(mode=way != "compiled"), torch.no_grad():
        if way == "frozen":
            torch.jit.enable_onednn_fusion(True)
            model = torch.jit.freeze(torch.jit.trace(model, images))
        if way == "compiled":
            model = torch.compile(model)
        times = []
        for _ in range(WARMUP + 2 + steps):
            began = time.perf_counter()
            model(images)
            times.append(time.perf_counter() - began)
    return times[WARMUP + 2 :]


def child(arguments):
    import torch

    torch.set_num_threads(2)
    if arguments.what == "step":
        times = torch_step(arguments.model, arguments.batch, arguments.steps)
    else:
        times = torch_infer(arguments.model, arguments.batch, arguments.steps, arguments.way)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({"median_seconds": statistics.median(times), "peak_rss_bytes": peak}))


def run(command, environment):
    done = subprocess.run(command, env={**os.environ, **environment}, capture_output=True, text=True)
    if done.returncode != 0:
        return None
    return json.loads(done.stdout[done.stdout.index("{") :])


def programs(arguments):
    """Name, command, environment of everyone who takes part."""
    shared = ["--model", arguments.model, "--batch", str(arguments.batch), "--steps", str(arguments.steps)]
    ours = [str(ROOT / "target/release/cxr"), "bench", arguments.what, *shared, "--threads", "2", "--json"]
    torch = [sys.executable, __file__, "child", "--what", arguments.what, *shared]
    ways = ["eager"] if arguments.what == "step" else ["eager", "frozen"]
    if arguments.what == "infer" and arguments.compiled:
        ways.append("compiled")
    for way in ways:
        for allocator, environment in (("default", {}), ("tuned", TUNED)):
            yield f"PyTorch {way}, malloc {allocator}", [*torch, "--way", way], environment
    for isa in arguments.isa or ["avx512"]:
        yield f"CXR {isa}", [*ours, "--isa", isa], {}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=["step", "infer", "child"])
    parser.add_argument("model", nargs="?", default="resnet18")
    parser.add_argument("batch", nargs="?", type=int, default=16)
    parser.add_argument("--what", dest="inner")
    parser.add_argument("--model", dest="inner_model")
    parser.add_argument("--batch", dest="inner_batch", type=int)
    parser.add_argument("--way", default="eager")
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--isa", action="append")
    parser.add_argument("--compiled", action="store_true")
    arguments = parser.parse_args()
    if arguments.what == "child":
        arguments.what = arguments.inner
        arguments.model, arguments.batch = arguments.inner_model.replace("xray-cnn", "xray"), arguments.inner_batch
        return child(arguments)
    takers = list(programs(arguments))
    seen = {name: [] for name, _, _ in takers}
    for _ in range(arguments.pairs):
        for name, command, environment in takers:
            found = run(command, environment)
            if found:
                seen[name].append(found)
                print(f"  {name}: {found['median_seconds']:.3f} s", file=sys.stderr, flush=True)
    seen = {name: found for name, found in seen.items() if len(found) == arguments.pairs}
    peers = [found for name, found in seen.items() if name.startswith("PyTorch")]
    best = [min(found[k]["median_seconds"] for found in peers) for k in range(arguments.pairs)]
    print(f"{arguments.what} {arguments.model}, batch {arguments.batch}, {SIZE}², medians of {arguments.pairs} rounds")
    print("| | seconds | images/s | peak GiB | PyTorch's best ÷ it |\n|---|---|---|---|---|")
    for name, found in seen.items():
        seconds = statistics.median(one["median_seconds"] for one in found)
        peak = statistics.median(one["peak_rss_bytes"] for one in found) / 2**30
        ratio = statistics.median(b / one["median_seconds"] for b, one in zip(best, found))
        print(f"| {name} | {seconds:.3f} | {arguments.batch / seconds:.2f} | {peak:.2f} | {ratio:.2f} |")


main()
