"""The two steps of an adversarial training: one trains the generator, the other the discriminator.

Each is a Keras model of its own that shares the networks with the other and trains its own variables through
`train_on_batch`, on every Keras backend. Setting `trainable` on shared layers instead would do nothing on a compiled
model, and would put batch normalization into inference mode.
"""

import contextlib

import keras
from keras import layers, ops

from model import feature_distance

ADVERSARIAL_FACTOR = 1e-3  # equation 3


class AdversarialStep(keras.Model):
    """A model that trains the variables of `trained` alone; those of the other networks in it are not trainable here.

    A subclass names `figures`, one value for each image of a batch, through `_record`.
    """

    def __init__(self, trained, figures, **kwargs):
        super().__init__(**kwargs)
        self._own = {id(variable) for variable in trained.trainable_variables}
        self._means = {name: keras.metrics.Mean(name=name) for name in figures}
        self.built = True

    @property
    def trainable_variables(self):
        return [variable for variable in super().trainable_variables if id(variable) in self._own]

    @property
    def non_trainable_variables(self):
        others = [variable for variable in super().trainable_variables if id(variable) not in self._own]
        return others + super().non_trainable_variables

    trainable_weights = trainable_variables
    non_trainable_weights = non_trainable_variables

    def _record(self, **figures):
        for name, values in figures.items():
            self._means[name].update_state(values)


class GeneratorStep(AdversarialStep):
    """Trains the generator on the perceptual loss (SRGAN paper, equation 3); its batch statistics move here alone.

    Batches are lr (N, h, w, 3) and hr (N, h scale, w scale, 3) in [0, 255].

    Args:
        generator: from lr to sr, in [0, 255].
        discriminator: from images in [0, 255] to logits.
        features: the VGG19 network of the content loss, not trainable.
    """

    FIGURES = ("content_loss", "adversarial_loss", "generator_loss")

    def __init__(self, generator, discriminator, features):
        super().__init__(generator, self.FIGURES, name="generator_step")
        self.generator, self.discriminator, self.features = generator, discriminator, features

    def call(self, lr, training=None):
        return self.generator(lr, training=True)

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        hr, sr = ops.cast(y, "float32"), y_pred
        content = feature_distance(ops.stop_gradient(self.features(hr)), self.features(sr))
        adversarial = cross_entropy(1.0, self.discriminator(sr, training=True))  # that sr is taken for real
        total = content + ADVERSARIAL_FACTOR * adversarial
        self._record(content_loss=content, adversarial_loss=adversarial, generator_loss=total)
        return ops.mean(total)


class DiscriminatorStep(AdversarialStep):
    """Trains the discriminator to tell hr from sr, which the generator makes as it does in its own training.

    Both classes go through the discriminator by themselves and in training mode, so that each is normalized by its
    own statistics. Batches are lr, and a dict of hr and the labels for hr and sr, (N, 1) in [0, 1].
    """

    FIGURES = ("discriminator_loss_real", "discriminator_loss_fake", "discriminator_accuracy")

    def __init__(self, generator, discriminator):
        super().__init__(discriminator, self.FIGURES, name="discriminator_step")
        self.generator, self.discriminator = generator, discriminator

    def call(self, lr, training=None):
        with frozen_statistics(self.generator):
            return ops.stop_gradient(self.generator(lr, training=True))

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        real = self.discriminator(ops.cast(y["hr"], "float32"), training=True)
        fake = self.discriminator(y_pred, training=True)
        loss_real, loss_fake = cross_entropy(y["real"], real), cross_entropy(y["fake"], fake)
        right = ops.concatenate([real > 0, fake < 0])
        self._record(discriminator_loss_real=loss_real, discriminator_loss_fake=loss_fake,
                     discriminator_accuracy=ops.cast(right, "float32"))
        return ops.mean(loss_real) + ops.mean(loss_fake)


def cross_entropy(labels, logits):
    """Returns the binary cross-entropy (N,) of logits (N, 1), stable for logits of any size."""
    logits = ops.cast(logits, "float32")[:, 0]
    labels = ops.cast(ops.reshape(labels, (-1,)), "float32") if ops.ndim(labels) else labels
    return ops.softplus(logits) - labels * logits


@contextlib.contextmanager
def frozen_statistics(network):
    """Within the block batch normalization uses the statistics of the batch and leaves its moving ones unchanged.

    A momentum of 1 makes their update m * 1 + batch * 0, which is m, bit for bit.
    """
    normalizations = [layer for layer in network.layers if isinstance(layer, layers.BatchNormalization)]
    momentums = [layer.momentum for layer in normalizations]
    for layer in normalizations:
        layer.momentum = 1.0
    try:
        yield
    finally:
        for layer, momentum in zip(normalizations, momentums, strict=True):
            layer.momentum = momentum
