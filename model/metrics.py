"""Peak signal-to-noise ratio as a metric of training."""

from keras import ops


def crop_margin(hr, sr):
    """Crops `hr` (N, H, W, 3) centrally to the size of `sr`.

    Networks with 'valid' outer convolutions return less than the whole high-resolution patch.
    """
    margin_y, margin_x = ((ops.shape(hr)[axis] - ops.shape(sr)[axis]) // 2 for axis in (1, 2))
    return hr[:, margin_y:ops.shape(hr)[1] - margin_y, margin_x:ops.shape(hr)[2] - margin_x]


def psnr(hr, sr):
    """Returns the PSNR in dB of each image of a batch: RGB, no border removed, neither clipped nor rounded.

    Args:
        hr: images (N, H, W, 3) in [0, 255]; cropped centrally where `sr` is smaller.
        sr: images (N, H', W', 3) in [0, 255].

    Returns:
        float32 tensor (N,); infinite where the images are equal.
    """
    hr, sr = ops.cast(hr, "float32"), ops.cast(sr, "float32")
    mse = ops.mean(ops.square(crop_margin(hr, sr) - sr), axis=(1, 2, 3))
    return 10 * ops.log10(255.0**2 / mse)
