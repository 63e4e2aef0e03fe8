"""What evaluate.py prints and writes: a figure for each row of `METRICS`."""

import json
import math
from pathlib import Path

from evaluation import metrics
from files import write_csv, write_text


def line(result):
    """Returns the line that is printed as soon as a model is done."""
    scores = result.scores
    figures = ", ".join(f"{metric.label} = {scores.mean(metric.name):.4f}" for metric in scores.metrics)
    num_done = len(scores.images)
    part = f", the mean over {num_done} of {num_done + scores.num_failed} images" if scores.num_failed else ""
    return f"{figures} for model {result.name}{part}"


def table(results):
    """Returns the table of all results, as text, and a line below it where images are missing from the means."""
    rows = [("model", "scale", "parameters", *(metric.label for metric in results[0].scores.metrics), "s/image")]
    for result in results:
        figures = (f"{result.scores.mean(metric.name):.{metric.decimals}f}" for metric in result.scores.metrics)
        rows.append((result.name, f"x{result.scale}", f"{result.num_parameters:,}" if result.is_model else "-",
                     *figures, f"{_seconds(result):.3f}"))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [[cell.ljust(width) if i == 0 else cell.rjust(width) for i, (cell, width) in
              enumerate(zip(row, widths, strict=True))] for row in rows]
    text = "\n".join("  ".join(line) for line in lines)
    if any(result.scores.num_failed for result in results):
        text += "\nSome images failed: the figures are means over the others."
    return text


def best(results):
    """Returns the lines that name the best model of each scale by each metric; PSNR, the first one, comes last.

    With one scale the last line is that of the original suite. A mean over fewer images than those of other models is
    not compared with them.
    """
    models = [result for result in results if result.is_model]
    scales = sorted({result.scale for result in models})
    lines = []
    for metric in reversed(models[0].scores.metrics):
        for scale in scales:
            prefix = f"x{scale}: " if len(scales) > 1 else ""
            lines.append(prefix + _best([result for result in models if result.scale == scale], metric))
    return "\n".join(lines)


def write_summary(path, results, root):
    """Writes a JSON file: each model's file, as seen from the folder `root`, to its PSNR."""
    psnrs = {str(Path(result.name).relative_to(root)): _finite(result.scores.mean("psnr"))
             for result in results if result.is_model}
    write_text(path, json.dumps(psnrs, indent=2) + "\n")


def write_details(path, results, settings):
    """Writes the figures of every image to `path`, .csv or .json, with the `settings` (a dict) they depend on."""
    (_write_csv if path.suffix == ".csv" else _write_json)(path, results, settings)


def _best(results, metric):
    most = max(len(result.scores.images) for result in results)
    means = {result.name: result.scores.mean(metric.name) for result in results if len(result.scores.images) == most}
    means = {name: mean for name, mean in means.items() if math.isfinite(mean)}
    if not means:
        return f"No model has a finite {metric.label}"
    name = (max if metric.higher_is_better else min)(means, key=means.get)
    return f"Best {metric.label} = {means[name]:.4f} for model {name}"


def _write_json(path, results, settings):
    write_text(path, json.dumps({"protocol": settings, "models": [_as_dict(result) for result in results]},
                                indent=2) + "\n")


def _as_dict(result):
    """Returns a result for JSON; metrics that were not computed are None."""
    computed = {metric.name for metric in result.scores.metrics}
    means = {metric.name: _finite(result.scores.mean(metric.name)) if metric.name in computed else None
             for metric in metrics.METRICS}
    return {"model": result.name, "scale": result.scale, "parameters": result.num_parameters or 0, **means,
            "seconds_per_image": _seconds(result),
            "images": [{name: _finite(value) for name, value in row.items()} for row in result.scores.images]}


def _write_csv(path, results, settings):
    write_csv(path, ["model", "scale", *settings, *results[0].scores.images[0]],
              ({"model": result.name, "scale": result.scale, **settings, **row}
               for result in results for row in result.scores.images))


def _seconds(result):
    """Returns the network's seconds an image."""
    return result.scores.seconds / len(result.scores.images)


def _finite(value):
    """Returns `value`, or None where it is a number that JSON cannot hold."""
    return None if isinstance(value, float) and not math.isfinite(value) else value
