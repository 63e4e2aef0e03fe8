"""Measures models at their scale on a test set, as the papers do: Y channel, `scale` pixels of border removed.

    python benchmarks/test_set_psnr.py --hr Set5 --lr Set5/LR_bicubic/X4 pretrained/wdsr-b-8-x4.keras

High- and low-resolution images are paired in the order of their names.
"""

import argparse
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent))

from imaging.image_files import find_images, read_image, to_uint8
from model import load_model
from super_resolution import SuperResolver


def y_channel(image):
    """Returns the BT.601 luma of an image (H, W, 3) in [0, 255], as MATLAB's rgb2ycbcr, not rounded."""
    return 16 + image.astype(float) @ (65.481, 128.553, 24.966) / 255


def main():
    """Prints the PSNR of each image and the mean of each model."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hr", type=Path, required=True)
    parser.add_argument("--lr", type=Path, required=True)
    parser.add_argument("models", type=Path, nargs="+")
    args = parser.parse_args()
    for path in args.models:
        super_resolve = SuperResolver(load_model(path))
        border = super_resolve.scale
        values = []
        for hr_path, lr_path in zip(find_images(args.hr), find_images(args.lr), strict=True):
            sr = to_uint8(super_resolve(read_image(lr_path)))
            hr = read_image(hr_path)[:sr.shape[0], :sr.shape[1]]
            difference = (y_channel(hr) - y_channel(sr))[border:-border, border:-border]
            values.append(10 * np.log10(255**2 / np.mean(difference**2)))
            print(f"  {hr_path.name}: {values[-1]:.3f} dB")
        print(f"{path}: {np.mean(values):.3f} dB")


if __name__ == "__main__":
    main()
