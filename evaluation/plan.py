"""What is to be evaluated, as plain data that other processes take."""

from functools import partial
from pathlib import Path
from typing import NamedTuple

from datasets.degraded import find_downgrade
from datasets.pairing import RENAME
from evaluation.measure import Evaluation
from evaluation.metrics import choose_metrics
from evaluation.outputs import output_samples, saving
from evaluation.protocol import Protocol
from evaluation.samples import dataset_samples, folder_samples
from imaging.image_files import read_image

DIV2K_BORDER = "symmetric"  # of the bicubic images of DIV2K, as MATLAB had made them


class DataSet(NamedTuple):
    """The validation images of a data set: `downgrade` has what `find_downgrade` takes, the others are of
    `dataset_samples`."""

    folder: Path
    downgrade: tuple
    ids: object = None


class Plan(NamedTuple):
    """Images, and how outputs are compared with them.

    Attributes:
        protocol: `Protocol`.
        dataset: `DataSet`, or None.
        sets: where that is None, list of `ImageSet`.
        sr_images: folder of super-resolved images of the only set, which are measured in place of models, or None.
        border: of the low-resolution and bicubic images that are made, 'replicate' or 'symmetric'.
        white_level: of the images, as `read_image` takes it.
        metrics: names of metrics to compute on request.
        vgg_weights: as `choose_metrics` takes it.
        save_images: folder for the outputs, or None.
        advice: what to do where an image has no partner.
    """

    protocol: Protocol
    dataset: DataSet | None = None
    sets: list = ()
    sr_images: Path | None = None
    border: str = "replicate"
    white_level: int | None = None
    metrics: list = ()
    vgg_weights: str | Path = "imagenet"
    save_images: Path | None = None
    advice: str = RENAME

    @property
    def num_sets(self):
        """How many evaluations `evaluations` returns."""
        return 1 if self.dataset else len(self.sets)

    @property
    def bicubic_border(self):
        """Border with which bicubic interpolation is the base line of these images."""
        return DIV2K_BORDER if self.dataset else self.border

    def evaluations(self, narrow, on_failure):
        """Returns an `Evaluation` for each set of images.

        Args:
            narrow: dict in which images are noted whose white level may be missing, as `read_image` does.
            on_failure: as for `measure`.

        Raises:
            UserError: the network of a metric cannot be loaded, or the folder for the outputs cannot be made.
        """
        metrics = choose_metrics(self.metrics, self.vgg_weights)
        return [Evaluation(samples_of, self.protocol, metrics, on_failure, self._on_output(name), name)
                for samples_of, name in self._samples(narrow)]

    def _samples(self, narrow):
        """Yields for each set a function from a scale to its samples, and its name, None where it is alone."""
        if self.dataset:
            downgrade = find_downgrade(*self.dataset.downgrade)
            yield partial(dataset_samples, self.dataset.folder, downgrade, ids=self.dataset.ids), None
        elif self.sr_images:
            only, = self.sets
            yield partial(output_samples, only.hr, self.sr_images, by_order=only.by_order, advice=self.advice), None
        else:
            read = partial(read_image, white_level=self.white_level, narrow=narrow)
            for images in self.sets:
                yield (partial(folder_samples, images.hr, images.lr, border=self.border, by_order=images.by_order,
                               read=read, advice=self.advice), images.name if len(self.sets) > 1 else None)

    def _on_output(self, name):
        """Returns what writes the outputs of a set, None where they are not wanted."""
        return saving(self.save_images / (name or "")) if self.save_images else None
