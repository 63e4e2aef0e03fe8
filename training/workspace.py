"""The folder of a training run: its arguments, models, logs, history and state."""

import json
import zipfile
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path

import keras
import numpy as np

from errors import UserError
from files import atomic_path, make_folder, write_csv, write_text
from training.distribution import Devices

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None


class Workspace:
    """A run's folder: args.txt, models/, logs/ (TensorBoard), a history in CSV and state/state.npz."""

    def __init__(self, folder):
        self.folder = Path(folder)
        self._locked = None
        self.args_path = self.folder / "args.txt"
        self.models_dir = self.folder / "models"
        self.logs_dir = self.folder / "logs"
        self.steps_path = self.folder / "history-steps.csv"
        self.state_path = self.folder / "state" / "state.npz"

    @classmethod
    def create(cls, outdir, args_lines):
        """Makes a time-stamped folder below `outdir` and writes `args_lines` into its args.txt."""
        stamp = datetime.now().strftime("%Y%m%d-%H%M%S")
        make_folder(outdir)
        for suffix in ("", *(f"-{i}" for i in range(2, 1000))):
            workspace = cls(outdir / f"{stamp}{suffix}")
            try:
                workspace.folder.mkdir()
            except FileExistsError:
                continue
            write_text(workspace.args_path, "".join(f"{line}\n" for line in args_lines))
            workspace.lock()
            return workspace
        raise UserError(f"{outdir}: holds a thousand runs of this second")

    @classmethod
    def create_once(cls, outdir, args_lines, devices):
        """Lets the first process `create` the folder; returns it in all of the `Devices`."""
        workspace = cls.create(outdir, args_lines) if devices.is_first else None
        folder = devices.from_first(str(workspace.folder) if workspace else "")
        return workspace or cls(folder)

    def lock(self):
        """Keeps other processes from training this run, until `unlock` or the end of this process.

        Raises:
            UserError: another process has locked it.
        """
        if fcntl is None:
            return
        # This file, since it is always there and never replaced; it is open, and locked, for longer than this block.
        self._locked = open(self.args_path, "rb+")  # noqa: SIM115
        try:
            fcntl.flock(self._locked, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            self.unlock()
            raise UserError(f"{self.folder}: is being trained by another process: stop that first") from error
        except OSError:
            self.unlock()  # a file system without locks

    def unlock(self):
        """Lets other processes train this run."""
        if self._locked is not None:
            self._locked.close()
        self._locked = None

    def write_history(self, name, history):
        """Writes the CSV file `name`: one row for each dict of `history`."""
        write_csv(self.folder / name, list(history[-1]), history)


@dataclass
class Progress:
    """How far a training is: plain values, kept as JSON in the state file.

    Attributes:
        epoch: epochs that are done.
        step: steps that are done of the epoch after them.
        train_logs: figures of that epoch's steps so far; None where it has none yet.
        best_psnr: the best `val_psnr` so far, in dB.
        history: one dict of figures for each epoch.
        logged: sums of the epoch's figures at the last row of `StepLog`, with its steps; below 0 by what earlier
            epochs left over.
        inputs: what the run began with: its options as lines ('options'), and its arrays by subset as `data.array_list`
            has them.
    """

    epoch: int = 0
    step: int = 0
    train_logs: dict | None = None
    best_psnr: float | None = None
    history: list = field(default_factory=list)
    logged: dict = field(default_factory=dict)
    inputs: dict = field(default_factory=dict)


class RunDone(UserError):
    """The run has done all its epochs."""


def open_run(folder, variables, epochs, advice, inputs, accept_changes=False, changes_advice="undo that",
             devices=None):
    """Opens the folder of a run, restores its variables, and says where it goes on.

    Args:
        folder: of the run.
        variables: lists of Keras variables by the name of their group, as the run saved them.
        epochs: number of the last epoch.
        advice: what to do where that epoch is done, the end of that error's text.
        inputs: as of `Progress`, now.
        accept_changes: go on where they are others than those that the run began with.
        changes_advice: what to do where they are others, the end of that error's text.
        devices: `Devices`, of which the first process keeps others from this run; by default one.

    Returns:
        `Workspace` and `Progress`.

    Raises:
        RunDone: the run has done its epochs.
        UserError: its inputs have changed, or another process trains it; or as
            `read_state`; or it is of another network or optimizer.
    """
    workspace, devices = Workspace(folder), devices or Devices()
    if devices.is_first:
        workspace.lock()
    arrays, progress = read_state(workspace.state_path)
    devices.check_same([progress.epoch, progress.step])
    changes = input_changes(progress.inputs, inputs)
    if changes and not accept_changes:
        raise UserError(f"{folder}: {'; '.join(changes)}: {changes_advice}")
    for change in changes:
        print(f"{folder}: {change}")
    progress.inputs = inputs
    _restore(workspace.state_path, arrays, variables)
    if progress.epoch >= epochs:
        raise RunDone(f"{folder}: has done its {progress.epoch} epochs: {advice}")
    print(f"{workspace.folder}: goes on after epoch {progress.epoch}, step {progress.step}")
    return workspace, progress


def input_changes(before, now):
    """Returns in what the inputs of a run, as of `Progress`, differ, a text for each; none where `before` is empty."""
    changes = []
    for subset in before.keys() - {"options"}:
        old, new = before[subset], now[subset]
        kinds = {"are gone": old.keys() - new.keys(), "are new": new.keys() - old.keys(),
                 "have another size or time": {name for name in old.keys() & new.keys() if old[name] != new[name]}}
        changes += [f"{len(names)} arrays for {subset} {verb}, such as {min(names)}"
                    for verb, names in kinds.items() if names]
    options = before.get("options", now["options"])
    old, new = set(options) - set(now["options"]), set(now["options"]) - set(options)
    if old or new:
        changes.append(f"args.txt has {' '.join(sorted(new)) or 'the default'} in place of "
                       f"{' '.join(sorted(old)) or 'the default'}")
    return sorted(changes)


def save_state(path, variables, progress):
    """Writes all that is needed to go on with a training into one file, atomically.

    Args:
        path: .npz file.
        variables: lists of Keras variables by the name of their group, such as `network_variables`.
        progress: `Progress`.
    """
    arrays = {f"{group}/{i:04d}/{variable.path}": keras.ops.convert_to_numpy(variable)
              for group, members in variables.items() for i, variable in enumerate(members)}
    with atomic_path(path) as temporary:
        np.savez(temporary, progress=np.array(json.dumps(asdict(progress)).encode()), **arrays)


def network_variables(network):
    """Returns the variables of a network of `compile_model` by group: layers, optimizer (steps, moments, scales,
    gradients so far) and metrics (means of the epoch so far)."""
    return {"network": network.variables, "optimizer": network.optimizer.variables,
            "metrics": network.metrics_variables}


def load_optimizer_of(model_path, network):
    """Restores the optimizer's variables from the run that wrote the checkpoint `model_path`.

    `network` holds the checkpoint's weights; the state must be that of the same weights.

    Returns:
        None, or the reason why there is no such state.
    """
    path = Workspace(model_path.parent.parent).state_path
    if not path.is_file():
        return f"there is no {path}"
    arrays, _ = read_state(path)
    saved = group_arrays(arrays, "network")
    ours = network.get_weights()
    if len(saved) != len(ours) or not all(map(np.array_equal, saved, ours)):
        return f"{path} is of another epoch or network than {model_path.name}"
    _restore(path, arrays, {"optimizer": network.optimizer.variables})
    return None


def read_state(path):
    """Returns the arrays and the `Progress` of a state file.

    Raises:
        UserError: the file is missing or damaged.
    """
    if not path.is_file():
        raise UserError(f"{path}: there is no such file")
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = dict(file)
        text = arrays.pop("progress").item()  # a string in earlier versions
        return arrays, Progress(**json.loads(text))
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
        raise UserError(f"{path}: cannot be read as the state of a training: {error}") from error


def group_arrays(arrays, group):
    """Returns the arrays of a group of variables in their order."""
    return [array for name, array in sorted(arrays.items()) if name.startswith(f"{group}/")]


def _restore(path, arrays, variables):
    for group, members in variables.items():
        saved = group_arrays(arrays, group)
        if [array.shape for array in saved] != [tuple(variable.shape) for variable in members]:
            raise UserError(f"{path}: holds the state of another {group} than this run's")
        for variable, array in zip(members, saved, strict=True):
            variable.assign(array)
