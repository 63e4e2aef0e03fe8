"""Which models of a run are kept, and which of them is the best: a function of the run's history alone.

So a run that is broken off anywhere and resumed keeps the same files as one that was not.
"""

import weights
from files import write_errors


class Checkpoints:
    """The models of a run.

    Args:
        folder: in which they are.
        name_of: function of an epoch's row of the history that returns the name of its file.
        figure: name of the figure by which models are compared, None where there is none.
        lower_is_better: of the figure.
        best_only: keep only models that are better than all before.
        after_epoch: keep only models of later epochs.
        every: keep the models of each so many epochs, of the last epoch, and the best.
        keep_last: keep only the last so many of these and the best; None for all.
        last_epoch: number of the run's last epoch.
    """

    def __init__(self, folder, name_of, figure, *, last_epoch, lower_is_better=False, best_only=False, after_epoch=0,
                 every=1, keep_last=None):
        self.folder = folder
        self.name_of = name_of
        self.figure = figure
        self.sign = -1 if lower_is_better else 1
        self.best_only = best_only
        self.after_epoch = after_epoch
        self.every = every
        self.keep_last = keep_last
        self.last_epoch = last_epoch

    def save(self, model, history):
        """Saves the model of the last row of `history` where it is to be kept, and removes what is not kept any more.

        Models are removed only where `every` or `keep_last` asks for it.

        Raises:
            WriteError: the system refuses to write or to remove.
        """
        kept = self._kept(history)
        if any(row is history[-1] for row in kept):
            weights.save(model, self.path(history[-1]))
        for row in self._kept(history[:-1]) if self.every > 1 or self.keep_last else ():
            if not any(row is other for other in kept):
                with write_errors(self.path(row)):
                    self.path(row).unlink(missing_ok=True)

    def path(self, row):
        """Returns the path of the model of an epoch's row."""
        return self.folder / self.name_of(row)

    def best(self, history):
        """Returns the path of the best model that is there, None where there is none or nothing to compare."""
        rows = [row for row in history if self.path(row).is_file()]
        return self.path(self._best_row(rows)) if rows and self.figure else None

    def last(self, history):
        """Returns the path of the last model that is there, None where there is none."""
        return next((self.path(row) for row in reversed(history) if self.path(row).is_file()), None)

    def epochs_without_better(self, history):
        """Returns how many epochs of the history follow the best."""
        return len(history) - 1 - history.index(self._best_row(history)) if history else 0

    def _best_row(self, rows):
        return max(rows, key=lambda row: self.sign * row[self.figure])  # the first of equals

    def _kept(self, history):
        rows = [row for row in history if row["epoch"] > self.after_epoch]
        if self.best_only:
            records = [row for i, row in enumerate(history) if self._best_row(history[:i + 1]) is row]
            chosen = [row for row in records if row["epoch"] > self.after_epoch]
        else:
            chosen = [row for row in rows if row["epoch"] % self.every == 0 or row["epoch"] == self.last_epoch]
        chosen = chosen[-self.keep_last:] if self.keep_last else chosen
        if self.figure and rows and not self.best_only:  # else it is the last of them
            chosen.append(self._best_row(rows))
        return chosen
