"""Networks of most public models from PyTorch: the output of minimal versions in torch.nn, under official names."""

import numpy as np
import pytest
from safetensors.numpy import load_file

import weights
from model import msr_resnet, rrdb, span, srvgg
from tests.conftest import to_numpy

torch = pytest.importorskip("torch")
nn = torch.nn
functional = nn.functional

TOLERANCE = 1e-3  # of 255


def conv(num_inputs, num_filters, size=3):
    return nn.Conv2d(num_inputs, num_filters, size, padding=size // 2)


def nearest(x, factor):
    return functional.interpolate(x, scale_factor=factor, mode="nearest")


class DenseBlock(nn.Module):
    def __init__(self, f, g):
        super().__init__()
        for i in range(1, 6):
            self.add_module(f"conv{i}", conv(f + (i - 1) * g, g if i < 5 else f))

    def forward(self, x):
        features = [x]
        for i in range(1, 5):
            features.append(functional.leaky_relu(getattr(self, f"conv{i}")(torch.cat(features, 1)), 0.2))
        return x + 0.2 * self.conv5(torch.cat(features, 1))


class RRDB(nn.Module):
    def __init__(self, f, g):
        super().__init__()
        self.rdb1, self.rdb2, self.rdb3 = (DenseBlock(f, g) for _ in range(3))

    def forward(self, x):
        return x + 0.2 * self.rdb3(self.rdb2(self.rdb1(x)))


class RRDBNet(nn.Module):
    """With the names of Real-ESRGAN's code."""

    def __init__(self, steps=2, unshuffle=1, f=5, g=3, blocks=2):
        super().__init__()
        self.steps, self.unshuffle = steps, unshuffle
        self.conv_first = conv(3 * unshuffle**2, f)
        self.body = nn.Sequential(*(RRDB(f, g) for _ in range(blocks)))
        self.conv_body, self.conv_hr, self.conv_last = conv(f, f), conv(f, f), conv(f, 3)
        for i in range(1, steps + 1):
            self.add_module(f"conv_up{i}", conv(f, f))

    def forward(self, x):
        height, width = x.shape[2:]
        if self.unshuffle > 1:
            padded = np.pad(x.numpy(), ((0, 0), (0, 0), *((0, -size % self.unshuffle) for size in (height, width))),
                            "symmetric")
            x = functional.pixel_unshuffle(torch.from_numpy(padded), self.unshuffle)
        x = self.conv_first(x)
        x = x + self.conv_body(self.body(x))
        for i in range(1, self.steps + 1):
            x = functional.leaky_relu(getattr(self, f"conv_up{i}")(nearest(x, 2)), 0.2)
        x = self.conv_last(functional.leaky_relu(self.conv_hr(x), 0.2))
        scale = 2**self.steps // self.unshuffle
        return x[:, :, :height * scale, :width * scale]


class SRVGG(nn.Module):
    def __init__(self, scale, f=6, convs=2):
        super().__init__()
        self.scale = scale
        layers = [conv(3, f), nn.PReLU(f)]
        for _ in range(convs):
            layers += [conv(f, f), nn.PReLU(f)]
        self.body = nn.ModuleList([*layers, conv(f, 3 * scale**2)])
        for prelu in layers[1::2]:
            prelu.weight.data = torch.rand(f)

    def forward(self, x):
        out = x
        for layer in self.body:
            out = layer(out)
        return functional.pixel_shuffle(out, self.scale) + nearest(x, self.scale)


class ThreeBranches(nn.Module):
    """SPAN's convolution while it is trained; `eval_conv`, which replaces it, is out of date."""

    def __init__(self, inputs, f):
        super().__init__()
        self.sk = conv(inputs, f, 1)
        self.conv = nn.Sequential(conv(inputs, 2 * inputs, 1), nn.Conv2d(2 * inputs, 2 * f, 3), conv(2 * f, f, 1))
        self.eval_conv = conv(inputs, f)

    def forward(self, x):
        return self.sk(x) + self.conv(functional.pad(x, (1, 1, 1, 1)))


class Folded(nn.Module):
    def __init__(self, inputs, f):
        super().__init__()
        self.eval_conv = conv(inputs, f)

    def forward(self, x):
        return self.eval_conv(x)


class SPAB(nn.Module):
    def __init__(self, f, convolution):
        super().__init__()
        self.c1_r, self.c2_r, self.c3_r = (convolution(f, f) for _ in range(3))

    def forward(self, x):
        first = functional.silu(self.c1_r(x))  # in place in the official code, so that this is what goes on
        last = self.c3_r(functional.silu(self.c2_r(first)))
        return (last + x) * (torch.sigmoid(last) - 0.5), first


class SPAN(nn.Module):
    def __init__(self, scale, convolution=ThreeBranches, norm=True, f=6):
        super().__init__()
        self.scale = scale
        self.conv_1, self.conv_2, self.conv_cat = convolution(3, f), convolution(f, f), conv(4 * f, f, 1)
        for i in range(1, 7):
            self.add_module(f"block_{i}", SPAB(f, convolution))
        self.upsampler = nn.Sequential(conv(f, 3 * scale**2), nn.PixelShuffle(scale))
        if not norm:
            self.register_buffer("no_norm", torch.zeros(1))

    def forward(self, x):
        if not hasattr(self, "no_norm"):
            x = 255 * (x - torch.tensor([0.4488, 0.4371, 0.4040]).reshape(1, 3, 1, 1))
        head = x = self.conv_1(x)
        outputs = []
        for i in range(1, 7):
            x, first = getattr(self, f"block_{i}")(x)
            outputs.append(x)
        return self.upsampler(self.conv_cat(torch.cat([head, self.conv_2(x), outputs[0], first], 1)))


class ResBlock(nn.Module):
    def __init__(self, f):
        super().__init__()
        self.conv1, self.conv2 = conv(f, f), conv(f, f)

    def forward(self, x):
        return x + self.conv2(functional.relu(self.conv1(x)))


class MSRResNet(nn.Module):
    def __init__(self, scale, f=6, blocks=2):
        super().__init__()
        self.scale, self.factors = scale, (2, 2) if scale == 4 else (scale,)
        self.conv_first, self.conv_hr, self.conv_last = conv(3, f), conv(f, f), conv(f, 3)
        self.body = nn.Sequential(*(ResBlock(f) for _ in range(blocks)))
        for i, factor in enumerate(self.factors, start=1):
            self.add_module(f"upconv{i}", conv(f, f * factor**2))

    def forward(self, x):
        out = self.body(functional.leaky_relu(self.conv_first(x), 0.1))
        for i, factor in enumerate(self.factors, start=1):
            out = functional.leaky_relu(functional.pixel_shuffle(getattr(self, f"upconv{i}")(out), factor), 0.1)
        out = self.conv_last(functional.leaky_relu(self.conv_hr(out), 0.1))
        return out + functional.interpolate(x, scale_factor=self.scale, mode="bilinear", align_corners=False)


class EDSR(nn.Module):
    """With the names of BasicSR's code."""

    def __init__(self, scale, f=6, blocks=2):
        super().__init__()
        self.conv_first, self.conv_after_body, self.conv_last = conv(3, f), conv(f, f), conv(f, 3)
        self.body = nn.Sequential(*(ResBlock(f) for _ in range(blocks)))
        self.upsample = nn.Sequential(*(layer for factor in ((3,) if scale == 3 else (2,) * (scale.bit_length() - 1))
                                        for layer in (conv(f, f * factor**2), nn.PixelShuffle(factor))))

    def forward(self, x):
        mean = torch.tensor([0.4488, 0.4371, 0.4040]).reshape(1, 3, 1, 1)
        x = self.conv_first((x - mean) * 255)
        return self.conv_last(self.upsample(x + self.conv_after_body(self.body(x)))) / 255 + mean


NETWORKS = {
    "rrdb x4": lambda: RRDBNet(),
    "rrdb x1": lambda: RRDBNet(unshuffle=4),
    "rrdb x2": lambda: RRDBNet(unshuffle=2),
    "rrdb x8": lambda: RRDBNet(steps=3, blocks=1),
    "srvgg x1": lambda: SRVGG(1),
    "srvgg x2": lambda: SRVGG(2),
    "srvgg x3": lambda: SRVGG(3),
    "span x2": lambda: SPAN(2),
    "span x3": lambda: SPAN(3, Folded),
    "span x4": lambda: SPAN(4, norm=False),
    "msr-resnet x2": lambda: MSRResNet(2),
    "msr-resnet x3": lambda: MSRResNet(3),
    "msr-resnet x4": lambda: MSRResNet(4),
    "edsr x3": lambda: EDSR(3),
    "edsr x4": lambda: EDSR(4),
}


def outputs(theirs, path, state=None):
    """Returns the outputs of a network on RGB in [0, 1] and of its import, as (H, W, 3) in [0, 255], and the notes."""
    torch.save(theirs.state_dict() if state is None else state, path)
    ours, notes = weights.load_foreign(path)
    lr = np.random.default_rng(0).integers(0, 256, (1, 11, 7, 3)).astype("float32")
    with torch.no_grad():
        expected = theirs(torch.from_numpy(lr.transpose(0, 3, 1, 2)) / 255) * 255
    return to_numpy(ours(lr))[0], expected.numpy()[0].transpose(1, 2, 0), notes


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_gives_its_output(tmp_path, name):
    torch.manual_seed(0)
    ours, theirs, notes = outputs(NETWORKS[name](), tmp_path / "model.pth")
    assert np.ptp(theirs) > 10
    assert ours == pytest.approx(theirs, abs=TOLERANCE * max(1, float(np.ptp(theirs)) / 255))
    assert f"{name} of " in notes[0]


def old_names(state, steps, style):
    """Returns the state dict of an `RRDBNet` under the names of ESRGAN's first code, or of BSRGAN's."""
    rules = {"conv_first.": "model.0.", "conv_body.": "model.1.sub.2.", "body.": "model.1.sub.", "rdb": "RDB",
             **{f"conv_up{i}.": f"model.{3 * i}." for i in range(1, steps + 1)},
             "conv_hr.": f"model.{3 * steps + 2}.", "conv_last.": f"model.{3 * steps + 4}."}
    if style == "BSRGAN":
        rules = {"conv_body.": "trunk_conv.", "body.": "RRDB_trunk.", "rdb": "RDB", "conv_up": "upconv",
                 "conv_hr": "HRconv"}
    renamed = {}
    for name, tensor in state.items():
        new = name
        for old, other in rules.items():
            if new.startswith(old) or old == "rdb":
                new = new.replace(old, other, 1)
        if style == "ESRGAN" and ".RDB" in new:
            new = new.replace(".weight", ".0.weight").replace(".bias", ".0.bias")
        renamed[new] = tensor
    return renamed


@pytest.mark.parametrize(("steps", "style"), [(0, "ESRGAN"), (1, "ESRGAN"), (3, "ESRGAN"), (2, "BSRGAN")])
def test_esrgan_under_its_older_names_gives_its_output(tmp_path, steps, style):
    torch.manual_seed(0)
    network = RRDBNet(steps=steps)
    state = old_names(network.state_dict(), steps, style)
    assert ("model.1.sub.0.RDB1.conv1.0.weight" if style == "ESRGAN" else "RRDB_trunk.1.RDB3.conv5.bias") in state
    ours, theirs, notes = outputs(network, tmp_path / "model.pth", state)
    assert ours == pytest.approx(theirs, abs=TOLERANCE)
    assert f"an rrdb x{2**steps} of 2 blocks, 5 filters and growth 3" in notes[0]


BACK = {
    "rrdb": (lambda: rrdb(2, 5, 2, 3, unshuffle=2), lambda: RRDBNet(unshuffle=2)),
    "srvgg": (lambda: srvgg(3, 6, 2), lambda: SRVGG(3)),
    "span": (lambda: span(2, 6, 6), lambda: SPAN(2)),
    "msr-resnet": (lambda: msr_resnet(4, 6, 2), lambda: MSRResNet(4)),
}


@pytest.mark.parametrize("name", BACK)
def test_what_is_written_for_pytorch_is_taken_by_its_networks_with_the_same_output(tmp_path, name):
    build, network = BACK[name]
    model, rng = build(), np.random.default_rng(0)
    model.set_weights([rng.normal(0, 0.1, array.shape) for array in model.get_weights()])
    weights.save(model, tmp_path / "model.keras")
    weights.convert(tmp_path / "model.keras", tmp_path / "model.safetensors")
    theirs = network()
    theirs.load_state_dict({key: torch.from_numpy(array) for key, array in
                            load_file(tmp_path / "model.safetensors").items()}, strict=True)
    lr = rng.integers(0, 256, (1, 11, 7, 3)).astype("float32")
    with torch.no_grad():
        expected = theirs(torch.from_numpy(lr.transpose(0, 3, 1, 2)) / 255).numpy().transpose(0, 2, 3, 1) * 255
    assert to_numpy(model(lr)) == pytest.approx(expected, rel=1e-5, abs=TOLERANCE)
