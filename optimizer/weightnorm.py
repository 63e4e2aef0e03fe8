"""Weight Normalization: A Simple Reparameterization to Accelerate Training (Salimans & Kingma 2016)."""

import keras
from keras import ops


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
        index = self._get_variable_index(variable)
        if self._scales[index] is None:
            super().update_step(gradient, variable, learning_rate)
            return
        step_size = self._step_size(learning_rate, variable.dtype)
        w, gradient = ops.convert_to_tensor(variable), ops.cast(gradient, variable.dtype)
        scale = ops.convert_to_tensor(self._scales[index])
        v = ops.where(scale == 0, w, w / ops.where(scale == 0, ops.ones_like(scale), scale))
        norm = _norm(v)
        safe_norm = ops.where(norm == 0, ops.ones_like(norm), norm)

        # Equation 3 of the paper: the gradients of g and v from that of w.
        g_gradient = ops.sum(gradient * v, axis=_axes(v), keepdims=True) / safe_norm
        v_gradient = scale * (gradient - g_gradient / safe_norm * v)
        new_g = scale * norm - step_size * self._direction(
            g_gradient, self._length_momentums[index], self._length_velocities[index])
        new_v = v - step_size * self._direction(v_gradient, self._momentums[index], self._velocities[index])

        new_norm = _norm(new_v)
        defined = ops.logical_and(norm > 0, new_norm > 0)
        new_scale = ops.where(defined, new_g / ops.where(defined, new_norm, ops.ones_like(norm)), scale)
        self.assign(self._scales[index], new_scale)
        self.assign(variable, new_scale * new_v)

    def _add_channel_variable(self, variable, name, initializer):
        shape = (1,) * (len(variable.shape) - 1) + (variable.shape[-1],)
        return self.add_variable(shape, initializer=initializer, dtype=variable.dtype,
                                 name=f"{variable.path.replace('/', '_')}_{name}")

    def _step_size(self, learning_rate, dtype):
        step = ops.cast(self.iterations + 1, dtype)
        beta_1, beta_2 = (ops.power(ops.cast(beta, dtype), step) for beta in (self.beta_1, self.beta_2))
        return ops.cast(learning_rate, dtype) * ops.sqrt(1 - beta_2) / (1 - beta_1)

    def _direction(self, gradient, momentum, velocity):
        """Updates Adam's two moments and returns their quotient."""
        self.assign_add(momentum, (gradient - momentum) * (1 - self.beta_1))
        self.assign_add(velocity, (ops.square(gradient) - velocity) * (1 - self.beta_2))
        return momentum / (ops.sqrt(velocity) + self.epsilon)


def is_kernel(variable):
    """Whether `variable` is the kernel of a convolution or a dense layer."""
    return variable.name == "kernel" and len(variable.shape) > 1


def _axes(x):
    return tuple(range(len(x.shape) - 1))


def _norm(v):
    return ops.sqrt(ops.sum(ops.square(v), axis=_axes(v), keepdims=True))
