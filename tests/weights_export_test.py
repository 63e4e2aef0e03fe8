"""Our networks as weights for PyTorch: read back they give the same output, and so do minimal networks in torch.nn."""

import numpy as np
import pytest
from safetensors.numpy import load_file

import convert
import weights
from model import edsr, edsr_gen, keep_colours, msr_resnet, rrdb, span, sr_resnet, srvgg, wdsr_a, wdsr_b
from tests.conftest import assert_one_line_error, to_numpy

NETWORKS = {
    "edsr x4": lambda: edsr(4, 4, 2),
    "edsr x3": lambda: edsr(3, 4, 1, res_block_scaling=0.25),
    "wdsr-a x2": lambda: wdsr_a(2, 4, 2, padding="same"),
    "wdsr-b x3": lambda: wdsr_b(3, 5, 2, padding="same"),
    "rrdb x4": lambda: rrdb(4, 4, 1, 2),
    "rrdb x2": lambda: rrdb(2, 4, 1, 2, unshuffle=2),
    "srvgg x3": lambda: srvgg(3, 4, 2),
    "span x2": lambda: span(2, 4, 2),
    "span x1": lambda: span(1, 4, 1, subtract_mean=False),
    "msr-resnet x4": lambda: msr_resnet(4, 4, 1),
}
QUICK = ("edsr x3", "wdsr-b x3", "span x1")
LR = np.random.default_rng(0).integers(0, 256, (1, 9, 6, 3)).astype("float32")


def saved(build, path):
    """Writes a network with random weights as a .keras file, and returns its output."""
    model, rng = build(), np.random.default_rng(1)
    for layer in model.layers:
        layer.set_weights([rng.normal(0, 0.2, array.shape) for array in layer.get_weights()])
    weights.save(model, path)
    return to_numpy(model(LR))


@pytest.mark.parametrize("name", [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow)
                                  for name in NETWORKS])
def test_what_is_written_for_pytorch_is_read_back_with_the_same_output(run_main, tmp_path, name):
    expected = saved(NETWORKS[name], tmp_path / "model.keras")
    code, out, err = run_main(convert, "weights", "-i", tmp_path / "model.keras", "-o", tmp_path / "a.safetensors")
    assert code == 0, err
    assert "names of " in out
    scaling = 0.25 if "residual scaling of 0.25" in out else None
    model, notes = weights.load_foreign(tmp_path / "a.safetensors", res_scaling=scaling)
    assert f"{name} of " in notes[0]
    assert to_numpy(model(LR)) == pytest.approx(expected, rel=1e-5, abs=1e-3)


@pytest.mark.slow
def test_names_and_shapes_are_those_of_the_official_code(run_main, tmp_path):
    saved(lambda: span(4, 28, 6), tmp_path / "model.keras")
    run_main(convert, "weights", "-i", tmp_path / "model.keras", "-o", tmp_path / "a.safetensors")
    shapes = {name: array.shape for name, array in load_file(tmp_path / "a.safetensors").items()}
    assert len(shapes) == 20 * 10 + 4
    assert shapes["block_6.c3_r.conv.1.weight"] == (56, 56, 3, 3)
    assert shapes["conv_1.eval_conv.weight"] == (28, 3, 3, 3)
    assert shapes["upsampler.0.bias"] == (48,)


def test_a_model_that_mirrors_borders_says_so(run_main, tmp_path):
    saved(lambda: wdsr_b(2, 5, 1), tmp_path / "model.keras")
    _, out, _ = run_main(convert, "weights", "-i", tmp_path / "model.keras", "-o", tmp_path / "a.safetensors")
    assert "near the borders the output differs" in out


@pytest.mark.parametrize(("build", "cause"), [
    (lambda: sr_resnet(4, 4, 1), "no network that has a code in PyTorch"),
    (lambda: edsr_gen(2, 4, 1), "no network that has a code in PyTorch"),
    (lambda: keep_colours(edsr(2, 4, 1), 2), "has other layers than the network of its kind")])
def test_a_network_without_a_code_in_pytorch_is_refused(run_main, tmp_path, build, cause):
    saved(build, tmp_path / "model.keras")
    result = run_main(convert, "weights", "-i", tmp_path / "model.keras", "-o", tmp_path / "a.safetensors")
    assert_one_line_error(result, tmp_path / "model.keras", cause)
    assert not (tmp_path / "a.safetensors").exists()


def test_what_a_model_says_itself_cannot_be_given(run_main, tmp_path):
    saved(lambda: edsr(2, 4, 1), tmp_path / "model.keras")
    result = run_main(convert, "weights", "-i", tmp_path / "model.keras", "-o", tmp_path / "a.safetensors",
                      "--res-scaling", 0.1)
    assert_one_line_error(result, tmp_path / "model.keras", "says itself what --res-scaling would")
