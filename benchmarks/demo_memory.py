"""Measures peak memory and time of super-resolving one large photo, from file to file, in a process of its own.

    python benchmarks/demo_memory.py --models wdsr-b-8-x2 wdsr-b-8-x4 --formats png tif jpg
    python benchmarks/demo_memory.py --width 1500 --height 1500 --profiles wdsr-a-32 edsr sr-resnet

The photo is made of the images in ./demo; it has the format of the output. Prints what the process holds once the
libraries and the model are loaded, its peak after that, and how much the peak is above the former: all that the photo,
its output and the network take. With --profiles a network of each profile of train.py at x4 is measured, with random
weights.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))


def memory_mib(field):
    """Returns a line of the process's status in MiB: VmRSS is what it holds, VmHWM its peak."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return int(next(line for line in lines if line.startswith(field)).split()[1]) / 1024


def make_photo(path, width, height):
    """Writes a photo of tiles of the demo images."""
    import numpy as np

    from imaging.image_files import read_image
    from imaging.photos import Photo, write_photo

    tile = np.hstack([read_image(image) for image in sorted((ROOT / "demo").glob("*.png"))])
    photo = np.tile(tile, (-(-height // tile.shape[0]), -(-width // tile.shape[1]), 1))[:height, :width]
    write_photo(path, Photo(np.ascontiguousarray(photo)))


def save_network(profile, path):
    """Writes a network of a profile at x4 with random weights."""
    import weights
    from model import build_network
    from train import PROFILES

    row = PROFILES[profile]
    sizes = {"num_filters": row["num_filters"], "num_res_blocks": row["num_res_blocks"]}
    if "res_expansion" in row:
        sizes["res_block_expansion"] = row["res_expansion"]
    weights.save(build_network(row["model"], 4, res_block_scaling=row.get("res_scaling"), **sizes), path)


def child(args):
    """Super-resolves the photo with the model and prints the figures."""
    from tqdm import tqdm

    from imaging import vips
    from super_resolution import load
    from super_resolution.batch import Batch
    from super_resolution.jobs import plan

    vips.load()
    (model,) = args.models
    super_resolve = load(model, precision=args.precision)
    jobs = plan({args.photo: Path(args.photo.name)}, args.photo.parent)
    factor = args.outscale or super_resolve.scale
    before = memory_mib("VmRSS")
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # the peak counts from here
    start = time.perf_counter()
    with tqdm(disable=True) as bar:
        batch = Batch(super_resolve, bar, factor=factor)
        batch.run(jobs, [0])
    seconds, peak = time.perf_counter() - start, memory_mib("VmHWM")
    if batch.num_failed:
        sys.exit(1)
    print(f"{args.label or model}, {args.precision}, {args.photo.suffix[1:]}: {args.width} x {args.height} x{factor:g} "
          f"in {seconds:.0f} s ({seconds / (args.width * args.height / 1e6):.2f} s a megapixel), tiles of "
          f"{super_resolve.tile_size}: {before:.0f} MiB with the model loaded, peak {peak:.0f} MiB, "
          f"{peak - before:.0f} MiB more", flush=True)


def parser():
    """Returns the command line of this script."""
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--width", type=int, default=6000)
    p.add_argument("--height", type=int, default=4000)
    p.add_argument("--models", nargs="+", default=["wdsr-b-8-x2", "wdsr-b-8-x4"])
    p.add_argument("--profiles", nargs="+", default=[])
    p.add_argument("--formats", nargs="+", default=["png"], help="of the photo and the output")
    p.add_argument("--outscale", type=float, help="factor between the photo and its output")
    p.add_argument("--precision", default="float32")
    p.add_argument("--photo", type=Path, help=argparse.SUPPRESS)
    p.add_argument("--label", help=argparse.SUPPRESS)
    return p


def main():
    """Starts each measurement in a process of its own."""
    args = parser().parse_args()
    if args.photo:
        child(args)
        return
    options = ["--width", str(args.width), "--height", str(args.height), "--precision", args.precision,
               *(["--outscale", str(args.outscale)] if args.outscale else [])]
    with tempfile.TemporaryDirectory() as folder:
        models = dict.fromkeys(args.models) if not args.profiles else {}
        for profile in args.profiles:
            models[Path(folder) / f"{profile}.keras"] = profile
            save_network(profile, Path(folder) / f"{profile}.keras")
        for suffix in args.formats:
            photo = Path(folder) / f"photo.{suffix}"
            make_photo(photo, args.width, args.height)
            for model, label in models.items():
                subprocess.run([sys.executable, __file__, "--photo", photo, "--models", model, *options,
                                "--label", label or model], check=True)


if __name__ == "__main__":
    main()
