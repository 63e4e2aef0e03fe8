"""Pixel-wise losses, one value per pixel, on images (N, H, W, 3) in [0, 255]; and the distance of features."""

from keras import losses, ops

from model.metrics import crop_margin

CONTENT_SCALE = 12.75  # SRGAN paper, section 3.2: VGG features are divided by it, which is 0.006 x their squared error
CHARBONNIER_EPSILON = 1e-3  # Lai et al. 2017, section 3.3


def charbonnier(hr, sr):
    """Returns sqrt((hr - sr)^2 + epsilon^2), the mean over the channels: (N, H, W)."""
    return ops.mean(ops.sqrt(ops.square(hr - sr) + CHARBONNIER_EPSILON**2), axis=-1)


def fourier(hr, sr):
    """Returns the mean absolute error of the pixels, plus that of the image's two-dimensional spectrum: (N, H, W).

    The spectrum is orthonormal, and its real and imaginary parts count alike; the share of the spectrum is the same for
    each pixel of an image. Compare the frequency reconstruction loss of Cho et al. 2021 (Rethinking Coarse-to-Fine
    Approach in Single Image Deblurring).
    """
    difference = ops.transpose(hr - sr, (0, 3, 1, 2))
    parts = ops.fft2((difference, ops.zeros_like(difference)))
    num_pixels = ops.cast(ops.shape(sr)[1] * ops.shape(sr)[2], "float32")
    spectrum = sum(ops.mean(ops.abs(part), axis=(1, 2, 3)) for part in parts) / ops.sqrt(num_pixels)
    return losses.mean_absolute_error(hr, sr) + spectrum[:, None, None]


LOSSES = {"mae": losses.mean_absolute_error, "mse": losses.mean_squared_error, "charbonnier": charbonnier,
          "fourier": fourier}


def pixel_loss(name):
    """Returns the loss `name` of `LOSSES` as a function of (hr, sr); hr is cropped centrally to the size of sr."""
    function = LOSSES[name]

    def loss(hr, sr):
        return function(crop_margin(hr, sr), sr)

    loss.__name__ = name
    return loss


def feature_distance(hr_features, sr_features):
    """Returns the mean squared difference of each image's features, divided by `CONTENT_SCALE` each: (N,)."""
    difference = (ops.cast(hr_features, "float32") - ops.cast(sr_features, "float32")) / CONTENT_SCALE
    return ops.mean(ops.square(difference), axis=(1, 2, 3))
