"""What enlarges images: the models below a folder, loaded one after the other, and bicubic interpolation."""

from choices import MODEL_SUFFIXES
from errors import UserError
from evaluation.failures import reporting
from imaging.resize import imresize


class Bicubic:
    """Enlarges images as MATLAB's `imresize` does: the base line that every network is compared with.

    Like a `SuperResolver` it has a `name`, a `scale` and `num_parameters`, of which there are none.
    """

    num_parameters = None

    def __init__(self, scale, border):
        self.scale, self.border = scale, border
        self.name = f"bicubic x{scale}"

    def __call__(self, lr):
        return imresize(lr, self.scale, self.border)


def find_models(folder):
    """Returns the sorted paths of the models in `folder` and its subfolders; `folder` may be a model itself.

    Raises:
        UserError: there is no such folder, or no model is in it.
    """
    if folder.is_file():
        return [folder]
    if not folder.is_dir():
        raise UserError(f"{folder}: there is no such folder")
    paths = sorted(path for path in folder.rglob("*")
                   if path.suffix.lower() in MODEL_SUFFIXES and not path.name.startswith("."))
    if not paths:
        raise UserError(f"{folder}: there are no models in it ({', '.join(MODEL_SUFFIXES)})")
    return paths


def load_models(paths, self_ensemble=False, on_failure=None, precision="float32"):
    """Yields a `SuperResolver` for each model, named after its path.

    Each is to be used before the next is asked for: a model of the same network takes the place of the last one, so
    that nothing is compiled anew and memory does not grow.

    Args:
        paths: of model files.
        self_ensemble: as for `SuperResolver`.
        on_failure: function of the path and the exception where a model cannot be loaded; the next one follows. By
            default the exception is raised.
        precision: of the computation, as for `super_resolution.load`.
    """
    super_resolve = None
    for path in paths:
        loaded = False
        with reporting(path, on_failure):
            super_resolve = _load(path, super_resolve, self_ensemble, precision)
            loaded = True
        if loaded:
            yield super_resolve


def with_bicubic(networks, border):
    """Yields networks, and before the first one of each scale bicubic interpolation at that scale.

    Args:
        networks: iterable of `SuperResolver`.
        border: of the interpolation, 'replicate' or 'symmetric'.
    """
    scales = set()
    for super_resolve in networks:
        if super_resolve.scale not in scales:
            scales.add(super_resolve.scale)
            yield Bicubic(super_resolve.scale, border)
        yield super_resolve


def _load(path, last, self_ensemble, precision):
    """Returns a `SuperResolver` for a model: `last`, where that has the same network."""
    # Keras is imported here, since models are looked for before a script prepares its backend.
    import weights
    from super_resolution import SuperResolver
    from super_resolution.precision import POLICIES, mixed

    model = weights.load(path)
    if last is None or not last.take_over(model):
        if precision in POLICIES:
            return SuperResolver(mixed(model, POLICIES[precision]), self_ensemble=self_ensemble, name=str(path),
                                 exact=model)
        return SuperResolver(model, self_ensemble=self_ensemble, name=str(path))
    last.name = str(path)
    return last
