"""Which network a state dict of PyTorch is of, by marks in its names: those that are read, and others by their name."""

import re
from collections.abc import Callable
from typing import NamedTuple

from errors import UserError
from weights.checkpoint import read_tensors
from weights.community import read_msr_resnet, read_rrdb, read_span, read_srvgg
from weights.pytorch import read_basicsr_edsr, read_edsr, read_wdsr
from weights.torch_layers import block_numbers, merged, plain_name


class Architecture(NamedTuple):
    """A kind of networks.

    Attributes:
        name: as people call it.
        marks: regular expressions, each of which matches the whole name of a tensor of every such network.
        read: function of path and tensors (see `merged`) that returns a `Source`; None where there is no such network
            here.
    """

    name: str
    marks: tuple
    read: Callable | None = None


RESIDUAL = r"layers\.0\.residual_group\."
ARCHITECTURES = (  # the first that fits; what has the names of another and more of its own stands before it
    Architecture("MM-RealSR", (r"body\.0\.rdb1\.conv1\.weight", r"de_net\..*")),
    Architecture("ESRGAN+ (RRDB with further convolutions)", (r".*\.RDB1\.conv1x1\.weight",)),
    Architecture("ESRGAN (RRDB)", (r"(model\.1\.sub|RRDB_trunk|body)\.0\.(RDB|rdb)1\.conv1(\.0)?\.weight",), read_rrdb),
    Architecture("RLFN", (r"block_1\.c1_r\.weight", r"block_1\.esa\..*")),
    Architecture("SPAN", (r"block_1\.c1_r\.(sk|eval_conv)\.weight", r"upsampler\.0\.weight"), read_span),
    Architecture("SPAN+ (SpanPlus)", (r"feats\.0\.eval_conv\.weight",)),
    Architecture("WDSR", (r"skip\.0\.weight",), read_wdsr),
    Architecture("RCAN", (r"body\.0\.body\.0\.body\.3\.conv_du\.0\.weight",)),
    Architecture("RCAN", (r"body\.0\.rcab\.0\.rcab\.0\.weight",)),
    Architecture("IPT", (r"sub_mean\.weight", r"head\.0\.0\.weight")),
    Architecture("EDSR", (r"head\.0\.(weight|bias)", r"tail\..*"), read_edsr),
    Architecture("EDSR", (r"conv_first\.weight", r"conv_after_body\.weight", r"body\.0\.conv1\.weight"),
                 read_basicsr_edsr),
    Architecture("MSRResNet", (r"conv_first\.weight", r"(body|recon_trunk)\.0\.conv1\.weight", r"upconv1\.weight"),
                 read_msr_resnet),
    Architecture("Compact (SRVGG)", (r"body\.0\.weight", r"body\.1\.weight", r"body\.2\.weight"), read_srvgg),
    Architecture("Compact (SRVGG) with an activation that its names do not tell",
                 (r"body\.0\.weight", r"body\.2\.weight")),
    Architecture("HAT", (RESIDUAL + r"blocks\.0\.conv_block\.cab\.0\.weight",)),
    Architecture("ATD", (RESIDUAL + "td",)),
    Architecture("CRAFT", (RESIDUAL + r"hf_blocks\.0\..*",)),
    Architecture("SRFormer", (RESIDUAL + r"blocks\.0\.attn\.aligned_relative_position_index",)),
    Architecture("Swin2SR", (RESIDUAL + r"blocks\.0\.attn\.logit_scale",)),
    Architecture("SwinIR", (RESIDUAL + r"blocks\.0\.attn\.relative_position_bias_table",)),
    Architecture("DRCT", (r"layers\.0\.swin1\.attn\..*",)),
    Architecture("GRL", (r"layers\.0\.blocks\.0\.attn\.window_attn\..*",)),
    Architecture("RGT", (r"before_RG\.1\.weight", r"layers\.0\.blocks\.0\.gamma")),
    Architecture("DAT", (r"before_RG\.1\.weight", r"layers\.0\.blocks\.0\..*")),
    Architecture("FDAT", (r"groups\.0\.blocks\.0\.attn\.bias",)),
    Architecture("OmniSR", (r"residual_layer\.0\.residual_layer\.0\..*",)),
    Architecture("PLKSR", (r"feats\.1\.lk\..*",)),
    Architecture("MoSR", (r"gblocks\.0\.weight",)),
    Architecture("MoESR", (r"in_to_dim\.weight",)),
    Architecture("DITN", (r"UFONE\.0\..*",)),
    Architecture("SAFMN", (r"to_feat\.(0\.)?weight", r"feats\.0\.safm\..*")),
    Architecture("SeemoRe", (r"body\.0\.local_block\..*",)),
    Architecture("Real-CUGAN", (r"unet1\.conv1\.conv\.0\.weight",)),
    Architecture("IMDN", (r"IMDB1\.c1\.weight",)),
    Architecture("RFDN", (r"B1\.c1_d\.weight",)),
    Architecture("RDN", (r"SFENet1\.weight",)),
    Architecture("DRUNet", (r"m_head\.weight", r"m_down1\.0\.res\.0\.weight")),
    Architecture("NAFNet", (r"intro\.weight", r"middle_blks\.0\..*")),
    Architecture("Restormer or another that repairs images at their own size", (r"encoder_level1\.0\..*",)),
    Architecture("GFPGAN or another for faces", (r"stylegan_decoder\..*",)),
    Architecture("DnCNN", (r"model\.0\.weight", r"model\.2\.weight", r"model\.4\.weight")),
)
MAX_SHOWN = 3


def read_pytorch(path):
    """Reads weights from PyTorch, a .safetensors, .pt or .pth file, of any network that is known here.

    Raises:
        UserError: names the file and the first tensor that does not fit, or what the network is.
    """
    arrays, notes = read_tensors(path)
    names = list(map(plain_name, arrays))
    known = next((kind for kind in ARCHITECTURES if all(any(re.fullmatch(mark, name) for name in names)
                                                        for mark in kind.marks)), None)
    if known is None:
        shown = ", ".join(name[:60] for name in names[:MAX_SHOWN])
        raise UserError(f"{path}: is of no network that is known here: its tensors are named {shown}, ...; {_read()}")
    if known.read is None:
        raise UserError(f"{path}: is a network of another kind, {known.name}{_size(names)}: {_read()}")
    source = known.read(path, merged(path, arrays))
    return source._replace(notes=[*notes, *source.notes])


def _read():
    names = dict.fromkeys(kind.name for kind in ARCHITECTURES if kind.read)
    return f"{', '.join(names)} are read"


def _size(names):
    """Returns how many blocks the names number, in words, or nothing."""
    count = len(block_numbers(names, r"(?:model\.1\.sub|RRDB_trunk|body|layers|groups|gblocks|feats)\.(\d{1,4})\."))
    return f" of {count} blocks" if count > 1 else ""
