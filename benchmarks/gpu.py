"""Measures this suite on a GPU, in at most 8 minutes, and checks that its results there are those of the CPU.

    KERAS_BACKEND=jax python benchmarks/gpu.py -o gpu.json
    python benchmarks/gpu.py --smoke

Steps a second of EDSR-16, WDSR-A-16 and WDSR-B-32 x2 (batches of 16 patches of 48 x 48), beside PyTorch with
channels_last and autocast, as it is and with torch.compile, where PyTorch is installed; megapixels of output a second;
a photo of 24 megapixels x4 from file to file; the share of time in which the GPU does nothing (by nvidia-smi, over the
timed steps or images); peak memory, by the backend's own count. The check trains, resumes, evaluates and enlarges on
the GPU and on the CPU. Aims: 3 x PyTorch in float32, 1.2 x the fastest PyTorch, waiting below 5 %, the photo in 2 s.

Each part is a process of its own with a share of the time; what it has measured until then is kept. --smoke takes tiny
sizes, on the CPU as well, to see that the parts run.
"""

import argparse
import datetime
import importlib.metadata
import importlib.util
import json
import os
import platform
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from files import write_text

HERE = Path(__file__).parent
SECONDS = {"check": 100, "steps": 150, "torch": 150, "images": 80}  # of each part: 480 together


def run_part(part, seconds, python, smoke):
    """Runs a part of gpu_parts.py; returns the rows that it has written within its time, with one that says how it
    ended where that was not well."""
    with tempfile.TemporaryDirectory() as folder:
        rows = Path(folder) / "rows"
        rows.touch()
        command = [python, HERE / "gpu_parts.py", part, rows, folder, *(["--smoke"] if smoke else [])]
        start = time.monotonic()
        process = subprocess.Popen(command, stdout=sys.stderr, env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
                                   start_new_session=True)
        try:
            code = process.wait(seconds)
            end = f"ended with exit code {code}" if code else None
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)  # with the scripts that it has started
            process.wait()
            end = f"was ended after its {seconds} s"
        found = [json.loads(line) for line in rows.read_text().splitlines() if line.endswith("}")]
        print(f"{part}: {time.monotonic() - start:.0f} s", file=sys.stderr)
        return found + ([{"part": part, "name": part, "failure": end}] if end else [])


def machine():
    """Returns what the figures depend on."""
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=HERE, capture_output=True, text=True,
                            check=False).stdout.strip()
    try:
        gpu = subprocess.run(["nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader"],
                             capture_output=True, text=True, check=False).stdout.strip()
    except OSError:
        gpu = ""
    versions = {found.name: found.version for found in importlib.metadata.distributions()
                if found.name in ("keras", "tensorflow", "tensorflow-cpu", "jax", "torch")}
    return {"gpu": gpu or "none", "cpu cores": os.cpu_count(), "python": platform.python_version(), **versions,
            "backend": os.environ.get("KERAS_BACKEND", "tensorflow"), "commit": commit,
            "date": datetime.date.today().isoformat()}


def table(rows):
    """Returns the rows as Markdown, with the ratio of our steps to the fastest of PyTorch's."""
    lines = ["| what | ours | PyTorch | torch.compile | ratio | GPU waits | peak memory | first step |",
             "|---|---|---|---|---|---|---|---|"]
    peers = {(row["name"], row["side"]): row["figure"] for row in rows if row.get("part") == "torch" and "side" in row}
    names = {row["name"] for row in rows if row["part"] != "torch"}
    rows = [row for row in rows if row["part"] != "torch" or "failure" in row] + [
        {"name": name} for name in dict.fromkeys(name for name, _ in peers) if name not in names]
    for row in rows:
        if "failure" in row:
            lines.append(f"| {row['name']} | {row['failure']} | | | | | | |")
            continue
        others = [peers.get((row["name"], side)) for side in ("eager", "compiled")]
        best = max(filter(None, others), default=None)
        cells = [f"{row['figure']:.4g} {row['unit']}" if "figure" in row else "",
                 *(f"{other:.4g}" if other else "" for other in others),
                 f"{row['figure'] / best:.2f}" if best and "figure" in row else "",
                 f"{row['waits']:.0%}" if row.get("waits") is not None else "",
                 f"{row['peak'] / 2**20:,.0f} MiB" if row.get("peak") else "",
                 f"{row['first']:.1f} s" if "first" in row else ""]
        lines.append(f"| {row['name']} | {' | '.join(cells)} |")
    return "\n".join(lines)


def parser():
    """Returns the command line of this script."""
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--torch-python", default=sys.executable if importlib.util.find_spec("torch") else None,
                   metavar="FILE", help="a Python with PyTorch, to compare with; by default this one, if it has it")
    p.add_argument("--only", nargs="+", choices=SECONDS, default=list(SECONDS), help="parts to run")
    p.add_argument("--smoke", action="store_true", help="tiny sizes")
    p.add_argument("-o", "--output", type=Path, metavar="FILE", help="JSON file for all figures")
    return p


def main():
    """Runs the parts and prints the table."""
    args = parser().parse_args()
    here, rows = machine(), []
    for part in args.only:
        python = args.torch_python if part == "torch" else sys.executable
        if python:
            rows += run_part(part, SECONDS[part], python, args.smoke)
    if args.output:
        write_text(args.output, json.dumps({"machine": here, "smoke": args.smoke, "rows": rows}, indent=1))
    print(", ".join(f"{name} {value}" for name, value in here.items()), table(rows), sep="\n\n")
    return 1 if any("failure" in row for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
