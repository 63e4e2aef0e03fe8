"""What evaluate.py prints and writes: a figure for each row of `METRICS`."""

import csv
import io
import itertools
import json
import math
import re
from pathlib import Path

from evaluation import metrics
from evaluation.difference import EXAMPLES
from evaluation.difference import differences as compared
from files import write_csv, write_text


def line(result):
    """Returns the line that is printed as soon as a model is done."""
    scores = result.scores
    figures = ", ".join(f"{metric.label} = {scores.mean(metric.name):.4f}" for metric in scores.metrics)
    num_done = len(scores.images)
    part = f", the mean over {num_done} of {num_done + scores.num_failed} images" if scores.num_failed else ""
    return f"{_where(result.images)}{figures} for model {result.name}{part}"


def table(results, kind="text"):
    """Returns the table of all results: a row for each model, and of several sets of images a column for each.

    Below it a line says where images are missing from the means, and whether metrics are the better the lower.

    Args:
        results: list of `Result`.
        kind: one of `choices.TABLES`.
    """
    rows = _rows(results, is_joined=kind != "csv" and len(_sets(results)) > 1)
    stems = [Path(row[0]).stem for row in rows[1:]]
    if kind != "text" and len(set(stems)) == len(stems):  # to be published, without the folders of this machine
        for row, stem in zip(rows[1:], stems, strict=True):
            row[0] = stem
    if kind == "csv":
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows(rows)
        return text.getvalue().rstrip("\n")
    notes = ["Some images failed: the figures are means over the others."] if any(
        result.scores.num_failed for result in results) else []
    notes += [f"{metric.label}: the lower, the better." for metric in results[0].scores.metrics
              if not metric.higher_is_better]
    return "\n".join([*{"text": _text_lines, "markdown": _markdown_lines, "latex": _latex_lines}[kind](rows), *notes])


def _rows(results, is_joined):
    """Returns the cells of the table, its header first. The figures of a set share a cell if `is_joined`."""
    found, sets = results[0].scores.metrics, _sets(results)
    labels = [[f"{name} {metric.label}" if name else metric.label for metric in found] for name in sets]
    if is_joined:
        labels = [[f"{name} {' / '.join(metric.label for metric in found)}"] for name in sets]
    has_complexity = any(result.complexity for result in results)
    costs = ["multiply-adds (G)", "activations (M)", "peak memory (MiB)"] if has_complexity else []
    rows = [["model", "scale", "parameters", *costs, *itertools.chain(*labels), "s/image"]]
    models = {}
    for result in results:
        models.setdefault((result.name, result.scale), {})[result.images] = result
    for (name, scale), by_set in models.items():
        first = next(iter(by_set.values()))
        cost = first.complexity
        peak = max((result.peak_mib or 0 for result in by_set.values()), default=0)
        costs = ([f"{cost.multiply_adds / 1e9:.1f}", f"{cost.activations / 1e6:.1f}"] if cost else ["-", "-"])
        costs.append(f"{peak:.0f}" if peak else "-")
        figures = [_figures(by_set.get(images), found) for images in sets]
        if is_joined:
            figures = [[" / ".join(cells)] for cells in figures]
        num_images = sum(len(result.scores.images) for result in by_set.values())
        seconds = sum(result.scores.seconds for result in by_set.values()) / num_images
        rows.append([name, f"x{scale}", f"{first.num_parameters:,}" if first.num_parameters else "-",
                     *(costs if has_complexity else []), *itertools.chain(*figures), f"{seconds:.3f}"])
    return rows


def _sets(results):
    return list(dict.fromkeys(result.images for result in results))


def _figures(result, found):
    if result is None:
        return ["-" for _ in found]
    return [f"{result.scores.mean(metric.name):.{metric.decimals}f}" for metric in found]


def _text_lines(rows):
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(width) if i == 0 else cell.rjust(width)
                      for i, (cell, width) in enumerate(zip(row, widths, strict=True))) for row in rows]


def _markdown_lines(rows):
    lines = [f"| {' | '.join(row)} |" for row in rows]
    return [lines[0], "|---" * len(rows[0]) + "|", *lines[1:]]


def _latex_lines(rows):
    head, *body = [" & ".join(_latex(cell) for cell in row) + r" \\" for row in rows]
    return [rf"\begin{{tabular}}{{l{'r' * (len(rows[0]) - 1)}}}", r"\hline", head, r"\hline", *body, r"\hline",
            r"\end{tabular}"]


def _latex(text):
    """Returns a text with what has a meaning in LaTeX escaped."""
    return re.sub(r"([&%$#_{}])", r"\\\1", text.replace("\\", "/"))


def _where(images):
    return f"{images}: " if images else ""


def differences(results, reference):
    """Returns lines that compare each model with that of the file `reference` in PSNR, on each set of images."""
    lines = []
    for result, _, difference in compared(results, reference):
        low, high = difference.interval
        better = sum(value > 0 for _, value in difference.images)
        examples = ", ".join(f"{name} {value:+.3f}" for name, value in difference.images[:EXAMPLES])
        lines.append(f"{_where(result.images)}{result.name} against {reference}: {difference.mean:+.3f} dB, 95 % "
                     f"interval {low:+.3f} to {high:+.3f}; better on {better} of {len(difference.images)} images; most "
                     f"different: {examples}")
    return "\n".join(lines) or f"No model could be compared with {reference}: none has its scale"


def best(results, by="psnr"):
    """Returns the lines that name the best model of each scale and set of images by each metric; `by` comes last.

    With one scale and set the last line is that of the original suite. A mean over fewer images than those of other
    models is not compared with them.
    """
    models = [result for result in results if result.is_model]
    scales = sorted({result.scale for result in models})
    lines = []
    for metric in sorted(models[0].scores.metrics, key=lambda metric: metric.name == by):
        for images, scale in itertools.product(_sets(models), scales):
            same = [result for result in models if (result.images, result.scale) == (images, scale)]
            if same:
                lines.append(_where(images) + (f"x{scale}: " if len(scales) > 1 else "") + _best(same, metric))
    return "\n".join(lines)


def write_summary(path, results, root):
    """Writes a JSON file: each model's file, as seen from the folder `root`, to its PSNR, or its PSNR by set."""
    psnrs = {}
    for result in results:
        if result.is_model:
            file, psnr = Path(result.name), _finite(result.scores.mean("psnr"))
            name = str(file.relative_to(root) if file.is_relative_to(root) else file)
            if result.images is None:
                psnrs[name] = psnr
            else:
                psnrs.setdefault(name, {})[result.images] = psnr
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
    further = {"set": result.images} if result.images else {}
    if result.complexity:
        further["complexity"] = {**result.complexity._asdict(), "peak_mib": result.peak_mib}
    return {"model": result.name, **further, "scale": result.scale, "parameters": result.num_parameters or 0, **means,
            "seconds_per_image": _seconds(result),
            "images": [{name: _finite(value) for name, value in row.items()} for row in result.scores.images]}


def _write_csv(path, results, settings):
    names = ["set"] if results[0].images else []
    write_csv(path, ["model", *names, "scale", *settings, *results[0].scores.images[0]],
              ({"model": result.name, **dict.fromkeys(names, result.images), "scale": result.scale, **settings, **row}
               for result in results for row in result.scores.images))


def _seconds(result):
    """Returns the network's seconds an image."""
    return result.scores.seconds / len(result.scores.images)


def _finite(value):
    """Returns `value`, or None where it is a number that JSON cannot hold."""
    return None if isinstance(value, float) and not math.isfinite(value) else value
