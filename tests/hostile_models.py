"""Changed copies of .keras files, and a bell that rings where something in one is called."""

import io
import json
import zipfile

import h5py
import keras

from errors import UserError

CONFIG, WEIGHTS = "config.json", "model.weights.h5"
RUNG = []  # what was called


@keras.saving.register_keras_serializable(package="bell")
def ring(*args, **kwargs):
    RUNG.append("ring")
    return args[0] if args else None


@keras.saving.register_keras_serializable(package="bell")
class Bell(keras.layers.Layer):
    def __init__(self, **kwargs):
        RUNG.append("Bell")
        super().__init__(**kwargs)

    @classmethod
    def from_config(cls, config):
        RUNG.append("from_config")
        return cls()

    def call(self, inputs):
        RUNG.append("call")
        return inputs


FUNCTION = {"module": "builtins", "class_name": "function", "config": "ring", "registered_name": "bell>ring"}
OBJECT = {"module": None, "class_name": "Bell", "config": {}, "registered_name": "bell>Bell"}


def parts(path):
    """Returns the parts of a .keras file by name, as bytes."""
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def write_parts(path, contents, method=zipfile.ZIP_STORED):
    """Writes an archive of `contents`, a dict of bytes by name or a list of pairs, and returns its path."""
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in dict(contents).items() if isinstance(contents, dict) else contents:
            archive.writestr(name, content)
    return path


def with_config(path, target, edit):
    """Copies a model with its configuration changed by `edit(config, layers by name)` and returns the path."""
    contents = parts(path)
    config = json.loads(contents[CONFIG])
    edit(config, {layer["name"]: layer for layer in config["config"]["layers"]})
    return write_parts(target, contents | {CONFIG: json.dumps(config)})


def with_weights(path, target, edit):
    """Copies a model with its HDF5 file of weights changed by `edit(file)` and returns the path."""
    contents = parts(path)
    content = io.BytesIO(contents[WEIGHTS])
    with h5py.File(content, "r+") as file:
        edit(file)
    return write_parts(target, contents | {WEIGHTS: content.getvalue()})


def refusal(load, path, *args):
    """Returns the text of the `UserError` of `load(path, *args)`, or None where it loads.

    Any other exception goes on. The text must be one line that names the file, and nothing may have rung.
    """
    RUNG.clear()
    try:
        load(path, *args)
        text = None
    except UserError as error:
        text = str(error)
    assert not RUNG
    assert text is None or (text.startswith(str(path)) and text.isprintable() and len(text) < 2000), text
    return text


def nested(depth):
    """Returns the text of lists in lists."""
    return "[" * depth + "]" * depth


def places(value):
    """Returns all places in JSON: a list of (what holds it, key or index)."""
    found, level = [], [value]
    while level:
        part = level.pop()
        keys = list(part) if isinstance(part, dict) else range(len(part)) if isinstance(part, list) else ()
        found += [(part, key) for key in keys]
        level += [part[key] for key in keys]
    return found


def mutate_config(config, rng):
    """Changes one to three places of a configuration, in place, to something odd."""
    odd = [None, True, -1, 0, 1.5, 2**70, -1e308, "", "x" * 3000, "a\nb", "\ud800", [], {}, [[[]]], FUNCTION, OBJECT,
           "ring", "bell>ring", "Lambda", "Functional", [None, None, None, 3], {"class_name": "__numpy__"}]
    for _ in range(rng.integers(1, 4)):
        found = places(config)
        holder, key = found[rng.integers(len(found))]
        other_holder, other_key = found[rng.integers(len(found))]
        choice = rng.integers(4)
        if choice == 0:
            del holder[key]
        elif choice == 1:
            holder[key] = json.loads(json.dumps(other_holder[other_key]))
        elif choice == 2 and isinstance(holder, list):
            holder.append(json.loads(json.dumps(holder[key])))
        else:
            holder[key] = odd[rng.integers(len(odd))]


def mutate_bytes(content, rng, first=0):
    """Returns bytes with one to eight of them changed, or with a piece cut out or put in again."""
    changed = bytearray(content)
    choice = rng.integers(8)
    start = int(rng.integers(first, len(changed)))
    if choice == 0:
        del changed[start:start + int(rng.integers(1, 500))]
    elif choice == 1:
        changed[start:start] = changed[start:start + int(rng.integers(1, 500))]
    else:
        for place in rng.integers(first, len(changed), rng.integers(1, 9)):
            changed[place] = rng.choice([0, 1, 255, int(rng.integers(256))])
    return bytes(changed)
