"""Weight Normalization: A Simple Reparameterization to Accelerate Training (Salimans & Kingma 2016)."""

import math

import keras
from keras import ops

GROUP_ELEMENTS = 1 << 22  # of the variables that are stacked to be updated at once: a bound on their memory


@keras.saving.register_keras_serializable(package="super_resolution")
class AdamWithWeightnorm(keras.optimizers.Adam):
    """Adam on the direction v and the length g of each output channel of w = g v / ||v|| (section 2, equation 2).

    Kernels of convolutions and dense layers are normalized; every other variable gets plain Adam. The network keeps
    its plain kernels w: v = w / s is recovered from the saved scale s = g / ||v||. A channel of zero norm has no
    direction; it gets plain Adam steps until it has one. Clipping acts on the gradient of w, and weight decay,
    constraints and moving averages on w itself.

    The arguments are those of `keras.optimizers.Adam`; `amsgrad` is refused with a `ValueError`.
    """

    def __init__(self, *args, amsgrad=False, **kwargs):
        if amsgrad:
            raise ValueError("amsgrad is not supported with weight normalization: leave it at False")
        super().__init__(*args, **kwargs)

    def build(self, variables):
        """Creates Adam's moments, of v for kernels, and s and the moments of g, each of shape (..., 1, C)."""
        if self.built:
            return
        super().build(variables)
        self._scales, self._length_momentums, self._length_velocities = [], [], []
        for variable in variables:
            if not is_kernel(variable):
                for slots in (self._scales, self._length_momentums, self._length_velocities):
                    slots.append(None)
                continue
            self._scales.append(self._add_channel_variable(variable, "weightnorm_scale", "ones"))
            self._length_momentums.append(self._add_channel_variable(variable, "length_momentum", "zeros"))
            self._length_velocities.append(self._add_channel_variable(variable, "length_velocity", "zeros"))

    def update_step(self, gradient, variable, learning_rate):
        """Updates one variable from its gradient."""
        self._update([variable], [gradient], learning_rate)

    def _backend_update_step(self, grads, trainable_variables, learning_rate):
        """Updates all variables; those of a shape at once, which makes a graph of a seventh of the operations.

        Several devices of TensorFlow, whose gradients are summed first, get one variable after the other.
        """
        strategy = getattr(self, "_distribution_strategy", None)
        if strategy is not None and strategy.num_replicas_in_sync > 1:
            super()._backend_update_step(grads, trainable_variables, learning_rate)
            return
        for variables, gradients in _groups(trainable_variables, grads):
            self._update(variables, gradients, learning_rate)

    def _update(self, variables, gradients, learning_rate):
        """Updates variables of one shape and type, either all of them kernels or none."""
        indices = [self._get_variable_index(variable) for variable in variables]
        dtype = variables[0].dtype
        w, gradient = _stacked(variables), ops.cast(_stacked(gradients), dtype)
        step_size = self._step_size(learning_rate, dtype)
        if self._scales[indices[0]] is None:
            direction = self._direction(gradient, _chosen(self._momentums, indices), _chosen(self._velocities, indices))
            self._assign(variables, w - step_size * direction)
            return
        scales = _chosen(self._scales, indices)
        scale = _stacked(scales)
        v = ops.where(scale == 0, w, w / ops.where(scale == 0, ops.ones_like(scale), scale))
        norm = _norm(v)
        safe_norm = ops.where(norm == 0, ops.ones_like(norm), norm)

        # Equation 3 of the paper: the gradients of g and v from that of w.
        g_gradient = ops.sum(gradient * v, axis=_axes(v), keepdims=True) / safe_norm
        v_gradient = scale * (gradient - g_gradient / safe_norm * v)
        new_g = scale * norm - step_size * self._direction(
            g_gradient, _chosen(self._length_momentums, indices), _chosen(self._length_velocities, indices))
        new_v = v - step_size * self._direction(
            v_gradient, _chosen(self._momentums, indices), _chosen(self._velocities, indices))

        new_norm = _norm(new_v)
        defined = ops.logical_and(norm > 0, new_norm > 0)
        new_scale = ops.where(defined, new_g / ops.where(defined, new_norm, ops.ones_like(norm)), scale)
        self._assign(scales, new_scale)
        self._assign(variables, new_scale * new_v)

    def _add_channel_variable(self, variable, name, initializer):
        shape = (1,) * (len(variable.shape) - 1) + (variable.shape[-1],)
        return self.add_variable(shape, initializer=initializer, dtype=variable.dtype,
                                 name=f"{variable.path.replace('/', '_')}_{name}")

    def _step_size(self, learning_rate, dtype):
        step = ops.cast(self.iterations + 1, dtype)
        beta_1, beta_2 = (ops.power(ops.cast(beta, dtype), step) for beta in (self.beta_1, self.beta_2))
        return ops.cast(learning_rate, dtype) * ops.sqrt(1 - beta_2) / (1 - beta_1)

    def _direction(self, gradient, momentums, velocities):
        """Updates Adam's two moments of several variables and returns their quotients, all stacked."""
        momentum, velocity = _stacked(momentums), _stacked(velocities)
        momentum = momentum + (gradient - momentum) * (1 - self.beta_1)
        velocity = velocity + (ops.square(gradient) - velocity) * (1 - self.beta_2)
        self._assign(momentums, momentum)
        self._assign(velocities, velocity)
        return momentum / (ops.sqrt(velocity) + self.epsilon)

    def _assign(self, variables, stacked):
        for variable, value in zip(variables, ops.unstack(stacked, len(variables)), strict=True):
            self.assign(variable, value)


def is_kernel(variable):
    """Whether `variable` is the kernel of a convolution or a dense layer."""
    return variable.name == "kernel" and len(variable.shape) > 1


def _groups(variables, gradients):
    """Yields lists of variables that are updated at once, and their gradients."""
    groups = {}
    for variable, gradient in zip(variables, gradients, strict=True):
        groups.setdefault((tuple(variable.shape), str(variable.dtype), is_kernel(variable)), []).append(
            (variable, gradient))
    for (shape, *_), group in groups.items():
        size = max(1, GROUP_ELEMENTS // max(1, math.prod(shape)))
        for start in range(0, len(group), size):
            yield tuple(map(list, zip(*group[start:start + size], strict=True)))


def _stacked(variables):
    return ops.stack([variable.value if isinstance(variable, keras.Variable) else variable for variable in variables])


def _chosen(slots, indices):
    return [slots[index] for index in indices]


def _axes(x):
    """Returns the axes of stacked kernels over which a channel's numbers lie."""
    return tuple(range(1, len(x.shape) - 1))


def _norm(v):
    return ops.sqrt(ops.sum(ops.square(v), axis=_axes(v), keepdims=True))
