"""CXR beside PyTorch on one NVIDIA card, in turns: a training step, its images per second and memory.

    python docs/bench/cuda_beside_torch.py [--program target/release/cxr] [--models resnet18,xray-cnn]
        [--batch 64] [--size 320] [--steps 30] [--rounds 3] [--quick] [--out FILE.json]

Needs torch and torchvision with CUDA, and a build of cxr with the feature `cuda`. Every row is a program of
its own, one after the other, round by round; a step is forward, loss, backward and Adam, with the card
synchronised behind it. PyTorch: f32, TF32 and bf16 autocast, NCHW and channels-last, eager and compiled
(default and max-autotune), fused Adam, cuDNN's benchmark mode. CXR: the same three precisions, convolutions
chosen by the library's rules and by trial. First measured: what a copy on the card and a large product in
bf16 reach, which give each model's floor: the larger of arithmetic and bytes. The bytes are counted for a
step whose norms are passes of their own; one that fuses more may come below the floor.
"""
import argparse
import json
import pathlib
import statistics
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
FINDINGS, WARMUP = 14, 10
# Of one image of 3×320×320 and one training step: operations, and bytes that must move at batch 64.
# Forward, input and weight gradients of every convolution and linear layer; each map read and written
# once a pass, norms fused; Adam over f32 moments. f32 and TF32 move four bytes a number, bf16 two.
FLOPS = {"resnet18": 21.7e9, "xray-cnn": 2.61e9}
BYTES = {
    "resnet18": {"f32": 23.3e9, "tf32": 23.3e9, "bf16": 11.9e9},
    "xray-cnn": {"f32": 7.5e9, "tf32": 7.5e9, "bf16": 4.5e9},
}


def network(name, size):
    import torchvision
    from torch import nn

    if name == "resnet18":
        return torchvision.models.resnet18(num_classes=FINDINGS)
    widths = [3, 16, 32, 64, 128]
    layers = []
    for inputs, outputs in zip(widths, widths[1:]):
        layers += [nn.Conv2d(inputs, outputs, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
    flat = 128 * (size // 16) ** 2
    head = [nn.Flatten(), nn.Linear(flat, 1024), nn.Dropout(0.25), nn.Linear(1024, FINDINGS)]
    return nn.Sequential(*layers, *head)


def torch_row(arguments):
    import torch

    way = json.loads(arguments.way)
    torch.manual_seed(0)
    tf32 = way["precision"] != "f32"
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = tf32
    torch.backends.cudnn.benchmark = True
    layout = torch.channels_last if way["channels_last"] else torch.contiguous_format
    model = network(arguments.model, arguments.size).cuda().train().to(memory_format=layout)
    shape = (arguments.batch, 3, arguments.size, arguments.size)
    images = torch.randn(shape, device="cuda").contiguous(memory_format=layout)
    labels = (torch.rand(arguments.batch, FINDINGS, device="cuda") < 0.1).float()
    loss_of = torch.nn.BCEWithLogitsLoss(pos_weight=torch.full((FINDINGS,), 3.0, device="cuda"))
    adam = torch.optim.Adam(model.parameters(), lr=1e-4, fused=True)
    forward = torch.compile(model, mode=way["compile"]) if way["compile"] else model

    def step():
        adam.zero_grad(set_to_none=True)
        with torch.autocast("cuda", dtype=torch.bfloat16, enabled=way["precision"] == "bf16"):
            loss = loss_of(forward(images), labels)
        loss.backward()
        adam.step()
        return loss

    times = []
    for _ in range(WARMUP + arguments.steps):
        torch.cuda.synchronize()
        began = time.perf_counter()
        loss = step()
        torch.cuda.synchronize()
        times.append(time.perf_counter() - began)
    free, total = torch.cuda.mem_get_info()
    print(json.dumps({
        "median_seconds": statistics.median(times[WARMUP:]),
        "device_bytes": total - free,
        "allocated_bytes": torch.cuda.max_memory_allocated(),
        "loss_last": float(loss),
    }))


def ceilings():
    """Bytes a second of a copy on the card (read and written), operations a second of a bf16 product."""
    import torch

    def seconds(work):
        for _ in range(3):
            work()
        torch.cuda.synchronize()
        times = []
        for _ in range(10):
            began = time.perf_counter()
            work()
            torch.cuda.synchronize()
            times.append(time.perf_counter() - began)
        return statistics.median(times)

    source = torch.empty(2**31, dtype=torch.uint8, device="cuda")
    target = torch.empty_like(source)
    copied = 2 * source.numel() / seconds(lambda: target.copy_(source))
    a, b = (torch.randn(8192, 8192, device="cuda", dtype=torch.bfloat16) for _ in range(2))
    multiplied = 2 * 8192**3 / seconds(lambda: a @ b)
    print(json.dumps({"bytes_per_second": copied, "flops_per_second": multiplied,
                      "card": torch.cuda.get_device_name(), "torch": torch.__version__,
                      "cudnn": torch.backends.cudnn.version(), "cuda": torch.version.cuda}))


def rows(arguments, model):
    """Name, precision and command of everyone who takes part."""
    shared = ["--model", model, "--batch", str(arguments.batch), "--size", str(arguments.size),
              "--steps", str(arguments.steps)]
    for precision in ("bf16",) if arguments.quick else ("f32", "tf32", "bf16"):
        for plans in ("heuristic", "measured"):
            command = [arguments.program, "bench", "step", *shared, "--warmup", str(WARMUP), "--device", "cuda",
                       "--precision", precision, "--plans", plans, "--json"]
            yield f"CXR {precision}, {plans} plans", precision, command
    ways = [(precision, last, None) for precision in ("f32", "tf32", "bf16") for last in (False, True)]
    ways += [("tf32", True, "default"), ("bf16", True, "default"), ("bf16", True, "max-autotune")]
    if arguments.quick:
        ways = [("bf16", True, None), ("bf16", True, "max-autotune")]
    for precision, last, compiled in ways:
        way = {"precision": precision, "channels_last": last, "compile": compiled}
        layout = "channels-last" if last else "NCHW"
        name = f"PyTorch {precision} {layout}" + (f" compiled ({compiled})" if compiled else "")
        yield name, precision, [sys.executable, __file__, "torch-row", *shared, "--way", json.dumps(way)]


def last_json(text):
    """The JSON object that a program's output ends with, on one line or on many."""
    start = text.index("{")
    return json.loads(text[start:])


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("what", nargs="?", default="all", choices=["all", "torch-row", "ceilings"])
    parser.add_argument("--program", default=str(ROOT / "target/release/cxr"))
    parser.add_argument("--models", default="resnet18,xray-cnn")
    parser.add_argument("--model")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--size", type=int, default=320)
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--timeout", type=float, default=150.0)
    parser.add_argument("--way")
    parser.add_argument("--out")
    arguments = parser.parse_args()
    if arguments.what == "torch-row":
        return torch_row(arguments)
    if arguments.what == "ceilings":
        return ceilings()

    card = last_json(subprocess.run([sys.executable, __file__, "ceilings"], capture_output=True, text=True, check=True).stdout)
    print(f"{card['card']}, PyTorch {card['torch']}, CUDA {card['cuda']}, cuDNN {card['cudnn']}; "
          f"copy {card['bytes_per_second'] / 1e12:.2f} TB/s, bf16 product {card['flops_per_second'] / 1e12:.0f} TFLOP/s", flush=True)
    everything = {"card": card, "batch": arguments.batch, "size": arguments.size, "runs": []}
    for model in arguments.models.split(","):
        takers = list(rows(arguments, model))
        seen = {name: [] for name, _, _ in takers}
        for _ in range(arguments.rounds):
            for name, _, command in takers:
                try:
                    done = subprocess.run(command, capture_output=True, text=True, timeout=arguments.timeout)
                except subprocess.TimeoutExpired:
                    print(f"  {name}: more than {arguments.timeout} s", file=sys.stderr, flush=True)
                    continue
                if done.returncode != 0:
                    print(f"  {name} failed: {done.stderr.strip()[-300:]}", file=sys.stderr, flush=True)
                    continue
                seen[name].append(last_json(done.stdout))
                everything["runs"].append({"model": model, "name": name, **seen[name][-1]})
                # After every row: a visit may end at any moment.
                if arguments.out:
                    pathlib.Path(arguments.out).write_text(json.dumps(everything, indent=1))
                print(f"  {model} {name}: {seen[name][-1]['median_seconds'] * 1e3:.2f} ms", file=sys.stderr, flush=True)
        medians = {name: statistics.median(one["median_seconds"] for one in found) for name, found in seen.items() if found}
        best = min((seconds for name, seconds in medians.items() if name.startswith("PyTorch")), default=float("nan"))
        print(f"\n{model}, batch {arguments.batch}, {arguments.size}², medians of {arguments.rounds} rounds of {arguments.steps} steps\n")
        print("| | ms a step | images/s | share of the floor | GiB on the card | PyTorch's best ÷ it | loss |\n|---|---|---|---|---|---|---|")
        for name, precision, _ in takers:
            if name not in medians:
                continue
            seconds, found = medians[name], seen[name]
            scale = arguments.batch * (arguments.size / 320) ** 2
            floor = max(FLOPS[model] * scale / card["flops_per_second"] if precision == "bf16" else 0.0,
                        BYTES[model][precision] * scale / 64 / card["bytes_per_second"])
            gib = statistics.median(one["device_bytes"] or 0 for one in found) / 2**30
            print(f"| {name} | {seconds * 1e3:.2f} | {arguments.batch / seconds:.0f} | {floor / seconds:.2f} "
                  f"| {gib:.2f} | {best / seconds:.2f} | {found[-1]['loss_last']:.4f} |", flush=True)


main()
