"""The networks by name: a new one is a file of its own and a row here."""

import inspect

from model.edsr import edsr, edsr_gen
from model.msr_resnet import msr_resnet
from model.rrdb import rrdb
from model.span import span
from model.srgan import sr_resnet
from model.srvgg import srvgg
from model.wdsr import wdsr_a, wdsr_b

NETWORKS = {"wdsr-a": wdsr_a, "wdsr-b": wdsr_b, "edsr": edsr, "edsr-gen": edsr_gen, "sr-resnet": sr_resnet,
            "msr-resnet": msr_resnet, "rrdb": rrdb, "srvgg": srvgg, "span": span}


def build_network(name, scale, **hyper_parameters):
    """Builds the network `name` of `NETWORKS`: RGB (N, H, W, 3) in [0, 255] in, (N, H scale, W scale, 3) out.

    Args:
        name: key of `NETWORKS`.
        scale: 1, 2, 3, 4 or 8.
        hyper_parameters: of any network (`num_filters`, `num_res_blocks`, `res_block_expansion`,
            `res_block_scaling`, `padding`, `growth`, `unshuffle`, `subtract_mean`); a builder gets those that it has.

    Returns:
        An uncompiled `keras.Model`.

    Raises:
        ValueError: the network is not for this scale, or a hyper-parameter is not allowed.
    """
    builder = NETWORKS[name]
    known = inspect.signature(builder).parameters
    return builder(scale, **{key: value for key, value in hyper_parameters.items() if key in known})
