"""Models on the Hugging Face hub, as `model.save("hf://NAME/MODEL")` of Keras puts them there."""

import os
import re
from pathlib import Path

from errors import UserError
from weights.archive import CONFIG, WEIGHTS

HUB = "hf://"
ADDRESS = "https://huggingface.co"
NAME = re.compile(r"(?P<owner>[\w.-]+)/(?P<model>[\w.-]+)", re.ASCII)


def fetch(address):
    """Downloads what a model consists of, once: it stays in Keras' folder of downloads, ~/.keras/models.

    Only public models are found. HF_ENDPOINT in the environment names another hub.

    Args:
        address: hf://NAME/MODEL.

    Returns:
        The path of the folder, which `load` takes.

    Raises:
        UserError: `address` is of another form, or the files cannot be downloaded.
    """
    from keras.utils import get_file

    name = NAME.fullmatch(address.removeprefix(HUB))
    if name is None or set(name.groups()) & {".", ".."}:
        raise UserError(f"{address}: is no address of a model: give hf://NAME/MODEL")
    root = f"{os.environ.get('HF_ENDPOINT', ADDRESS).rstrip('/')}/{name[0]}/resolve/main"
    try:
        paths = [get_file(part, f"{root}/{part}", cache_subdir=os.path.join("models", "hub", *name.groups()))
                 for part in (CONFIG, WEIGHTS)]
    except Exception as error:
        if type(error) is not Exception and not isinstance(error, (OSError, ValueError)):  # get_file raises plain ones
            raise
        raise UserError(f"{address}: cannot be downloaded: {' '.join(str(error).split())}") from error
    return Path(paths[0]).parent
