"""VGG19 features of the perceptual loss: their weights, and the distance of images in them."""

import keras
import numpy as np

from datasets.patches import central_patches
from errors import UserError
from evaluation import image_psnr
from model import vgg_22, vgg_54
from training.adversarial import feature_distance
from weights.hdf5 import read_hdf5

FEATURES = {"vgg54": vgg_54, "vgg22": vgg_22}
CROP_SIZE = 224  # HR pixels, at most
IMAGENET_FILE = "vgg19_weights_tf_dim_ordering_tf_kernels_notop.h5"
IMAGENET_ADDRESS = f"https://storage.googleapis.com/tensorflow/keras-applications/vgg19/{IMAGENET_FILE}"


def load_features(name, weights, advice="give its path"):
    """Builds the VGG19 features `name` of `FEATURES` with trained weights.

    Args:
        name: 'vgg54' or 'vgg22'.
        weights: 'imagenet', which Keras downloads once, or the path of a Keras VGG19 file (.h5), of which the arrays
            are read.
        advice: what to do with the file once it is there, the end of the error's text where it cannot be downloaded.

    Raises:
        UserError: the weights cannot be downloaded, or the file cannot be read or holds others.
    """
    if str(weights) == "imagenet":
        return _download(name, advice)
    network = FEATURES[name](None)
    saved = dict(read_hdf5(weights)[0])
    (vgg,) = (layer for layer in network.layers if isinstance(layer, keras.Model))
    for layer in vgg.layers:
        if layer.weights:
            arrays = [tensor.array for tensor in saved.get(layer.name, {}).values()]
            shapes = [tuple(weight.shape) for weight in layer.weights]
            if [array.shape for array in arrays] != shapes:
                found = [array.shape for array in arrays] or "nothing"
                raise UserError(f"{weights}: is no file of VGG19 weights: {layer.name} has {found}, not {shapes}")
            layer.set_weights(arrays)
    return network


def _download(name, advice):
    try:
        return FEATURES[name]("imagenet")
    except Exception as error:
        if type(error) is not Exception and not isinstance(error, (OSError, ValueError)):
            raise
        raise UserError(f"the VGG19 weights cannot be downloaded ({str(error).splitlines()[0]}): get "
                        f"{IMAGENET_ADDRESS} on another machine and {advice}") from error


class PerceptualValidation:
    """Compares images with their super-resolved versions in PSNR and in VGG54 features.

    Args:
        features: the float32 network of the features phi_5,4.
        samples: pairs of images with `load(scale)`; of each the central `CROP_SIZE` HR pixels are used.
        scale: 2, 3, 4 or 8.
    """

    def __init__(self, features, samples, scale):
        self.features, self.crops = features, []
        for sample in samples:
            hr, lr = central_patches(*sample.load(scale), scale, CROP_SIZE // scale)
            hr = hr.astype("float32")
            self.crops.append((lr, hr, self._features(hr)))

    @property
    def num_images(self):
        return len(self.crops)

    def __call__(self, super_resolve, progress=lambda crops: crops):
        """Returns `val_psnr` in dB (RGB, no border) and `val_vgg54`, the means over the crops."""
        psnrs, distances = [], []
        for lr, hr, hr_features in progress(self.crops):
            sr = np.clip(super_resolve(lr), 0, 255)
            psnrs.append(image_psnr(hr, sr))
            distances.append(float(keras.ops.convert_to_numpy(feature_distance(hr_features, self._features(sr)))[0]))
        return {"val_psnr": float(np.mean(psnrs)), "val_vgg54": float(np.mean(distances))}

    def _features(self, image):
        return keras.ops.convert_to_numpy(self.features(image[None], training=False))
