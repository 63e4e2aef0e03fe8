"""What a training shows: the progress bar of an epoch, and figures and images for TensorBoard."""

import time

from tensorboardX.event_file_writer import EventsWriter
from tensorboardX.proto.event_pb2 import Event, SessionLog
from tensorboardX.summary import image, scalar
from tqdm import tqdm

from datasets.patches import central_patches
from files import write_errors
from imaging.image_files import to_uint8
from imaging.resize import imresize

PREVIEW_SIZE = 64  # LR pixels
NUM_PREVIEWS = 3


def step_bar(run, epoch, first_step):
    """Returns the progress bar of an epoch, counted from 0, of a `Training`, `first_step` steps of which are done."""
    return tqdm(total=run.iterations_per_epoch * run.sequence.batch_size,
                initial=first_step * run.sequence.batch_size, desc=f"epoch {epoch + 1}/{run.epochs}", unit="image",
                leave=False, disable=None)


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
        self.writer = EventsWriter(str(folder / "events"), filename_suffix=f".epoch-{first_epoch:03d}")
        if first_epoch > 1:
            self.writer.write_event(Event(step=first_epoch, session_log=SessionLog(status=SessionLog.START)))
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
        self.writer.write_event(Event(step=step, wall_time=time.time(), summary=summary))
