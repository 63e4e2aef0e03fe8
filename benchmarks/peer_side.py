"""One side of a comparison, in a process of its own, which `peers.py` starts with the case as JSON.

Prints a line of JSON once it is ready ({"first": seconds of the first call, ...}); then for each line on stdin does one
call and prints its seconds; at the end of stdin, its peak memory. Each library is imported by its own sides alone.
"""

import json
import os
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

import numpy as np

FILTERS = {"edsr": 64, "wdsr-a": 32, "wdsr-b": 32}
BATCH, PATCH = 16, 48
IMAGE = 339, 510  # LR pixels: a DIV2K image at x4


def main(case):
    """Answers until stdin ends."""
    call, facts = SIDES[case["side"], case["kind"]](case)
    start = time.perf_counter()
    call()
    print(json.dumps({"first": time.perf_counter() - start, **facts}), flush=True)
    for _ in sys.stdin:
        start = time.perf_counter()
        call()
        print(time.perf_counter() - start, flush=True)
    print(_peak_mib(), flush=True)


def _images(*shape):
    return np.random.default_rng(0).integers(256, size=shape).astype("float32")


def _patches(scale):
    return _images(BATCH, PATCH, PATCH, 3), _images(BATCH, PATCH * scale, PATCH * scale, 3)


def _peak_mib():
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) / 1024


def ours_step(case):
    """A training step as `train.py` does it; how many floating-point operations it takes, and the library."""
    from command_line.devices import use_onednn

    use_onednn()
    import keras

    import train

    options = ["--profile", f"{case['network']}-{case['blocks']}", "--scale", case["scale"], "--precision",
               case["precision"], *([] if case["network"].startswith("wdsr") else ["--no-weightnorm"])]
    args = train.parse_args([str(option) for option in options])
    _, network, _ = train.build(args)
    lr, hr = _patches(case["scale"])
    # Forward, and backward for the weights and for the features: three times the multiply-adds.
    facts = {"flop": 6 * BATCH * _multiply_adds(network, PATCH), "library": f"keras {keras.__version__}"}
    return lambda: network.train_on_batch(lr, hr), facts


def ours_image(case, engine="keras"):
    """An image as `demo.py` enlarges it, without reading and writing files."""
    import keras

    from model import build_network
    from super_resolution import SuperResolver
    from super_resolution.precision import mixed_bfloat16

    network = build_network(case["network"], case["scale"], num_filters=FILTERS[case["network"]],
                            num_res_blocks=case["blocks"],
                            **({"res_block_expansion": {"wdsr-a": 4, "wdsr-b": 6}[case["network"]]}
                               if case["network"] != "edsr" else {}))
    facts = {"flop": 2 * _multiply_adds(network, *IMAGE), "library": f"keras {keras.__version__}"}
    super_resolve = SuperResolver(network if case["precision"] == "float32" else mixed_bfloat16(network), engine=engine)
    lr = _images(*IMAGE, 3).astype("uint8")
    return lambda: super_resolve.enlarge(lr), facts


def _multiply_adds(network, height, width=None):
    from evaluation.complexity import complexity_of

    return complexity_of(network, 1, (width or height, height)).multiply_adds


def ours_pairs(case, what="stream in fit"):
    """Pairs of patches for training: the stream in `fit`, a constant batch in `fit`, or the stream alone."""
    from command_line.devices import use_onednn

    use_onednn()
    import keras

    import train
    from data import PatchSequence, tensorflow_dataset
    from datasets.patches import PatchStream

    stream = PatchStream(_pairs(case["folder"]), 2, BATCH, PATCH)
    facts = {"pairs": BATCH * case["batches"]}
    if what == "stream":
        return lambda: [stream.batch(i) for i in range(case["batches"])], facts
    if case["network"] == "one layer":
        lr = keras.Input((None, None, 3))
        network = keras.Model(lr, keras.layers.UpSampling2D(2)(keras.layers.Conv2D(3, 1)(lr)))
        network.compile("sgd", "mae", jit_compile=False)
    else:
        _, network, _ = train.build(train.parse_args(["--profile", case["network"]]))
    patches = PatchSequence(stream if what == "stream in fit" else Constant(stream.batch(0)), case["batches"])
    return lambda: network.fit(tensorflow_dataset(patches), verbose=0, shuffle=False), facts


class Constant:
    """A stream of the same batch again and again."""

    batch_size = BATCH

    def __init__(self, batch):
        self.batch = lambda number: batch


def _pairs(folder):
    from data import find_training_pairs
    from datasets.degraded import find_downgrade

    return find_training_pairs(Path(folder), 2, find_downgrade("bicubic", 1, 1, 0), validation=False)[0]


def torch_step(case, compile_it=False):
    """A training step of the network in PyTorch."""
    import torch
    from torch_networks import NETWORKS, training_step

    torch.set_num_threads(os.cpu_count())
    lr, hr = (torch.from_numpy(images).permute(0, 3, 1, 2) for images in _patches(case["scale"]))
    network = NETWORKS[case["network"]](case["scale"], FILTERS[case["network"]], case["blocks"])
    return (training_step(torch.compile(network) if compile_it else network, case["precision"], lr, hr),
            {"library": f"torch {torch.__version__}"})


def torch_image(case, compile_it=False):
    """An image enlarged by the network in PyTorch, weight normalization folded, rounded to uint8."""
    import torch
    from torch.nn.utils import parametrize
    from torch_networks import NETWORKS

    torch.set_num_threads(os.cpu_count())
    network = NETWORKS[case["network"]](case["scale"], FILTERS[case["network"]], case["blocks"]).eval()
    for module in network.modules():
        if parametrize.is_parametrized(module):
            parametrize.remove_parametrizations(module, "weight")
    network = network.to(memory_format=torch.channels_last)
    network = torch.compile(network) if compile_it else network
    lr = _images(*IMAGE, 3).astype("uint8")
    mixed = torch.autocast("cpu", torch.bfloat16, enabled=case["precision"] == "bfloat16")

    def call():
        with torch.inference_mode(), mixed:
            x = torch.from_numpy(lr).permute(2, 0, 1)[None].float().contiguous(memory_format=torch.channels_last)
            return network(x).float().round_().clamp_(0, 255).to(torch.uint8)[0].permute(1, 2, 0).numpy()

    return call, {"library": f"torch {torch.__version__}"}


def openvino_image(case):
    """The network of this suite, converted from ONNX for OpenVINO."""
    import openvino

    core = openvino.Core()
    core.set_property("CPU", {"INFERENCE_PRECISION_HINT": {"float32": "f32", "bfloat16": "bf16"}[case["precision"]]})
    compiled = core.compile_model(core.read_model(case["exported"]), "CPU")
    lr = _images(*IMAGE, 3).astype("uint8")

    def call():
        sr = compiled(lr[None].astype("float32"))[0]
        return np.clip(np.rint(sr), 0, 255).astype("uint8")

    return call, {"library": f"openvino {openvino.__version__}"}


def peak(case):
    """A matrix product, from which the machine's peak is taken."""
    import tensorflow as tf

    size = 2048
    matrix = tf.cast(tf.random.normal((size, size)), case["precision"])
    product = tf.function(tf.linalg.matmul)
    return lambda: product(matrix, matrix).numpy(), {"flop": 2 * size**3, "library": f"tensorflow {tf.__version__}"}


SIDES = {
    ("ours", "step"): ours_step, ("ours", "image"): ours_image, ("ours", "pairs"): ours_pairs, ("ours", "peak"): peak,
    ("constant", "pairs"): lambda case: ours_pairs(case, "constant batch in fit"),
    ("stream", "pairs"): lambda case: ours_pairs(case, "stream"),
    ("torch", "step"): torch_step, ("torch", "image"): torch_image,
    ("torch.compile", "step"): lambda case: torch_step(case, compile_it=True),
    ("torch.compile", "image"): lambda case: torch_image(case, compile_it=True),
    ("openvino", "image"): openvino_image,
    ("ours, OpenVINO", "image"): lambda case: ours_image(case, engine="openvino"),
}

if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
