"""EDSR and WDSR in PyTorch, in the way of their authors' code: what this suite's networks are timed against.

Images are (N, 3, H, W) in [0, 255]. WDSR's convolutions have weight normalization and zero padding.
"""

import torch
from torch import nn
from torch.nn.utils.parametrizations import weight_norm


class EDSR(nn.Module):
    """EDSR (Lim et al. 2017, figure 3), without residual scaling."""

    def __init__(self, scale, filters, blocks):
        super().__init__()
        self.head = nn.Conv2d(3, filters, 3, padding=1)
        self.body = nn.Sequential(*(Residual(nn.Conv2d(filters, filters, 3, padding=1), nn.ReLU(inplace=True),
                                             nn.Conv2d(filters, filters, 3, padding=1)) for _ in range(blocks)),
                                  nn.Conv2d(filters, filters, 3, padding=1))
        steps = []
        for factor in (3,) if scale == 3 else (2,) * (scale.bit_length() - 1):
            steps += nn.Conv2d(filters, filters * factor**2, 3, padding=1), nn.PixelShuffle(factor)
        self.tail = nn.Sequential(*steps, nn.Conv2d(filters, 3, 3, padding=1))

    def forward(self, x):
        """Returns the images enlarged."""
        x = self.head((x - 127.5) / 127.5)
        return self.tail(x + self.body(x)) * 127.5 + 127.5


class WDSR(nn.Module):
    """WDSR (Yu et al. 2018, section 3): a body of wide blocks beside one convolution of 5 x 5."""

    def __init__(self, scale, filters, blocks):
        super().__init__()
        self.head = weight_norm(nn.Conv2d(3, filters, 3, padding=1))
        self.body = nn.Sequential(*(Residual(*self.block(filters)) for _ in range(blocks)))
        self.tail = nn.Sequential(weight_norm(nn.Conv2d(filters, 3 * scale**2, 3, padding=1)), nn.PixelShuffle(scale))
        self.skip = nn.Sequential(weight_norm(nn.Conv2d(3, 3 * scale**2, 5, padding=2)), nn.PixelShuffle(scale))

    def forward(self, x):
        """Returns the images enlarged."""
        x = (x - 127.5) / 127.5
        return (self.tail(self.body(self.head(x))) + self.skip(x)) * 127.5 + 127.5

    def block(self, filters):
        """Returns the layers of a block."""
        raise NotImplementedError


class WDSRA(WDSR):
    """WDSR-A: 3 x 3 to four times the filters, ReLU, 3 x 3 back."""

    def block(self, filters):
        """Returns the layers of a block."""
        return (weight_norm(nn.Conv2d(filters, 4 * filters, 3, padding=1)), nn.ReLU(inplace=True),
                weight_norm(nn.Conv2d(4 * filters, filters, 3, padding=1)))


class WDSRB(WDSR):
    """WDSR-B: 1 x 1 to six times the filters, ReLU, 1 x 1 to 0.8 of them, 3 x 3."""

    def block(self, filters):
        """Returns the layers of a block."""
        low = int(0.8 * filters)
        return (weight_norm(nn.Conv2d(filters, 6 * filters, 1)), nn.ReLU(inplace=True),
                weight_norm(nn.Conv2d(6 * filters, low, 1)), weight_norm(nn.Conv2d(low, filters, 3, padding=1)))


class Residual(nn.Module):
    """Adds to its input what its layers make of it."""

    def __init__(self, *layers):
        super().__init__()
        self.layers = nn.Sequential(*layers)

    def forward(self, x):
        """Returns the sum."""
        return x + self.layers(x)


NETWORKS = {"edsr": EDSR, "wdsr-a": WDSRA, "wdsr-b": WDSRB}


def training_step(network, precision, lr, hr):
    """Returns a function that does one step: Adam, mean absolute error, channels_last, autocast where not float32.

    Args:
        network: module, on the device of the batch.
        precision: 'float32', 'bfloat16' or 'float16'.
        lr, hr: batch of patches (N, 3, H, W), in [0, 255].
    """
    network = network.to(memory_format=torch.channels_last).train()
    lr, hr = (images.contiguous(memory_format=torch.channels_last) for images in (lr, hr))
    optimizer = torch.optim.Adam(network.parameters(), 1e-4)
    mixed = torch.autocast(lr.device.type, getattr(torch, precision), enabled=precision != "float32")

    def step():
        optimizer.zero_grad(set_to_none=True)
        with mixed:
            loss = nn.functional.l1_loss(network(lr).float(), hr)
        loss.backward()
        optimizer.step()
        return loss.detach()  # not a number, for which a GPU would be waited for in every step

    return step
