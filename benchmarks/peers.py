"""Times this suite beside PyTorch and OpenVINO: training steps, images, pairs of patches, the first step.

    python benchmarks/peers.py --torch-python .venv-torch/bin/python --openvino-python .venv/bin/python -o peers.json

The sides of a row are processes that are alive together and take turns, one call each; the figures are medians, and
the ratio is that of the fastest other side to the faster of ours (above 1: ours is faster). bfloat16 is measured where
the CPU has instructions for it. Prints a table in Markdown; the file holds all samples, the machine, versions, commit
and date.
"""

import argparse
import contextlib
import datetime
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from files import write_text

HERE = Path(__file__).parent
STEPS = ("edsr", 16), ("wdsr-a", 16), ("wdsr-b", 32)
IMAGES = ("edsr", 16), ("wdsr-b", 32), ("wdsr-b", 8)
PLACES = "exported", "folder"  # of this machine
SIDES = {"step": ("ours", "torch", "torch.compile"),
         "image": ("ours", "ours, OpenVINO", "torch", "torch.compile", "openvino"),
         "pairs": ("ours", "constant", "stream"), "peak": ("ours",)}


class Side:
    """A process that does one call when it is asked to."""

    def __init__(self, python, case):
        environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "KERAS_BACKEND": "tensorflow"}
        self.process = subprocess.Popen([python, HERE / "peer_side.py", json.dumps(case)], stdin=subprocess.PIPE,
                                         stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment)
        self.samples = []
        line = self.process.stdout.readline()
        self.facts = json.loads(line) if line.startswith("{") else None

    def call(self):
        """Does one call and keeps its seconds."""
        print(file=self.process.stdin, flush=True)
        self.samples.append(float(self.process.stdout.readline()))

    def end(self):
        """Ends the process; returns its peak memory in MiB."""
        self.process.stdin.close()
        peak = self.process.stdout.read()
        self.process.wait()
        return float(peak) if peak else None


def measure(case, pythons, rounds):
    """Returns the row of a case: what each side measured."""
    sides = {}
    for name in SIDES[case["kind"]]:
        if pythons.get(name):
            side = Side(pythons[name], {**case, "side": name})
            if side.facts is None and name == "ours":
                raise SystemExit(f"{describe(case)}: does not run; see `peer_side.py '{json.dumps(case)}'`")
            if side.facts is None:
                print(f"{describe(case)}: {name} does not run here", file=sys.stderr)
            else:
                sides[name] = side
    for _ in range(rounds):
        for side in sides.values():
            side.call()
    shown = {key: value for key, value in case.items() if key not in PLACES}
    return {"case": shown, "sides": {name: {**side.facts, "samples": side.samples, "peak_mib": side.end(),
                                           "median": statistics.median(side.samples)} for name, side in sides.items()}}


def describe(case):
    """Returns the name of a row."""
    if case["kind"] == "pairs":
        return f"pairs in `fit` of {case['network']} x2"
    if case["kind"] == "peak":
        return f"matrix product, {case['precision']}"
    return f"{case['kind']} {case['network']}-{case['blocks']} x{case['scale']}, {case['precision']}"


def cases(precisions, folder):
    """Returns all rows that are measured."""
    rows = [{"kind": "peak", "precision": precision} for precision in precisions]
    for kind, scale, networks in (("step", 2, STEPS), ("image", 4, IMAGES)):
        rows += [{"kind": kind, "network": network, "blocks": blocks, "scale": scale, "precision": precision}
                 for network, blocks in networks for precision in precisions]
    return rows + [{"kind": "pairs", "network": network, "batches": batches, "folder": str(folder)}
                   for network, batches in (("one layer", 200), ("wdsr-b-8", 20))]


def table(rows):
    """Returns the rows as Markdown."""
    peaks = {row["case"]["precision"]: speed(row["sides"]["ours"]) for row in rows if row["case"]["kind"] == "peak"}
    lines = ["| | ours | `--engine openvino` | PyTorch | torch.compile | OpenVINO | ratio | of the peak | first call |",
             "|---|---|---|---|---|---|---|---|---|"]
    for row in rows:
        sides, case = row["sides"], row["case"]
        ours = sides["ours"]
        if case["kind"] in ("pairs", "peak"):
            figure = pairs(sides) if case["kind"] == "pairs" else f"{speed(ours):,.0f} GFLOP/s"
            lines.append(f"| {describe(case)} | {figure} | | | | | | | |")
            continue
        others = [side["median"] for name, side in sides.items() if not name.startswith("ours")]
        cells = [f"{sides[name]['median']:.3f}" if name in sides else "" for name in SIDES["image"]]
        best = min(side["median"] for name, side in sides.items() if name.startswith("ours"))
        ratio = f"{min(others) / best:.2f}" if others else ""
        share = f"{speed(ours) / peaks[case['precision']]:.0%}" if case["precision"] in peaks else ""
        lines.append(f"| {describe(case)} | {' | '.join(cells)} | {ratio} | {share} | {ours['first']:.1f} |")
    return "\n".join(lines)


def pairs(sides):
    """Returns how many pairs of patches a second a network gets, beside those of a constant batch."""
    rates = {name: side["pairs"] / side["median"] for name, side in sides.items()}
    return (f"{rates['ours']:,.0f} a second, {rates['ours'] / rates['constant']:.0%} of those of a constant batch; the "
            f"stream alone {rates['stream']:,.0f}")


def speed(side):
    """Returns the GFLOP/s of a side."""
    return side["flop"] / side["median"] / 1e9


def machine():
    """Returns what the figures depend on."""
    info = Path("/proc/cpuinfo").read_text(encoding="utf-8") if sys.platform == "linux" else ""
    lines = dict(line.split("\t: ", 1) for line in info.splitlines() if "\t: " in line)
    lines = {key.strip(): value for key, value in lines.items()}
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=HERE, capture_output=True, text=True,
                            check=False).stdout.strip()
    return {"cpu": lines.get("model name", platform.processor()), "cores": os.cpu_count(), "commit": commit,
            "wide": [flag for flag in ("avx2", "avx512f", "avx512_bf16", "amx_bf16") if flag in lines.get("flags", "")],
            "python": platform.python_version(), "date": datetime.date.today().isoformat()}


@contextlib.contextmanager
def training_data():
    """A data set of 20 images of random values, made by convert.py for the rows of pairs."""
    import numpy as np
    from PIL import Image

    with tempfile.TemporaryDirectory() as folder:
        rng = np.random.default_rng(0)
        (Path(folder) / "photos").mkdir()
        for i in range(20):
            Image.fromarray(rng.integers(256, size=(1200, 1600, 3), dtype="uint8")).save(
                Path(folder) / "photos" / f"{i}.png")
        subprocess.run([sys.executable, HERE.parent / "convert.py", "dataset", "-i", Path(folder) / "photos", "-o",
                        Path(folder) / "BIN", "--scales", "2", "--validation-fraction", "0"], check=True,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        yield Path(folder) / "BIN"


def parser():
    """Returns the command line of this script."""
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--torch-python", help="a Python with PyTorch")
    p.add_argument("--openvino-python", help="a Python with OpenVINO, and with what the suite needs")
    p.add_argument("--exported", type=Path, metavar="DIR",
                   help="folder of the networks for OpenVINO, NETWORK-BLOCKS.onnx; made by convert.py export")
    p.add_argument("--rounds", type=int, default=9)
    p.add_argument("--only", default="", metavar="TEXT", help="only the rows whose name contains this")
    p.add_argument("--precisions", nargs="+", choices=("float32", "bfloat16"))
    p.add_argument("-o", "--output", type=Path, help="file for all samples")
    return p


def main():
    """Measures all rows and prints the table."""
    args = parser().parse_args()
    here = machine()
    precisions = args.precisions or ["float32", *(["bfloat16"] if any("bf16" in x for x in here["wide"]) else [])]
    pythons = {**dict.fromkeys(("ours", "constant", "stream"), sys.executable),
               **dict.fromkeys(("torch", "torch.compile"), args.torch_python),
               **dict.fromkeys(("openvino", "ours, OpenVINO"), args.openvino_python)}
    rows = []
    with training_data() as folder:
        for case in cases(precisions, folder):
            if args.only in describe(case):
                if case["kind"] == "image" and args.exported:
                    case["exported"] = str(args.exported / f"{case['network']}-{case['blocks']}.onnx")
                rows.append(measure(case, pythons, args.rounds))
                print(table(rows[-1:]).splitlines()[-1], file=sys.stderr)
    if args.output:
        write_text(args.output, json.dumps({"machine": here, "rows": rows}, indent=1))
    print(f"{here['cores']} cores of {here['cpu']} ({', '.join(here['wide'])}), {here['date']}\n\n{table(rows)}")


if __name__ == "__main__":
    main()
