"""VGG19 features with trained weights: those of Keras, or a file's."""

import keras

from errors import UserError
from model import vgg_22, vgg_54
from weights.hdf5 import read_hdf5

FEATURES = {"vgg54": vgg_54, "vgg22": vgg_22}
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
