"""What happens during a training besides its steps: validation, checkpoints, logs."""

import keras
import numpy as np
from tqdm import tqdm

from evaluation import pair_psnr
from model import save_model
from super_resolution import SuperResolver
from workspace import save_state


class FullSizeValidation(keras.callbacks.Callback):
    """Adds `val_psnr` to the logs of each epoch: the mean PSNR over full-size images, as evaluate.py computes it."""

    def __init__(self, inference_model, pairs):
        super().__init__()
        self.inference_model, self.pairs = inference_model, pairs
        self.super_resolve = SuperResolver(inference_model)

    def on_epoch_end(self, epoch, logs=None):
        self.inference_model.set_weights(self.model.get_weights())
        progress = tqdm(self.pairs, desc="validation", unit="image", leave=False, disable=None)
        logs["val_psnr"] = float(np.mean([pair_psnr(self.super_resolve, pair) for pair in progress]))


class Checkpoints(keras.callbacks.Callback):
    """Writes the model, history.csv and the state after each epoch, the state last.

    Args:
        workspace: the run's `Workspace`.
        inference_model: float32 network that takes the trained weights and is saved.
        progress: dict with 'history' (a list of dicts) and 'best_psnr' (dB or None) of the epochs so far.
        save_best_only: save only models that are better than all before.
        save_after_epoch: save only models of later epochs.
    """

    def __init__(self, workspace, inference_model, progress, save_best_only=False, save_after_epoch=0):
        super().__init__()
        self.workspace, self.inference_model, self.progress = workspace, inference_model, progress
        self.save_best_only, self.save_after_epoch = save_best_only, save_after_epoch

    def on_epoch_end(self, epoch, logs=None):
        learning_rate = float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate))
        names = {"loss": "loss", "psnr": "psnr", "val_loss": "val_loss", "val_psnr": "val_psnr"}
        row = {"epoch": epoch + 1, **{name: float(logs[key]) for name, key in names.items() if key in logs},
               "learning_rate": learning_rate}
        self.progress["history"].append(row)
        self._save_model(epoch + 1, row["val_psnr"])
        self.workspace.write_history(self.progress["history"])
        self.progress["epoch"] = epoch + 1
        save_state(self.workspace.state_path, self.model, self.model.optimizer, self.progress)

    def _save_model(self, epoch, psnr):
        best = self.progress["best_psnr"]
        is_best = best is None or psnr > best
        if is_best:
            self.progress["best_psnr"] = psnr
        if epoch > self.save_after_epoch and (is_best or not self.save_best_only):
            path = self.workspace.model_path(epoch, psnr)
            self.inference_model.set_weights(self.model.get_weights())
            save_model(self.inference_model, path)
            print(f"\nsaved {path}", flush=True)


class TensorBoardLogs(keras.callbacks.Callback):
    """Writes the logs of each epoch for TensorBoard, on every Keras backend."""

    def __init__(self, workspace):
        super().__init__()
        from tensorboardX import SummaryWriter

        self.writer = SummaryWriter(str(workspace.logs_dir))

    def on_epoch_end(self, epoch, logs=None):
        for name, value in logs.items():
            self.writer.add_scalar(name, float(value), epoch + 1)
        learning_rate = float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate))
        self.writer.add_scalar("learning_rate", learning_rate, epoch + 1)
        self.writer.flush()

    def on_train_end(self, logs=None):
        self.writer.close()
