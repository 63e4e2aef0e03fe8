"""The parts of gpu.py, each in a process of its own, which writes a line of JSON for each row."""

import csv
import json
import math
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

import numpy as np

ROOT = Path(__file__).parent.parent
NETWORKS = {"edsr-16": ("edsr", 64, 16), "wdsr-a-16": ("wdsr-a", 32, 16), "wdsr-b-32": ("wdsr-b", 32, 32)}
PRECISIONS = ("float32", "bfloat16")
BATCH, PATCH, SCALE = 16, 48, 2
TINY = ["--profile", "wdsr-b-8", "--num-filters", "8", "--num-res-blocks", "1", "--patch-size", "12", "--batch-size",
        "4", "--iterations-per-epoch", "10", "--log-steps", "10", "--validation-steps", "4"]
CPU_ONLY = {"CUDA_VISIBLE_DEVICES": "", "JAX_PLATFORMS": "cpu"}


def write_dataset(folder, sides):
    """Writes pairs of random images x2 in DIV2K's layout, of these LR heights, for training and for validation."""
    rng = np.random.default_rng(0)
    for subset in ("train", "valid"):
        hr_dir, lr_dir = folder / f"DIV2K_{subset}_HR", folder / f"DIV2K_{subset}_LR_bicubic" / f"X{SCALE}"
        hr_dir.mkdir(parents=True)
        lr_dir.mkdir(parents=True)
        for i, side in enumerate(sides):
            lr = rng.integers(256, size=(side, side + 20, 3), dtype=np.uint8)
            np.save(lr_dir / f"{i:04d}x{SCALE}.npy", lr)
            np.save(hr_dir / f"{i:04d}.npy", np.repeat(np.repeat(lr, SCALE, 0), SCALE, 1))


def timed(call, seconds):
    """Returns the seconds of one of the `call`s, each of which waits for the device, over so many seconds and more."""
    start, number = time.perf_counter(), 0
    while number == 0 or time.perf_counter() - start < seconds:
        call()
        number += 1
    return (time.perf_counter() - start) / number


def steps(write, folder, smoke):
    """Steps of our training in `fit`, with the images on the device."""
    from command_line import prepare_backend

    prepare_backend(0.8)
    import keras
    from gpu_state import Idle, peak_memory

    import train
    from data import PatchSequence, patch_stream
    from datasets.div2k import find_pairs
    from training.on_device import on_device

    write_dataset(folder / "BIN", [60, 70] if smoke else [600, 700, 800, 900])
    together = 1 if keras.backend.backend() == "torch" else 10
    tiny = ["--num-res-blocks", "1", "--num-filters", "8"] if smoke else []
    pairs = find_pairs(folder / "BIN", "train", SCALE, "bicubic")
    for profile in NETWORKS:
        for precision in PRECISIONS:
            _, network, _ = train.build(train.parse_args(
                ["--profile", profile, "--scale", str(SCALE), "--precision", precision, "--steps-per-execution",
                 str(together), *tiny]))
            stream = patch_stream(pairs, SCALE, "train", batch_size=2 if smoke else BATCH, patch_size=PATCH, seed=0)
            sequence = on_device(PatchSequence(stream), network, "yes")

            def fit(number, network=network, sequence=sequence):
                sequence.window(0, number)
                network.fit(sequence, verbose=0, shuffle=False)  # which ends with figures that wait for the device

            start = time.perf_counter()
            fit(together)
            first = time.perf_counter() - start
            number = 10 if smoke else 200
            fit(number)
            with Idle() as idle:
                seconds = timed(lambda fit=fit, number=number: fit(number), 0 if smoke else 5) / number
            sequence.close()
            write({"name": f"step {profile} x{SCALE}, {precision}", "figure": 1 / seconds, "unit": "steps/s",
                   "first": first, "waits": idle.waits, "peak": peak_memory()})


def torch_steps(write, _, smoke):
    """Steps of the PyTorch peer, as it is and compiled."""
    import torch
    from torch_networks import NETWORKS as PEERS
    from torch_networks import training_step

    device = "cuda" if torch.cuda.is_available() else "cpu"
    wait = torch.cuda.synchronize if device == "cuda" else lambda: None
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    torch.backends.cudnn.benchmark = True
    size = PATCH
    lr, hr = (torch.rand(2 if smoke else BATCH, 3, size * factor, size * factor, device=device) * 255
              for factor in (1, SCALE))
    for side in ("eager",) if smoke else ("eager", "compiled"):
        for profile, (name, filters, blocks) in NETWORKS.items():
            for precision in PRECISIONS:
                network = PEERS[name](SCALE, 8 if smoke else filters, 1 if smoke else blocks).to(device)
                step = training_step(torch.compile(network) if side == "compiled" else network, precision, lr, hr)

                def several(step=step):
                    for _ in range(2 if smoke else 20):
                        step()
                    wait()

                several()
                seconds = timed(several, 0 if smoke else 4) / (2 if smoke else 20)
                write({"name": f"step {profile} x{SCALE}, {precision}", "side": side, "figure": 1 / seconds,
                       "unit": "steps/s"})


def images(write, folder, smoke):
    """Images with untrained networks, and a photo from file to file with the shipped one."""
    from command_line import prepare_backend

    prepare_backend(0.8)
    from gpu_state import Idle, peak_memory

    from model import build_network
    from super_resolution import SuperResolver
    from super_resolution.precision import POLICIES, mixed
    from super_resolution.tiles import default_memory

    lr = np.random.default_rng(0).integers(256, size=(40, 50, 3) if smoke else (1356, 2040, 3), dtype=np.uint8)
    for profile in ("edsr-16", "wdsr-b-32"):
        name, filters, blocks = NETWORKS[profile]
        network = build_network(name, 4, num_filters=8 if smoke else filters, num_res_blocks=1 if smoke else blocks,
                                **({"res_block_expansion": 6} if name == "wdsr-b" else {}))
        for precision in PRECISIONS:
            model = mixed(network, POLICIES[precision]) if precision in POLICIES else network
            resolver = SuperResolver(model, memory=default_memory(model))
            resolver.enlarge(lr)
            with Idle() as idle:
                seconds = timed(lambda resolver=resolver: resolver.enlarge(lr), 0 if smoke else 3)
            write({"name": f"{lr.shape[1]} x {lr.shape[0]} pixels x4, {profile}, {precision}",
                   "figure": 16e-6 * math.prod(lr.shape[:2]) / seconds, "unit": "megapixels/s", "waits": idle.waits,
                   "peak": peak_memory()})
    for precision in PRECISIONS:
        write(photo(folder, precision, smoke))
    for together in (True, False):
        write(small_images(together, smoke))


def photo(folder, precision, smoke):
    """Returns the row of a photo x4, a JPEG made of one of ours, from file to file, once the model has been used."""
    from gpu_state import Idle, peak_memory
    from PIL import Image
    from tqdm import tqdm

    from super_resolution import load
    from super_resolution.batch import Batch
    from super_resolution.jobs import plan_one

    width, height = (60, 40) if smoke else (6000, 4000)
    source = folder / "photo.jpg"
    Image.open(ROOT / "demo" / "nuthatch.jpg").convert("RGB").resize((width, height)).save(source)
    resolver = load(scale=4, precision=precision)
    seconds = []
    for run in range(2):
        batch = Batch(resolver, tqdm(disable=True))
        start = time.perf_counter()
        with Idle() as idle:
            batch.run(plan_one({source: source.name}, folder / f"{precision}-{run}.jpg"), [0])
        seconds.append(time.perf_counter() - start)
        if batch.num_failed:
            raise SystemExit(f"{source}: could not be enlarged")
    return {"name": f"photo of {width} x {height} pixels x4 from file to file, {resolver.name}, {precision}",
            "figure": seconds[-1], "unit": "s", "waits": idle.waits, "peak": peak_memory()}


def small_images(together, smoke):
    """Returns the row of small images of one size x4 with the shipped network, several at once or one by one."""
    from gpu_state import Idle, peak_memory

    from super_resolution import load

    number, side = (4, 16) if smoke else (256, 96)
    lrs = np.random.default_rng(0).integers(256, size=(number, side, side, 3), dtype=np.uint8)
    resolver = load(scale=4)

    def enlarge():
        for lr, enlarged in resolver.each(lrs, lambda lr: lr if together else None):
            _ = enlarged() if enlarged else resolver.enlarge(lr)

    enlarge()
    with Idle() as idle:
        seconds = timed(enlarge, 0 if smoke else 3)
    return {"name": f"{number} images of {side} x {side} pixels x4, {resolver.name}, "
                    f"{'several at once' if together else 'one by one'}",
            "figure": number / seconds, "unit": "images/s", "waits": idle.waits, "peak": peak_memory()}


def check(write, folder, smoke):
    """Trains, resumes, evaluates and enlarges on the GPU and on the CPU, and compares what comes out."""
    from PIL import Image

    write_dataset(folder / "BIN", [40, 50, 60])
    Image.open(ROOT / "demo" / "nuthatch.jpg").convert("RGB").resize((90, 70)).save(folder / "photo.png")

    def script(device, name, *argv):
        subprocess.run([sys.executable, ROOT / f"{name}.py", *map(str, argv), "--gpu-memory-fraction", "0.2"],
                       check=True, stdout=subprocess.DEVNULL, cwd=ROOT,
                       env={**os.environ, **(CPU_ONLY if device == "cpu" else {})})

    def train(device, outdir, epochs):
        script(device, "train", "-d", folder / "BIN", "-o", outdir, *TINY, "--epochs", epochs, "--data-on-device",
               "yes" if device == "gpu" else "no")
        return next(iter(outdir.glob("*")))

    def use(device, model):
        script(device, "evaluate", "-d", folder / "BIN", "-i", model, "-o", folder / f"{device}.json")
        script(device, "demo", "-i", folder / "photo.png", "-o", folder / f"{device}.png", "-m", model)

    def resume():
        run = train("gpu", folder / "resumed", 1)
        script("gpu", "train", "--resume", run, "--epochs", 2)
        return run

    with ThreadPoolExecutor() as side_by_side:  # most of what each of them does is to start
        going = {device: side_by_side.submit(train, device, folder / device, 2) for device in ("gpu", "cpu")}
        resuming = side_by_side.submit(resume)
        runs = {device: run.result() for device, run in going.items()}
        model = max(runs["gpu"].glob("models/*002*.keras"))  # one model for both
        list(side_by_side.map(lambda device: use(device, model), runs))
        resumed = resuming.result()

    def losses(run):
        with open(run / "history.csv", encoding="utf-8", newline="") as file:
            return np.array([float(row["loss"]) for row in csv.DictReader(file)])

    def psnrs(device):
        return np.array(list(json.loads((folder / f"{device}.json").read_text()).values()))

    srs = [np.asarray(Image.open(folder / f"{device}.png"), int) for device in ("gpu", "cpu")]
    for name, figure, most in (
            ("loss of a training, GPU and CPU", np.abs(losses(runs["gpu"]) / losses(runs["cpu"]) - 1).max(), 1e-2),
            ("loss of a training, resumed and not", np.abs(losses(resumed) / losses(runs["gpu"]) - 1).max(), 1e-3),
            ("PSNR in dB, GPU and CPU", np.abs(psnrs("gpu") - psnrs("cpu")).max(), 0.01),
            ("grey levels of a photo, GPU and CPU", np.abs(srs[0] - srs[1]).max(), 1)):
        row = {"name": f"largest difference: {name}", "figure": float(figure), "unit": f"(allowed: {most})"}
        if not figure <= most:
            row["failure"] = f"{figure:.3g}, allowed are {most}"
        write(row)


def main():
    """Runs the part that is named: PART ROWS FOLDER [--smoke]."""
    part, rows, folder, *options = sys.argv[1:]
    with open(rows, "a", encoding="utf-8") as file:
        def write(row):
            print(json.dumps({"part": part, **row}), file=file, flush=True)

        {"steps": steps, "torch": torch_steps, "images": images, "check": check}[part](
            write, Path(folder), "--smoke" in options)


if __name__ == "__main__":
    main()
