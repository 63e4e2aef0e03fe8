"""What a training shows: how far an epoch is, and figures and images for TensorBoard."""

import csv
import os
import time

from tensorboardX.event_file_writer import EventsWriter
from tensorboardX.proto.event_pb2 import Event, SessionLog
from tensorboardX.summary import image, scalar
from tqdm import tqdm

from datasets.patches import central_patches
from files import read_text, write_errors, write_text
from imaging.image_files import to_uint8
from imaging.resize import imresize

PREVIEW_SIZE = 64  # LR pixels
NUM_PREVIEWS = 3


class StepMeter:
    """Shows how far an epoch is: by a progress bar where stderr is a terminal, else by a line from time to time.

    Args:
        epoch: counted from 0.
        epochs: number of the last epoch.
        first_step: steps of this epoch that were done before.
        steps: of an epoch.
        batch_size: images of a step.
        interval: seconds between two lines.
        shown: whether there is to be a bar.
    """

    def __init__(self, epoch, epochs, first_step, steps, batch_size, interval, shown=True):
        self.epoch, self.epochs = epoch, epochs
        self.step, self.steps = first_step, steps
        self.batch_size = batch_size
        self.interval = interval
        self.loss = None
        self.bar = tqdm(total=steps * batch_size, initial=first_step * batch_size, desc=f"epoch {epoch + 1}/{epochs}",
                        unit="image", leave=False, disable=None if shown else True)
        self._last_line = (first_step, time.monotonic())

    def is_due(self):
        """Whether the next step ends in a line, which is to show the loss."""
        return self.bar.disable and time.monotonic() - self._last_line[1] >= self.interval

    def advance(self, loss=None, steps=1):
        """Counts `steps`; `loss` is the newest that is known, None where it is the one before."""
        self.step += steps
        self.loss = self.loss if loss is None else loss
        if self.is_due():
            self._print()
        self.bar.set_postfix_str("" if self.loss is None else f"loss {self.loss:.4f}", refresh=False)
        self.bar.update(steps * self.batch_size)

    def close(self):
        """Removes the bar."""
        self.bar.close()

    def _print(self):
        (step, then), now = self._last_line, time.monotonic()
        seconds = max(now - then, 1e-6) / (self.step - step)
        left = ((self.epochs - self.epoch) * self.steps - self.step) * seconds
        loss = "" if self.loss is None else f" - loss: {self.loss:.4f}"
        print(f"epoch {self.epoch + 1}/{self.epochs}, step {self.step}/{self.steps}{loss} - "
              f"{self.batch_size / seconds:.0f} images/s, {duration(left)} left", flush=True)
        self._last_line = (self.step, now)


def duration(seconds):
    """Returns a time as hours and minutes."""
    minutes = round(seconds / 60)
    return f"{minutes // 60}h{minutes % 60:02d}m"


class StepLog:
    """Figures of every so many steps: a CSV file, and TensorBoard's folder `steps`.

    In a folder of its own, since TensorBoard would count these steps and the epochs as one axis.

    Args:
        workspace: `Workspace` of the run.
        every: steps between two rows.
    """

    def __init__(self, workspace, every):
        self.path = workspace.steps_path
        self.folder = workspace.logs_dir / "steps"
        self.every = every
        self._done = 0
        self._writer = None

    def begin(self, done):
        """Removes the rows of an earlier try that are of steps after the first `done`."""
        self._done = done
        if not self.path.is_file():
            return
        header, *rows = read_text(self.path).splitlines()
        kept = [row for row in rows if row.count(",") == header.count(",") and int(row.partition(",")[0]) <= done]
        if kept != rows:
            write_text(self.path, "".join(f"{line}\n" for line in (header, *kept)))

    def is_due(self, number):
        """Whether there is to be a row after this step, counted from 1 since the training began."""
        return number % self.every == 0

    def write(self, number, epoch, totals, logged, rate):
        """Writes the mean figures of the steps since the last row.

        Args:
            number: of the step, counted from 1 since the training began.
            epoch: counted from 1.
            totals: sums of the figures, and 'steps', their number.
            logged: `totals` at the last row, {} for none.
            rate: the learning rate by its name.

        Returns:
            The new `logged`.
        """
        sums = {name: total - logged.get(name, 0) for name, total in totals.items()}
        steps = sums.pop("steps")
        row = {"step": number, "epoch": epoch, **{name: total / steps for name, total in sums.items()}, **rate}
        self._append(row)
        self._show(row)
        return totals

    def _append(self, row):
        with write_errors(self.path), open(self.path, "a", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, list(row), lineterminator="\n")
            if os.fstat(file.fileno()).st_size == 0:
                writer.writeheader()
            writer.writerow(row)

    def _show(self, row):
        with write_errors(self.folder):
            if self._writer is None:
                self.folder.mkdir(parents=True, exist_ok=True)
                self._writer = EventsWriter(str(self.folder / "events"), filename_suffix=f".step-{row['step']:06d}")
                if self._done:
                    self._writer.write_event(_start(self._done + 1))
            for name, value in row.items():
                if name not in ("step", "epoch"):
                    self._writer.write_event(_event(row["step"], scalar(f"steps/{name}", value)))
            self._writer.flush()


def open_log(folder, pairs, scale, first_epoch, devices):
    """Returns the `TensorBoardLog` of a run in the first process, and None in the others of its `Devices`."""
    return TensorBoardLog(folder, pairs, scale, first_epoch) if devices.is_first else None


class TensorBoardLog:
    """Figures and a few validation images of each epoch, on every Keras backend.

    Events are written at once and not, as tensorboardX's SummaryWriter does, by a thread in which an error of the
    disk would be lost.

    Args:
        folder: of the event files.
        pairs: pairs of images; the middle of the first few is shown.
        scale: 2, 3, 4 or 8.
        first_epoch: number of the first epoch to be written; those from it on of an earlier try are hidden.
    """

    def __init__(self, folder, pairs, scale, first_epoch):
        self.folder = folder
        with write_errors(folder):
            self._open(pairs, scale, first_epoch)

    def write(self, epoch, figures, super_resolve):
        """Writes the figures of an epoch, counted from 1, and the super-resolved validation images."""
        summaries = [scalar(name, value) for name, value in figures.items() if name != "epoch"]
        summaries += [self._image(name, "sr", to_uint8(super_resolve(lr))) for name, lr in self.previews]
        with write_errors(self.folder):
            for summary in summaries:
                self._write(epoch, summary)
            self.writer.flush()

    def _open(self, pairs, scale, first_epoch):
        folder = self.folder
        folder.mkdir(parents=True, exist_ok=True)
        is_new = not any(folder.glob("events*"))
        self.writer = EventsWriter(str(folder / "events"), filename_suffix=f".epoch-{first_epoch:03d}")
        if not is_new:
            self.writer.write_event(_start(first_epoch))
        self.previews = []
        for pair in pairs[:NUM_PREVIEWS]:
            hr, lr = central_patches(*pair.load(scale), scale, PREVIEW_SIZE)
            self.previews.append((pair.name, lr))
            if first_epoch == 1:
                self._write(0, self._image(pair.name, "hr", hr))
                self._write(0, self._image(pair.name, "bicubic", imresize(lr, scale)))
        self.writer.flush()

    def _image(self, pair_name, name, pixels):
        return image(f"{pair_name}/{name}", pixels, dataformats="HWC")

    def _write(self, step, summary):
        self.writer.write_event(_event(step, summary))


def _event(step, summary):
    return Event(step=step, wall_time=time.time(), summary=summary)


def _start(step):
    """Returns the event that hides what an earlier try wrote from this step on."""
    return Event(step=step, session_log=SessionLog(status=SessionLog.START))
