"""Folders of images in the layouts that people have: small photo-like pictures, made from a seed."""

import numpy as np
from PIL import Image

from tests.conftest import save_photo


def picture(height, width, seed):
    """Returns smooth colour fields with edges, (height, width, 3) uint8."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width].astype("float64")
    image = np.zeros((height, width, 3))
    for _ in range(6):
        fx, fy, phase = rng.uniform(-0.25, 0.25), rng.uniform(-0.25, 0.25), rng.uniform(0, 6.3)
        image += np.sin(fx * x + fy * y + phase)[..., None] * rng.uniform(5, 25, 3)
    for _ in range(8):
        cy, cx, r = rng.uniform(0, height), rng.uniform(0, width), rng.uniform(4, min(height, width) / 4)
        image[(y - cy) ** 2 + (x - cx) ** 2 < r * r] += rng.uniform(-60, 60, 3)
    return np.clip(image + rng.uniform(90, 160, 3), 0, 255).astype("uint8")


def reduced(image, scale):
    """Returns `image` cropped to a multiple of `scale` and reduced by Pillow's bicubic."""
    height, width = (size // scale for size in image.shape[:2])
    return np.asarray(Image.fromarray(image[:height * scale, :width * scale]).resize((width, height), Image.BICUBIC))


def save_pairs(folder, pictures, scale=4):
    """Writes pairs: `pictures` is a list of (path of HR, path of LR, picture), the paths relative to `folder`."""
    for hr_name, lr_name, image in pictures:
        save_photo(folder / hr_name, image)
        save_photo(folder / lr_name, reduced(image, scale))


def save_appledouble(path):
    """Writes what macOS leaves beside an image on a drive of another system."""
    path.with_name(f"._{path.name}").write_bytes(b"\0\5\x16\7\0\2\0\0Mac OS X        " + bytes(4060))
