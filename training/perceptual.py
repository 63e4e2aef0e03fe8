"""The distance of images in VGG19 features, by which a generator is validated."""

import keras
import numpy as np

from datasets.patches import central_patches
from evaluation import image_psnr
from evaluation.perceptual import CROP_SIZE
from model import feature_distance


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
