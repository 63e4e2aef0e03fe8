"""Evaluating models, in this process or in several: what each has done of them is put together to results."""

from pathlib import Path
from typing import NamedTuple

from errors import UserError
from evaluation.complexity import complexity_of
from evaluation.failures import Fault, reporting
from evaluation.measure import Result, Scores, require_scores
from evaluation.memory import peak_memory, reset_peak_memory
from evaluation.models import Bicubic, load_model
from evaluation.outputs import Existing
from evaluation.plan import Plan

WHOLE_MODELS = 4  # models for each process, from which on each model is left to one process


class Part(NamedTuple):
    """A run of the images of a set: part `number` of `total`."""

    number: int
    total: int


class Piece(NamedTuple):
    """What became of a `Part`.

    Attributes:
        model: path.
        set_number: of the set of images in the plan.
        part: `Part`.
        result: `Result` of its images, None where the model cannot be applied to them at all.
        refused: list of `Fault`, each of an image that the model could not enlarge.
        of_model: `Fault` of the model, if all of its images are refused.
        faults: list of `Fault` to be told in any case.
        narrow: dict of images whose white level may be missing.
    """

    model: Path
    set_number: int
    part: Part
    result: Result | None
    refused: list
    of_model: Fault | None
    faults: list
    narrow: dict


class Model(NamedTuple):
    """A model that is to be evaluated on a set of images: a work of `sharing` whose jobs are `Part`s.

    Attributes:
        path: of its file; of a plan with super-resolved images their folder.
        set_number: of the set in the plan.
        plan: `Plan`.
        scale: that the model must have, or None.
        self_ensemble, precision, engine: as `load_model` takes them.
        costs_at: size of an output, (width, height), at which its complexity is counted, or None.
    """

    path: Path
    set_number: int
    plan: Plan
    scale: int | None = None
    self_ensemble: bool = False
    precision: str = "float32"
    engine: str = "keras"
    costs_at: tuple | None = None

    JOBS = "parts of models"

    def load(self, last):
        """Returns the `Evaluator` of this process."""
        return last or Evaluator(self.plan)

    def do(self, evaluator, parts, sizes, bar):
        """Returns a list of `Piece`s."""
        pieces = []
        for part, size in zip(parts, sizes, strict=True):
            pieces.append(evaluator.piece(self, part))
            bar.update(size)
        return pieces

    def title(self, _, parts):
        """Returns what is said where a process begins with parts."""
        return f"{self.path}" + ("" if parts[0].total == 1 else f", part {parts[0].number} of {parts[0].total}")

    def label(self, _):
        """Returns the model's path."""
        return str(self.path)

    def lost(self, parts):
        """Returns the number of the parts, and their `Piece`s without results."""
        fault = Fault(f"failed: {self.path}: the process that evaluated it has ended", "")
        return len(parts), [Piece(self.path, self.set_number, part, None, [], None, [fault], {}) for part in parts]


class Evaluator:
    """Evaluates models in this process; images and the last model stay loaded.

    Args:
        plan: `Plan`.
        tell: function that takes each `Fault` at once; None: pieces have them.
        progress: wraps the samples of a part, given the model's name as well, to show how far it is.
    """

    def __init__(self, plan, tell=None, progress=lambda samples, name: samples):
        self._plan, self._tell, self._progress = plan, tell, progress
        self._narrow, self._faults = {}, []
        self._evaluations = plan.evaluations(self._narrow, self._note)
        self._path = self._enlarge = None

    def piece(self, model, part):
        """Returns the `Piece` of a `Model` and a `Part`."""
        result, refused, of_model = None, [], None
        with reporting(model.path, self._note):
            enlarge = self._load(model)
            if model.costs_at:
                reset_peak_memory()
            result, refused = self._evaluations[model.set_number].part(
                enlarge, *part, progress=lambda samples: self._progress(samples, enlarge.name))
            if model.costs_at:
                complexity = complexity_of(enlarge.model, enlarge.scale, model.costs_at)
                result = result._replace(complexity=complexity, peak_mib=peak_memory())
            metrics = [metric._replace(function=None) for metric in result.scores.metrics]  # a network stays here
            result = result._replace(scores=result.scores._replace(metrics=metrics))
        if refused:
            of_model = Fault.of(model.path, refused[0][1])
        faults, self._faults = self._faults, []
        refused = [Fault.of(*each) for each in refused]
        return Piece(model.path, model.set_number, part, result, refused, of_model, faults, dict(self._narrow))

    def with_bicubic(self, results):
        """Returns `Result`s, and before the first ones of each scale those of bicubic interpolation, of each set where
        that can be done."""
        complete, scales = [], set()
        for result in results:
            if result.scale not in scales:
                scales.add(result.scale)
                complete += self._bicubic(Bicubic(result.scale, self._plan.bicubic_border))
            complete.append(result)
        return complete

    def _bicubic(self, enlarge):
        for evaluation in self._evaluations:
            with reporting(enlarge.name, self._note):
                yield evaluation.result(enlarge, lambda samples: self._progress(samples, enlarge.name))

    def _load(self, model):
        """Returns what enlarges images in place of the model of a `Model`."""
        if self._plan.sr_images:
            return Existing(model.path, model.scale)
        if model.path != self._path:
            self._enlarge = load_model(model.path, self._enlarge, model.self_ensemble, model.precision, model.engine)
            self._path = model.path
        if model.scale not in (None, self._enlarge.scale):
            raise UserError(f"{model.path}: is a model for scale {self._enlarge.scale}, not for scale {model.scale}")
        return self._enlarge

    def _note(self, subject, error):
        fault = Fault.of(subject, error)
        self._faults.append(fault) if self._tell is None else self._tell(fault)


class Collected:
    """Puts the pieces of models together.

    Args:
        failures: `Failures` that are told what failed.
        on_result: function that takes each `Result` as soon as it is whole.

    Attributes:
        narrow: dict of all images whose white level may be missing.
    """

    def __init__(self, failures, on_result):
        self.narrow = {}
        self._failures, self._on_result = failures, on_result
        self._pieces, self._results = {}, {}

    def add(self, pieces):
        """Takes a list of `Piece`s."""
        for piece in pieces:
            self.narrow |= piece.narrow
            for fault in piece.faults:
                self._failures.tell(fault)
            own = self._pieces.setdefault((piece.model, piece.set_number), [])
            own.append(piece)
            if len(own) == piece.part.total and (result := self._whole(own)):
                self._results[piece.model, piece.set_number] = result
                self._on_result(result)

    def results(self, models):
        """Returns the `Result`s of `Model`s in their order."""
        keys = [(model.path, model.set_number) for model in models]
        return [self._results[key] for key in keys if key in self._results]

    def _whole(self, pieces):
        """Returns the `Result` of all pieces of a model, None where it failed."""
        pieces = sorted(pieces, key=lambda piece: piece.part)
        if any(piece.result is None for piece in pieces):
            return None
        results = [piece.result for piece in pieces]
        rows = [row for result in results for row in result.scores.images]
        first = results[0]
        scores = Scores(rows, sum(result.scores.seconds for result in results), first.scores.metrics,
                        sum(result.scores.num_failed for result in results))
        if not rows and any(piece.refused for piece in pieces):
            self._failures.tell(next(piece.of_model for piece in pieces if piece.refused))
            return None
        for fault in (fault for piece in pieces for fault in piece.refused):
            self._failures.tell(fault)
        with reporting(first.name, self._failures.report):
            require_scores(first.name, scores)
            return first._replace(scores=scores, peak_mib=max(result.peak_mib or 0 for result in results) or None)
        return None


def shares_of(models, num_workers):
    """Returns for each of some processes its share of `Model`s, as `sharing` takes it.

    With many models each falls to one process, with few each process has a part of the images.
    """
    by_path = {}
    for model in models:
        by_path.setdefault(model.path, []).append(model)
    groups = list(by_path.values())
    if len(groups) >= WHOLE_MODELS * num_workers:
        return [[(model, [Part(1, 1)], [1]) for group in groups[i::num_workers] for model in group]
                for i in range(num_workers)]
    return [[(model, [Part(i + 1, num_workers)], [1 / num_workers]) for model in models] for i in range(num_workers)]
