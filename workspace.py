"""The folder of a training run: its arguments, models, logs, history and state."""

import csv
import io
import json
import zipfile
from datetime import datetime
from pathlib import Path

import numpy as np

from files import atomic_path, make_folder, write_text
from options import UserError


class Workspace:
    """A run's folder: args.txt, models/, logs/ (TensorBoard), history.csv and state/state.npz."""

    def __init__(self, folder):
        self.folder = Path(folder)
        self.args_path = self.folder / "args.txt"
        self.models_dir = self.folder / "models"
        self.logs_dir = self.folder / "logs"
        self.history_path = self.folder / "history.csv"
        self.state_path = self.folder / "state" / "state.npz"

    @classmethod
    def create(cls, outdir, parser, args):
        """Makes a time-stamped folder below `outdir` and writes args.txt into it."""
        stamp = datetime.now().strftime("%Y%m%d-%H%M%S")
        make_folder(outdir)
        for suffix in ("", *(f"-{i}" for i in range(2, 1000))):
            workspace = cls(outdir / f"{stamp}{suffix}")
            try:
                workspace.folder.mkdir()
            except FileExistsError:
                continue
            write_text(workspace.args_path, "".join(f"{line}\n" for line in command_line(parser, args)))
            return workspace
        raise UserError(f"{outdir}: holds a thousand runs of this second")

    def model_path(self, epoch, psnr):
        """Returns the path of the checkpoint of an epoch, counted from 1; `psnr` is in dB."""
        return self.models_dir / f"epoch-{epoch:03d}-psnr-{psnr:.4f}.keras"

    def write_history(self, history):
        """Writes history.csv: one row for each dict of `history`."""
        text = io.StringIO()
        writer = csv.DictWriter(text, fieldnames=list(history[-1]))
        writer.writeheader()
        writer.writerows(history)
        write_text(self.history_path, text.getvalue())


def command_line(parser, args):
    """Returns every option of `args` as a list of words '--option=value', from which `parser` reads the same."""
    words = []
    for action in parser._actions:
        value = getattr(args, action.dest, None)
        if action.dest == "help" or value is None or value == []:
            continue
        option = next(name for name in action.option_strings if name.startswith("--"))
        if isinstance(value, bool):
            if value:
                words.append(option)
            elif len(action.option_strings) > 1 and f"--no-{option[2:]}" in action.option_strings:
                words.append(f"--no-{option[2:]}")
        elif isinstance(value, list):
            words.append(f"{option}={value[0]}-{value[-1]}")
        else:
            words.append(f"{option}={value}")
    return words


def save_state(path, model, optimizer, progress):
    """Writes all that is needed to go on with a training into one file, atomically.

    Args:
        path: .npz file.
        model: its weights are kept, those that are not trained included.
        optimizer: its variables are kept: iterations, moments, scales.
        progress: dict of plain numbers, strings and lists.
    """
    arrays = {f"model/{i:04d}/{v.path}": v for i, v in enumerate(model.variables)}
    arrays |= {f"optimizer/{i:04d}/{v.path}": v for i, v in enumerate(optimizer.variables)}
    arrays = {name: np.asarray(variable.numpy()) for name, variable in arrays.items()}
    with atomic_path(path) as temporary:
        np.savez(temporary, progress=np.array(json.dumps(progress)), **arrays)


def load_state(path, model, optimizer):
    """Restores what `save_state` wrote and returns `progress`.

    Raises:
        UserError: the file is missing, damaged, or of another network or optimizer.
    """
    if not path.is_file():
        raise UserError(f"{path}: there is no such file: the run has not finished an epoch yet")
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = dict(file)
        progress = json.loads(str(arrays.pop("progress")))
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise UserError(f"{path}: cannot be read as the state of a training: {error}") from error
    optimizer.build(model.trainable_variables)
    _assign(path, "model", model.variables, arrays)
    _assign(path, "optimizer", optimizer.variables, arrays)
    return progress


def _assign(path, group, variables, arrays):
    saved = [array for name, array in sorted(arrays.items()) if name.startswith(f"{group}/")]
    if [array.shape for array in saved] != [tuple(variable.shape) for variable in variables]:
        raise UserError(f"{path}: holds the state of another {group} than this run's")
    for variable, array in zip(variables, saved, strict=True):
        variable.assign(array)
