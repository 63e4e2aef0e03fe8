"""Where checkpoints keep the weights of a network, and what they put before its names: one rule for all of them.

Of several networks in a file the first of these lists is taken: a moving average (EMA) of the weights before the
weights themselves, and a generator before what trained it.
"""

AVERAGES = ("params_ema", "ema_state_dict", "model_ema", "state_dict_ema", "generator_ema", "netG_ema", "net_g_ema",
            "ema_model", "ema")
WRAPPERS = (*AVERAGES, "params", "state_dict", "model_state_dict", "weights", "model", "netG", "net_g", "generator",
            "network", "net")
SHARED = ("module", "_orig_mod", *WRAPPERS)  # prefixes that all names may have
CHOSEN = (*AVERAGES, "netG", "net_g", "generator", "model")  # prefixes of one network among several
MAX_DEPTH = 4


def find_state(value):
    """Returns the state dict in what a checkpoint holds, and notes for the user; `value` itself where none is inside.

    A wrapper holds a dict; names of tensors are no wrappers, since they hold tensors.
    """
    notes = []
    for _ in range(MAX_DEPTH):
        key = next((key for key in WRAPPERS if isinstance(value, dict) and isinstance(value.get(key), dict)), None)
        if key is None:
            break
        value = value[key]
        if key in AVERAGES:
            notes.append(_note(key))
    return value, notes


def unwrap_names(names):
    """Returns name -> name without prefixes, and notes for the user; names of other networks are left out."""
    found, notes = {name: name for name in names}, []
    for _ in range(MAX_DEPTH):
        prefix = _prefix(list(found.values()))
        if prefix is None:
            break
        found = {name: short.removeprefix(prefix) for name, short in found.items() if short.startswith(prefix)}
        if prefix[:-1] in AVERAGES:
            notes.append(_note(prefix[:-1]))
    return found, notes


def _prefix(names):
    """Returns the prefix that is to be taken off, or None."""
    for key in CHOSEN + SHARED:
        prefix = f"{key}."
        within = [name for name in names if name.startswith(prefix)]
        # Old ESRGAN's own names are model.0.weight, model.1.sub...: a number is no beginning of a network's names.
        if not within or any(name[len(prefix):len(prefix) + 1].isdecimal() for name in within):
            continue
        if len(within) == len(names) or key in CHOSEN:
            return prefix
    return None


def _note(key):
    return f"read from its {key}: a moving average of the weights"
