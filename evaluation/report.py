"""What evaluate.py prints and writes."""

import json
import math
from pathlib import Path
from typing import NamedTuple

from evaluation.measure import Scores
from files import write_csv, write_text


class Result(NamedTuple):
    """The scores of a model, or of bicubic interpolation where `path` is None."""

    path: Path | None
    scale: int
    num_parameters: int
    scores: Scores
    has_ssim: bool

    @property
    def psnr(self):
        """Mean PSNR in dB."""
        return self.scores.mean("psnr")

    @property
    def ssim(self):
        """Mean SSIM, or None."""
        return self.scores.mean("ssim") if self.has_ssim else None

    @property
    def name(self):
        """What stands for the model in the output."""
        return str(self.path) if self.path else f"bicubic x{self.scale}"

    @property
    def seconds(self):
        """The network's seconds an image."""
        return self.scores.seconds / len(self.scores.images)

    def line(self):
        """Returns the line that is printed as soon as the model is done."""
        ssim = f", SSIM = {self.ssim:.4f}" if self.has_ssim else ""
        return f"PSNR = {self.psnr:.4f}{ssim} for model {self.name}"


def table(results, with_ssim):
    """Returns the table of all models, as text."""
    rows = [("model", "scale", "parameters", "PSNR", *(("SSIM",) if with_ssim else ()), "s/image")]
    for result in results:
        rows.append((result.name, f"x{result.scale}", f"{result.num_parameters:,}" if result.path else "-",
                     f"{result.psnr:.3f}", *((f"{result.ssim:.4f}",) if with_ssim else ()), f"{result.seconds:.3f}"))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [[cell.ljust(width) if i == 0 else cell.rjust(width) for i, (cell, width) in
              enumerate(zip(row, widths, strict=True))] for row in rows]
    return "\n".join("  ".join(line) for line in lines)


def write(results, args, protocol):
    """Writes `args.outfile` and `args.details`, and prints the best model."""
    models = [result for result in results if result.path]
    root = args.indir if args.indir.is_dir() else args.indir.parent
    psnrs = {str(result.path.relative_to(root)): _finite(result.psnr) for result in models}
    write_text(args.outfile, json.dumps(psnrs, indent=2) + "\n")
    if args.details:
        (_write_csv if args.details.suffix == ".csv" else _write_json)(results, args, protocol)
    finite = [result for result in models if math.isfinite(result.psnr)]
    if finite:
        best = max(finite, key=lambda result: result.psnr)
        print(f"Best PSNR = {best.psnr:.4f} for model {best.path}")
    else:
        print("No model has a finite PSNR")


def _write_json(results, args, protocol):
    write_text(args.details, json.dumps({
        "protocol": {**protocol._asdict(), "self_ensemble": args.self_ensemble},
        "models": [{"model": result.name, "scale": result.scale, "parameters": result.num_parameters,
                    "psnr": _finite(result.psnr), "ssim": result.ssim and _finite(result.ssim),
                    "seconds_per_image": result.seconds,
                    "images": [{name: _finite(value) for name, value in row.items()} for row in result.scores.images]}
                   for result in results]}, indent=2) + "\n")


def _write_csv(results, args, protocol):
    settings = {**protocol._asdict(), "self_ensemble": args.self_ensemble}
    write_csv(args.details, ["model", "scale", *settings, *results[0].scores.images[0]],
              ({"model": result.name, "scale": result.scale, **settings, **row}
               for result in results for row in result.scores.images))


def _finite(value):
    """Returns `value`, or None where it is a number that JSON cannot hold."""
    return None if isinstance(value, float) and not math.isfinite(value) else value
