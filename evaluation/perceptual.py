"""Metrics of how alike two images look: distances in the features of trained networks, on RGB images (H, W, 3)."""

import keras
import numpy as np

from datasets.patches import central_patches
from errors import UserError
from model import feature_distance
from weights.vgg import load_features

CROP_SIZE = 224  # HR pixels, at most: the central part that is compared in VGG54 features
PACKAGES = "requirements/metrics.txt"


def vgg54(vgg_weights):
    """Returns a metric: the distance in VGG54 features of the central 224 pixels (SRGAN paper, section 2.2.1).

    Args:
        vgg_weights: 'imagenet', which Keras downloads once, or the path of a Keras VGG19 file (.h5).

    Raises:
        UserError: the weights cannot be downloaded, or the file cannot be read or holds others.
    """
    network = load_features("vgg54", vgg_weights)

    def distance(hr, sr):
        hr, sr = (network(np.ascontiguousarray(image)[None], training=False)
                  for image in central_patches(hr, sr, 1, CROP_SIZE))
        return float(keras.ops.convert_to_numpy(feature_distance(hr, sr))[0])

    return distance


def lpips(_):
    """Returns the metric LPIPS with AlexNet (Zhang et al. 2018), of torchmetrics.

    Raises:
        UserError: its packages or weights are missing; says how to get them.
    """
    return _of_torchmetrics("LPIPS", lambda image: image.lpip.LearnedPerceptualImagePatchSimilarity(normalize=True))


def dists(_):
    """Returns the metric DISTS (Ding et al. 2020), of torchmetrics.

    Raises:
        UserError: its packages or weights are missing; says how to get them.
    """
    return _of_torchmetrics("DISTS", lambda image: image.dists.DeepImageStructureAndTextureSimilarity())


def _of_torchmetrics(label, build):
    try:
        import torch
        import torchmetrics.image
        import torchmetrics.image.dists
        import torchmetrics.image.lpip

        network = build(torchmetrics.image).eval()
        network(*torch.zeros(2, 1, 3, 64, 64))  # DISTS gets its weights with its first images
        network.reset()
    except (ImportError, RuntimeError) as error:  # RuntimeError: torchvision of another version than PyTorch
        raise UserError(f"{label} needs packages that are not installed here ({_first_line(error)}): "
                        f"pip install -r {PACKAGES}") from error
    except OSError as error:  # of a download
        raise UserError(f"the weights of {label} cannot be downloaded ({_first_line(error)}): run it once where they "
                        f"can, and copy the folder {torch.hub.get_dir()} from there") from error

    def distance(hr, sr):
        with torch.inference_mode():
            images = (torch.from_numpy(np.clip(image, 0, 255) / 255).permute(2, 0, 1)[None].float()
                      for image in (sr, hr))
            value = float(network(*images))
            network.reset()
        return value

    return distance


def _first_line(error):
    return (str(error).splitlines() or [type(error).__name__])[0]
