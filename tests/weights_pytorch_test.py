"""PyTorch checkpoints as models of ours: the same output as networks written here in torch.nn, official names."""

import numpy as np
import pytest

import weights
from errors import UserError
from model.common import DIV2K_RGB_MEAN
from tests.conftest import to_numpy

torch = pytest.importorskip("torch")
nn = torch.nn

TOLERANCE = 1e-3  # of 255


def conv(num_inputs, num_filters, size=3):
    return nn.Conv2d(num_inputs, num_filters, size, padding=size // 2)


class Residual(nn.Module):
    """A block with its layers in `body`, as the official codes name them."""

    def __init__(self, *layers, scaling=1):
        super().__init__()
        self.body = nn.Sequential(*layers)
        self.scaling = scaling

    def forward(self, x):
        return x + self.scaling * self.body(x)


class EDSR(nn.Module):
    def __init__(self, scale, rgb_range=255, num_filters=6, num_res_blocks=2, scaling=1):
        super().__init__()
        f = num_filters
        self.sub_mean, self.add_mean = (self.shift(sign * rgb_range) for sign in (-1, 1))
        self.head = nn.Sequential(conv(3, f))
        self.body = nn.Sequential(*(Residual(conv(f, f), nn.ReLU(), conv(f, f), scaling=scaling)
                                    for _ in range(num_res_blocks)), conv(f, f))
        steps = [layer for factor in ((3,) if scale == 3 else (2,) * (scale.bit_length() - 1))
                 for layer in (conv(f, f * factor**2), nn.PixelShuffle(factor))]
        self.tail = nn.Sequential(nn.Sequential(*steps), conv(f, 3))

    @staticmethod
    def shift(factor):
        layer = nn.Conv2d(3, 3, 1)
        layer.weight.data = torch.eye(3).reshape(3, 3, 1, 1)
        layer.bias.data = factor * torch.tensor(DIV2K_RGB_MEAN)
        return layer

    def forward(self, x):
        x = self.head(self.sub_mean(x))
        return self.add_mean(self.tail(x + self.body(x)))


def wdsr_block(kind, f, norm):
    if kind == "wdsr-a":
        return Residual(norm(conv(f, 4 * f)), nn.ReLU(), norm(conv(4 * f, f)))
    return Residual(norm(conv(f, 6 * f, 1)), nn.ReLU(), norm(conv(6 * f, int(0.8 * f), 1)), norm(conv(int(0.8 * f), f)))


class WDSR(nn.Module):
    def __init__(self, kind, scale, norm, num_filters=6, num_res_blocks=2):
        super().__init__()
        self.head = nn.Sequential(norm(conv(3, num_filters)))
        self.body = nn.Sequential(*(wdsr_block(kind, num_filters, norm) for _ in range(num_res_blocks)))
        self.tail = nn.Sequential(norm(conv(num_filters, 3 * scale**2)), nn.PixelShuffle(scale))
        self.skip = nn.Sequential(norm(conv(3, 3 * scale**2, 5)), nn.PixelShuffle(scale))

    def forward(self, x):
        mean = 255 * torch.tensor(DIV2K_RGB_MEAN).reshape(1, 3, 1, 1)
        x = (x - mean) / 127.5
        return (self.tail(self.body(self.head(x))) + self.skip(x)) * 127.5 + mean


class WDSR01(nn.Module):
    """The later WDSR: RGB in [0, 1] with 0.5 subtracted, head and tail in the body."""

    def __init__(self, scale, norm, num_filters=6, num_res_blocks=2):
        super().__init__()
        self.body = nn.Sequential(norm(conv(3, num_filters)),
                                  *(wdsr_block("wdsr-a", num_filters, norm) for _ in range(num_res_blocks)),
                                  norm(conv(num_filters, 3 * scale**2)))
        self.skip = nn.Sequential(norm(conv(3, 3 * scale**2, 5)))
        self.shuf = nn.Sequential(nn.PixelShuffle(scale))

    def forward(self, x):
        x = x / 255 - 0.5
        return (self.shuf(self.body(x) + self.skip(x)) + 0.5) * 255


def plain(module):
    return module


def old_norm(module):
    """Applies the weight normalization whose parameters are weight_g and weight_v; the gain is not the norm."""
    nn.utils.weight_norm(module)
    module.weight_g.data *= torch.rand(module.weight_g.shape) + 0.5
    return module


def new_norm(module):
    nn.utils.parametrizations.weight_norm(module)
    module.parametrizations.weight.original0.data *= torch.rand(module.bias.shape).reshape(-1, 1, 1, 1) + 0.5
    return module


def outputs(theirs, path, **options):
    """Returns the outputs of a network and of its import, both (H, W, 3), of an image with odd sides, and the notes."""
    torch.save(theirs.state_dict(), path)
    ours, notes = weights.load_foreign(path, **options)
    lr = np.random.default_rng(0).integers(0, 256, (1, 19, 13, 3)).astype("float32")
    with torch.no_grad():
        expected = theirs(torch.from_numpy(lr.transpose(0, 3, 1, 2)))
    return to_numpy(ours(lr))[0], expected.numpy()[0].transpose(1, 2, 0), notes


@pytest.mark.parametrize("scale", [2, 3, 4, 8])
def test_the_official_edsr_gives_its_output(tmp_path, scale):
    torch.manual_seed(0)
    ours, theirs, notes = outputs(EDSR(scale), tmp_path / "edsr.pt")
    assert np.ptp(theirs) > 50
    assert ours == pytest.approx(theirs, abs=TOLERANCE)
    assert "residual scaling 1 (--res-scaling)" in notes[-1]


def test_an_edsr_on_images_in_0_1_and_with_scaled_residuals_gives_its_output(tmp_path):
    torch.manual_seed(0)
    network = EDSR(2, rgb_range=1, scaling=0.1)
    torch.save({"epoch": 3, "state_dict": {f"module.{name}": tensor for name, tensor in network.state_dict().items()}},
               tmp_path / "edsr.pth")
    model, _ = weights.load_foreign(tmp_path / "edsr.pth", res_scaling=0.1)
    lr = np.random.default_rng(0).integers(0, 256, (1, 7, 5, 3)).astype("float32")
    with torch.no_grad():
        theirs = network(torch.from_numpy(lr.transpose(0, 3, 1, 2) / 255)) * 255
    assert to_numpy(model(lr)) == pytest.approx(theirs.numpy().transpose(0, 2, 3, 1), abs=TOLERANCE)


@pytest.mark.parametrize("norm", [plain, old_norm, new_norm])
@pytest.mark.parametrize(("kind", "scale"), [("wdsr-a", 2), ("wdsr-a", 4), ("wdsr-b", 3), ("wdsr-b", 4)])
def test_the_official_wdsr_gives_its_output(tmp_path, kind, scale, norm):
    torch.manual_seed(0)
    ours, theirs, notes = outputs(WDSR(kind, scale, norm), tmp_path / "wdsr.pt")
    assert np.ptp(theirs) > 50
    assert ours == pytest.approx(theirs, abs=TOLERANCE)
    assert f"a {kind} x{scale} of 2 blocks, 6 filters" in notes[0]


@pytest.mark.parametrize("scale", [2, 3])
def test_the_later_wdsr_gives_its_output_away_from_the_borders(tmp_path, scale):
    torch.manual_seed(0)
    ours, theirs, notes = outputs(WDSR01(scale, old_norm), tmp_path / "wdsr.pth")
    margin = 6 * scale  # head, two blocks of two convolutions each, and tail: a pixel each
    inner = (slice(margin, -margin), slice(margin, -margin))
    assert np.ptp(theirs[inner]) > 20
    assert ours[inner] == pytest.approx(theirs[inner], abs=TOLERANCE)
    assert abs(ours - theirs).max() > TOLERANCE
    assert any("near the borders the output is not exactly theirs" in note for note in notes)


class Canary:
    """An object whose unpickling writes a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (self.path, "w")


def test_a_checkpoint_with_code_in_it_is_refused_and_not_run(tmp_path):
    canary = tmp_path / "canary"
    torch.save({"head.0.weight": Canary(str(canary))}, tmp_path / "hostile.pt")
    with pytest.raises(UserError, match=r"hostile\.pt: .*other objects than tensors, which are not loaded"):
        weights.load_foreign(tmp_path / "hostile.pt")
    assert not canary.exists()


def test_damaged_checkpoints_are_refused_with_the_cause(tmp_path):
    torch.save(EDSR(2).state_dict(), tmp_path / "whole.pt")
    whole = (tmp_path / "whole.pt").read_bytes()
    for name, content in (("text.pt", b"no model"), ("empty.pt", b""), ("cut.pt", whole[:-3000]),
                          ("start.pt", whole[:99])):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(UserError, match=f"{name}: .*damaged"):
            weights.load_foreign(tmp_path / name)


@pytest.mark.parametrize(("edit", "cause"), [
    (lambda state: state.update({"body.1.body.2.weight": torch.zeros(6, 5, 3, 3)}),
     r"body\.1\.body\.2\.weight has the shape \(6, 5, 3, 3\), where an edsr x2 .* has \(6, 6, 3, 3\)"),
    (lambda state: state.update({"attention.weight": torch.zeros(2)}),
     r"attention\.weight of the shape \(2,\) has no place in"),
    (lambda state: state.pop("head.0.bias"), r"head\.0\.weight stands alone"),
    (lambda state: [state.pop(f"body.0.body.0.{role}") for role in ("weight", "bias")],
     "there is no tensor for the layer block_1_conv_1"),
    (lambda state: state.update({"sub_mean.bias": torch.zeros(3)}), "sub_mean.bias .*mean of DIV2K was expected"),
    (lambda state: state.update({"tail.1.bias": torch.full((3,), torch.inf)}), "tail.1.bias holds numbers"),
    (lambda state: state.update({"tail.1.bias": 3}), "tail.1.bias is of the type int"),
    (lambda state: state.update({"tail.1.weight": torch.zeros(1).expand(3, 10**6, 30, 30)}), "far more than such"),
    (lambda state: state.update({"body.999999999.weight": torch.zeros(1)}), "has no place in"),
    (lambda state: state.clear(), "holds no state dict"),
])
def test_tensors_that_do_not_fit_are_named(tmp_path, edit, cause):
    state = dict(EDSR(2).state_dict())
    edit(state)
    torch.save(state, tmp_path / "edsr.pt")
    with pytest.raises(UserError, match=rf"edsr\.pt: .*{cause}"):
        weights.load_foreign(tmp_path / "edsr.pt")
