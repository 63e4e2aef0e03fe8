"""Data-based initialization of weight-normalized layers (Salimans & Kingma 2016, section 3)."""

import keras
import numpy as np
from keras import layers


def data_based_initialization(model, lr_batches):
    """Scales kernels and sets biases so that every pre-activation has zero mean and unit variance on `lr_batches`.

    Works through the convolutional and dense layers from the input to the output, since the statistics of a layer
    depend on those before it (equation 6: g = 1 / sigma, b = -mu / sigma, of a layer with zero bias).

    Args:
        model: a functional float32 network whose convolutions have a bias and no activation of their own.
        lr_batches: list of arrays (N, H, W, 3) in [0, 255].

    Returns:
        The names of the layers that were initialized.
    """
    names = []
    for layer in model.layers:
        if not isinstance(layer, (layers.Conv2D, layers.Dense)):
            continue
        kernel, bias = layer.get_weights()
        layer.set_weights([kernel, np.zeros_like(bias)])
        mean, deviation = _channel_statistics(keras.Model(model.inputs[0], layer.output), lr_batches)
        deviation = np.where(deviation > 0, deviation, 1.0)  # a channel that is constant is only shifted
        layer.set_weights([kernel / deviation, -mean / deviation])
        names.append(layer.name)
    return names


def _channel_statistics(model, lr_batches):
    """Returns mean and standard deviation of each output channel over all batches and pixels, in float64."""
    outputs = np.concatenate([
        keras.ops.convert_to_numpy(model(batch, training=True)).reshape(-1, model.output_shape[-1])
        for batch in lr_batches
    ]).astype(np.float64)
    return outputs.mean(axis=0), outputs.std(axis=0)
