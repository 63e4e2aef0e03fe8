"""What enlarges images: the models below a folder, and bicubic interpolation."""

from choices import MODEL_SUFFIXES
from errors import UserError
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


def load_model(path, last=None, self_ensemble=False, precision="float32", engine="keras"):
    """Returns a `SuperResolver` for a model, named after its path.

    Args:
        path: of the model's file.
        last: what this function returned for another model, with the same options, and is no longer needed: where that
            has the same network it takes over the weights, so that nothing is compiled anew and memory does not grow.
        self_ensemble: as for `SuperResolver`.
        precision, engine: of the computation, as for `super_resolution.load`.
    """
    # Keras is imported here, since models are looked for before a script prepares its backend.
    import weights
    from super_resolution import SuperResolver
    from super_resolution.engines import choose_engine
    from super_resolution.precision import in_precision

    engine = choose_engine(engine, precision)
    model = weights.load(path)
    if last is None or not last.take_over(model):
        network, exact = in_precision(model, precision)
        return SuperResolver(network, self_ensemble=self_ensemble, name=str(path), exact=exact, engine=engine)
    last.name = str(path)
    return last
