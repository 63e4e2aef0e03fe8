"""Every Keras backend gives what TensorFlow gave (tests/make_golden.py)."""

import numpy as np
import pytest

from tests.golden_cases import GOLDEN, forward_cases, loss_cases


@pytest.fixture(scope="module")
def golden():
    with np.load(GOLDEN) as file:
        return dict(file)


@pytest.mark.parametrize("name", forward_cases())
def test_inference_gives_the_same_on_every_backend(golden, name):
    sr = forward_cases()[name]()
    assert sr.shape == golden[f"forward/{name}"].shape
    assert sr == pytest.approx(golden[f"forward/{name}"], abs=1e-3)  # of 255


@pytest.mark.parametrize("name", [
    pytest.param(name, marks=pytest.mark.slow) if name in ("srgan", "sr-resnet") else name for name in loss_cases()])
def test_twenty_training_steps_give_the_same_losses_on_every_backend(golden, name):
    losses = loss_cases()[name]()
    assert losses == pytest.approx(golden[f"losses/{name}"], rel=1e-4)
    assert losses[-1] < losses[0]
