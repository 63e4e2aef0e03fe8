"""Parity with plain PyTorch: its weight normalization, and an EDSR written here with torch.nn alone."""

import keras
import numpy as np
import pytest
from keras import layers

from model import edsr, pixel_loss
from optimizer import AdamWithWeightnorm
from tests.conftest import make_photo, to_numpy

torch = pytest.importorskip("torch")
nn = torch.nn

EPSILON = 1e-12  # the two Adams place epsilon differently: too small to matter here


def to_torch(kernel):
    """Returns a Keras kernel (H, W, in, out) as PyTorch has it, (out, in, H, W)."""
    return torch.from_numpy(np.ascontiguousarray(kernel.transpose(3, 2, 0, 1)))


def to_nchw(images):
    return torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2))).float()


def load_conv(module, layer):
    kernel, bias = layer.get_weights()
    with torch.no_grad():
        module.weight.copy_(to_torch(kernel))
        module.bias.copy_(torch.from_numpy(bias))


def test_weight_normalization_equals_pytorchs_after_20_steps():
    keras.utils.set_random_seed(0)
    ours = keras.Sequential([keras.Input((8, 8, 3)), layers.Conv2D(6, 3, activation="relu", name="a"),
                             layers.Conv2D(4, 3, activation="relu", name="b"), layers.Conv2D(2, 1, name="c")])
    convs = [nn.Conv2d(3, 6, 3), nn.Conv2d(6, 4, 3), nn.Conv2d(4, 2, 1)]
    for module, layer in zip(convs, ours.layers, strict=True):
        load_conv(module, layer)
        nn.utils.parametrizations.weight_norm(module)
    theirs = nn.Sequential(convs[0], nn.ReLU(), convs[1], nn.ReLU(), convs[2])
    optimizer = torch.optim.Adam(theirs.parameters(), 1e-2, betas=(0.9, 0.999), eps=EPSILON)
    ours.compile(AdamWithWeightnorm(1e-2, beta_1=0.9, beta_2=0.999, epsilon=EPSILON), "mse", jit_compile=False)
    rng = np.random.default_rng(0)
    for _ in range(20):
        x, y = (rng.normal(size=shape).astype("float32") for shape in ((4, 8, 8, 3), (4, 4, 4, 2)))
        ours.train_on_batch(x, y)
        optimizer.zero_grad()
        nn.functional.mse_loss(theirs(to_nchw(x)), to_nchw(y)).backward()
        optimizer.step()
    for module, layer in zip(convs, ours.layers, strict=True):
        kernel, bias = layer.get_weights()
        assert to_torch(kernel).numpy() == pytest.approx(module.weight.detach().numpy(), abs=2e-6)
        assert bias == pytest.approx(module.bias.detach().numpy(), abs=2e-6)


class TorchEDSR(nn.Module):
    """EDSR for scale 2, after figure 3 of the paper."""

    def __init__(self, num_filters, num_res_blocks):
        super().__init__()
        def conv(num_in, num_out):
            return nn.Conv2d(num_in, num_out, 3, padding=1)

        self.register_buffer("mean", torch.tensor([0.4488, 0.4371, 0.4040]).view(1, 3, 1, 1) * 255)
        self.head = conv(3, num_filters)
        self.blocks = nn.ModuleList(
            nn.Sequential(conv(num_filters, num_filters), nn.ReLU(), conv(num_filters, num_filters))
            for _ in range(num_res_blocks))
        self.body_end = conv(num_filters, num_filters)
        self.upsample = conv(num_filters, 4 * num_filters)
        self.tail = conv(num_filters, 3)

    def forward(self, lr):
        head = x = self.head((lr - self.mean) / 127.5)
        for block in self.blocks:
            x = x + block(x)
        x = self.upsample(head + self.body_end(x))
        n, _, height, width = x.shape
        x = x.view(n, 2, 2, -1, height, width).permute(0, 3, 4, 1, 5, 2)  # channels: row, column, feature
        return self.tail(x.reshape(n, -1, 2 * height, 2 * width)) * 127.5 + self.mean


def test_training_edsr_gives_the_losses_of_plain_pytorch():
    num_blocks = 4
    keras.utils.set_random_seed(0)
    ours = edsr(2, num_filters=32, num_res_blocks=num_blocks)
    ours.compile(keras.optimizers.Adam(1e-4, epsilon=EPSILON), loss=pixel_loss("mae"), jit_compile=False)
    theirs = TorchEDSR(32, num_blocks)
    for module, name in ((theirs.head, "head"), (theirs.body_end, "body_end"), (theirs.upsample, "upsample_1"),
                         (theirs.tail, "tail")):
        load_conv(module, ours.get_layer(name))
    for i, block in enumerate(theirs.blocks, start=1):
        load_conv(block[0], ours.get_layer(f"block_{i}_conv_1"))
        load_conv(block[2], ours.get_layer(f"block_{i}_conv_2"))
    optimizer = torch.optim.Adam(theirs.parameters(), 1e-4, eps=EPSILON)
    losses = []
    for step in range(100):
        hr = np.stack([make_photo(48, 48, seed=10 * step + i) for i in range(2)]).astype("float32")
        lr = hr.reshape(2, 24, 2, 24, 2, 3).mean(axis=(2, 4))
        our_loss = float(ours.train_on_batch(lr, hr))
        optimizer.zero_grad()
        their_loss = (theirs(to_nchw(lr)) - to_nchw(hr)).abs().mean()
        their_loss.backward()
        optimizer.step()
        losses.append((our_loss, float(their_loss.detach())))
    ours_all, theirs_all = np.array(losses).T
    assert ours_all == pytest.approx(theirs_all, rel=1e-3)
    assert np.mean(ours_all[-10:]) < 0.7 * ours_all[0]
    assert to_numpy(ours(lr)).shape == hr.shape


def test_images_and_kernels_reach_pytorch_channels_last(monkeypatch):
    convolve, seen = torch.nn.functional.conv2d, []

    def watched(images, kernel, *args, **kwargs):
        result = convolve(images, kernel, *args, **kwargs)
        seen.extend(tensor.is_contiguous(memory_format=torch.channels_last) for tensor in (images, kernel, result))
        return result

    monkeypatch.setattr(torch.nn.functional, "conv2d", watched)
    edsr(2, num_filters=4, num_res_blocks=1)(np.zeros((2, 7, 9, 3), "float32"))
    assert len(seen) >= 3 * 5
    assert all(seen)
