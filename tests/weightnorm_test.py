import keras
import numpy as np
import pytest
from keras import layers

from optimizer import AdamWithWeightnorm, data_based_initialization
from tests.conftest import make_photo, to_numpy

LEARNING_RATE, BETA_1, BETA_2, EPSILON = 1e-2, 0.9, 0.999, 1e-7


def network():
    """Returns a small network with a convolution, a PReLU, a batch normalization and a dense layer."""
    keras.utils.set_random_seed(1)
    return keras.Sequential([
        keras.Input((6, 6, 3)), layers.Conv2D(4, 3, name="conv"), layers.PReLU(shared_axes=(1, 2), name="prelu"),
        layers.BatchNormalization(name="bn"), layers.Flatten(), layers.Dense(2, name="dense")])


def batches(count):
    rng = np.random.default_rng(0)
    return [(rng.normal(size=(5, 6, 6, 3)).astype("float32"), rng.normal(size=(5, 2)).astype("float32"))
            for _ in range(count)]


def norm(v):
    return np.sqrt((v**2).sum(axis=tuple(range(v.ndim - 1)), keepdims=True))


class Adam:
    """Adam on one array, in float64."""

    def __init__(self):
        self.m = self.v = 0.0
        self.step = 0

    def __call__(self, gradient):
        self.step += 1
        self.m = BETA_1 * self.m + (1 - BETA_1) * gradient
        self.v = BETA_2 * self.v + (1 - BETA_2) * gradient**2
        rate = LEARNING_RATE * np.sqrt(1 - BETA_2**self.step) / (1 - BETA_1**self.step)
        return rate * self.m / (np.sqrt(self.v) + EPSILON)


def test_a_kernel_follows_adam_on_its_direction_and_length():
    rng = np.random.default_rng(0)
    w = rng.normal(size=(3, 3, 2, 4))
    variable = keras.Variable(w, name="kernel", dtype="float32")
    optimizer = AdamWithWeightnorm(LEARNING_RATE)
    v, g, adam_v, adam_g = w, norm(w), Adam(), Adam()
    for _ in range(10):
        gradient = rng.normal(size=w.shape)
        g_gradient = (gradient * v).sum(axis=(0, 1, 2), keepdims=True) / norm(v)
        v_gradient = g / norm(v) * gradient - g * g_gradient / norm(v)**2 * v
        v, g = v - adam_v(v_gradient), g - adam_g(g_gradient)
        optimizer.apply([keras.ops.convert_to_tensor(gradient.astype("float32"))], [variable])
        assert to_numpy(variable) == pytest.approx(g * v / norm(v), abs=2e-6)


def test_only_kernels_are_normalized():
    weightnorm, plain = network(), network()
    weightnorm.compile(AdamWithWeightnorm(LEARNING_RATE), "mse")
    plain.compile(keras.optimizers.Adam(LEARNING_RATE), "mse")
    before = [np.array(weight) for weight in plain.get_weights()]
    x, y = batches(1)[0]
    for model in (weightnorm, plain):
        model.train_on_batch(x, y)
    for variable, ours, theirs, old in zip(plain.weights, weightnorm.get_weights(), plain.get_weights(), before,
                                           strict=True):
        assert (variable.name == "kernel") != np.allclose(ours, theirs, atol=1e-7), variable.path
        assert not np.array_equal(ours, old), variable.path


@pytest.mark.slow
def test_a_kernel_of_zeros_stays_finite_and_learns():
    model = network()
    model.get_layer("dense").set_weights([np.zeros((64, 2)), np.zeros(2)])
    model.compile(AdamWithWeightnorm(LEARNING_RATE), "mse")
    for x, y in batches(5):
        model.train_on_batch(x, y)
    assert all(np.isfinite(weight).all() for weight in model.get_weights())
    assert np.abs(model.get_layer("dense").get_weights()[0]).max() > 0


@pytest.mark.slow
def test_the_state_of_the_optimizer_is_complete():
    data = batches(8)
    straight = network()
    straight.compile(AdamWithWeightnorm(LEARNING_RATE), "mse")
    for x, y in data[:4]:
        straight.train_on_batch(x, y)
    resumed = network()
    resumed.compile(AdamWithWeightnorm(LEARNING_RATE), "mse")
    resumed.optimizer.build(resumed.trainable_variables)
    resumed.set_weights(straight.get_weights())
    for ours, theirs in zip(resumed.optimizer.variables, straight.optimizer.variables, strict=True):
        ours.assign(to_numpy(theirs))
    for model in (straight, resumed):
        for x, y in data[4:]:
            model.train_on_batch(x, y)
    for ours, theirs in zip(resumed.get_weights(), straight.get_weights(), strict=True):
        assert np.array_equal(ours, theirs)


class Problem:
    """A kernel and a bias with given gradients; `apply` does steps with a new optimizer and returns their values."""

    def __init__(self):
        rng = np.random.default_rng(3)
        self.values = [rng.normal(size=(3, 3, 2, 4)), rng.normal(size=(4,))]
        self.gradients = [[10 * rng.normal(size=value.shape).astype("float32") for value in self.values]
                          for _ in range(6)]

    def variables(self, **kwargs):
        return [keras.Variable(value, name=name, dtype="float32", **kwargs)
                for value, name in zip(self.values, ("kernel", "bias"), strict=True)]

    def apply(self, optimizer, gradients, variables=None):
        variables = variables or self.variables()
        for step in gradients:
            optimizer.apply([keras.ops.convert_to_tensor(gradient) for gradient in step], variables)
        return [to_numpy(variable) for variable in variables]


def assert_close(ours, theirs, tolerance=2e-6):
    for a, b in zip(ours, theirs, strict=True):
        assert a == pytest.approx(b, abs=tolerance)


def clip_values(gradients):
    return [np.clip(gradient, -3, 3) for gradient in gradients]


def clip_norms(gradients):
    return [gradient * min(1, 3 / np.sqrt((gradient**2).sum())) for gradient in gradients]


def clip_global_norm(gradients):
    norm = np.sqrt(sum((gradient**2).sum() for gradient in gradients))
    return [gradient * min(1, 3 / norm) for gradient in gradients]


@pytest.mark.parametrize(("name", "clip"), [("clipvalue", clip_values), ("clipnorm", clip_norms),
                                            ("global_clipnorm", clip_global_norm)])
def test_clipping_acts_on_the_gradients_of_the_kernels(name, clip):
    problem = Problem()
    clipped = problem.apply(AdamWithWeightnorm(LEARNING_RATE, **{name: 3.0}), problem.gradients)
    by_hand = problem.apply(AdamWithWeightnorm(LEARNING_RATE), [clip(step) for step in problem.gradients])
    plain = problem.apply(AdamWithWeightnorm(LEARNING_RATE), problem.gradients)
    assert_close(clipped, by_hand)
    assert np.abs(clipped[0] - plain[0]).max() > 1e-4


def test_weight_decay_shrinks_the_kernels_themselves():
    problem = Problem()
    zeros = [[np.zeros_like(gradient) for gradient in step] for step in problem.gradients]
    decayed = problem.apply(AdamWithWeightnorm(LEARNING_RATE, weight_decay=0.1), zeros)
    assert_close(decayed, [value * (1 - LEARNING_RATE * 0.1)**6 for value in problem.values])


def test_gradients_are_accumulated():
    problem = Problem()
    accumulated = problem.apply(AdamWithWeightnorm(LEARNING_RATE, gradient_accumulation_steps=2), problem.gradients)
    means = [[(a + b) / 2 for a, b in zip(*problem.gradients[i:i + 2], strict=True)] for i in (0, 2, 4)]
    assert_close(accumulated, problem.apply(AdamWithWeightnorm(LEARNING_RATE), means))


def test_a_moving_average_follows_the_kernels():
    problem = Problem()
    optimizer = AdamWithWeightnorm(LEARNING_RATE, use_ema=True, ema_momentum=0.8)
    variables = problem.variables()
    average = None
    for step in problem.gradients:
        values = problem.apply(optimizer, [step], variables)
        average = values if average is None else [0.8 * a + 0.2 * b for a, b in zip(average, values, strict=True)]
    assert_close([to_numpy(v) for v in optimizer._model_variables_moving_average], average)
    optimizer.finalize_variable_values(variables)
    assert_close([to_numpy(variable) for variable in variables], average)


def test_a_learning_rate_schedule_is_followed():
    problem = Problem()
    schedule = keras.optimizers.schedules.PiecewiseConstantDecay([2], [LEARNING_RATE, 0.0])
    frozen = problem.apply(AdamWithWeightnorm(schedule), problem.gradients)
    assert_close(frozen, problem.apply(AdamWithWeightnorm(LEARNING_RATE), problem.gradients[:3]))


def test_constraints_hold_after_each_step():
    problem = Problem()
    variables = problem.variables()
    variables[0].constraint = keras.constraints.NonNeg()
    assert problem.apply(AdamWithWeightnorm(LEARNING_RATE), problem.gradients, variables)[0].min() == 0


@pytest.mark.skipif(keras.backend.backend() == "jax", reason="Keras scales losses on JAX within fit alone")
def test_loss_scaling_changes_nothing_but_skips_what_is_not_finite():
    problem = Problem()
    scaled = keras.optimizers.LossScaleOptimizer(AdamWithWeightnorm(LEARNING_RATE), initial_scale=8.0)
    infinite = [np.full_like(gradient, np.inf) for gradient in problem.gradients[0]]
    gradients = [[8 * gradient for gradient in step] for step in problem.gradients]
    values = problem.apply(scaled, [*gradients[:3], infinite])
    assert_close(values, problem.apply(AdamWithWeightnorm(LEARNING_RATE), problem.gradients[:3]))


def test_amsgrad_is_refused():
    with pytest.raises(ValueError, match="amsgrad is not supported"):
        AdamWithWeightnorm(amsgrad=True)


def test_the_configuration_is_kept():
    optimizer = AdamWithWeightnorm(LEARNING_RATE, beta_1=0.8, clipnorm=2.0)
    copy = keras.optimizers.deserialize(keras.optimizers.serialize(optimizer))
    assert isinstance(copy, AdamWithWeightnorm)
    assert copy.get_config() == optimizer.get_config()


def test_initialization_gives_every_layer_zero_mean_and_unit_variance():
    from model import wdsr_b

    model = wdsr_b(2, num_filters=8, num_res_blocks=2)
    data = [np.stack([make_photo(12, 12, seed=4 * i + j) for j in range(4)]).astype("float32") for i in range(3)]
    names = data_based_initialization(model, data)
    assert names == [layer.name for layer in model.layers if layer.weights]
    for name in names:
        features = keras.Model(model.inputs[0], model.get_layer(name).output)
        values = np.concatenate([to_numpy(features(lr)).reshape(-1, features.output_shape[-1]) for lr in data])
        assert values.mean(axis=0) == pytest.approx(0, abs=1e-3)
        assert values.std(axis=0) == pytest.approx(1, abs=1e-3)


def test_variables_updated_at_once_change_as_one_by_one(monkeypatch):
    rng = np.random.default_rng(0)
    shapes = [(3, 3, 4, 6)] * 5 + [(6,)] * 3 + [(4, 6)]
    starts = [rng.normal(size=shape).astype("float32") for shape in shapes]
    starts[1][..., 2] = 0  # a channel without a direction
    gradients = [[rng.normal(size=shape).astype("float32") for shape in shapes] for _ in range(3)]
    results = []
    for at_once in (1 << 22, 500, 1):  # elements: all of a shape, two kernels, one variable
        monkeypatch.setattr("optimizer.weightnorm.GROUP_ELEMENTS", at_once)
        variables = [keras.Variable(start, name="kernel" if start.ndim > 1 else "bias") for start in starts]
        optimizer = AdamWithWeightnorm(LEARNING_RATE)
        optimizer.build(variables)
        for step in gradients:
            optimizer.apply([keras.ops.convert_to_tensor(gradient) for gradient in step], variables)
        results.append([to_numpy(variable) for variable in [*variables, *optimizer.variables]])
    for several in results[:2]:
        for ours, single in zip(several, results[2], strict=True):
            assert ours == pytest.approx(single, rel=1e-5, abs=1e-7)
