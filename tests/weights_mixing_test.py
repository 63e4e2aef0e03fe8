"""Models made of models, and what the shipped ones do to colours."""

import numpy as np
import pytest

import convert
import pretrained
import weights
from errors import UserError
from model import edsr_gen, keep_colours, sr_resnet, wdsr_b
from super_resolution import SuperResolver, load
from tests.conftest import assert_one_line_error, make_photo, to_numpy

COLOURS = {"black": (0, 0, 0), "grey": (128, 128, 128), "white": (255, 255, 255), "red": (255, 0, 0),
           "green": (0, 255, 0), "blue": (0, 0, 255), "yellow": (255, 255, 0), "cyan": (0, 255, 255),
           "magenta": (255, 0, 255)}
MAX_SHIFT = 2  # grey levels of 255


@pytest.mark.parametrize("name", [
    name if name.startswith("wdsr-b-8") else pytest.param(name, marks=pytest.mark.slow) for name in pretrained.names()])
def test_a_shipped_model_keeps_flat_colours(name):
    super_resolve = load(name)
    fields = np.zeros((len(COLOURS), 20, 20, 3), "float32") + np.array(list(COLOURS.values()))[:, None, None]
    for colour, sr in zip(COLOURS.values(), to_numpy(super_resolve.model(fields)), strict=True):
        mean = sr.mean(axis=(0, 1))
        assert np.abs(mean - colour).max() <= MAX_SHIFT, (colour, mean)


@pytest.mark.parametrize("scale", [2, 4])
def test_a_generator_that_keeps_colours_gets_its_low_frequencies_from_the_input(scale):
    generator = edsr_gen(scale, 4, 1)
    layer = generator.get_layer("tail")
    kernel, bias = layer.get_weights()
    layer.set_weights([kernel, bias + np.array((1.0, 0.5, -0.5))])  # shifts all colours
    lr = np.full((1, 30, 34, 3), (200, 40, 90), "float32")
    shifted, kept = (to_numpy(model(lr)) for model in (generator, keep_colours(generator, scale)))
    assert np.abs(shifted - lr[0, 0, 0]).max() > 20
    assert kept.shape == shifted.shape
    assert np.abs(kept.mean(axis=(0, 1, 2)) - lr[0, 0, 0]).max() < 0.5


@pytest.mark.slow
def test_tiles_of_a_network_that_keeps_colours_are_exact(tmp_path):
    generator = keep_colours(sr_resnet(4, 4, 1), 4)
    weights.save(generator, tmp_path / "kept.keras")
    loaded = weights.load(tmp_path / "kept.keras")
    lr = make_photo(75, 80).astype("float32")
    whole, tiled = SuperResolver(loaded), SuperResolver(loaded, tile_size=60)
    assert 0 < tiled.halo < 30
    assert whole(lr) == pytest.approx(to_numpy(generator(lr[None]))[0], abs=1e-3)
    assert tiled(lr) == pytest.approx(whole(lr), abs=1e-3)


def test_a_mixed_model_lies_between_two(tmp_path):
    paths = [tmp_path / f"{name}.keras" for name in "abc"]
    for path in paths[:2]:
        weights.save(wdsr_b(2, 4, 1), path)
    weights.mix(*paths, weight=0.25)
    first, second, mixed = (weights.load(path).get_weights() for path in paths)
    for a, b, c in zip(first, second, mixed, strict=True):
        assert c == pytest.approx(0.75 * a + 0.25 * b, abs=1e-6)


def test_different_networks_are_not_mixed_and_colours_are_kept_once(tmp_path):
    weights.save(wdsr_b(2, 4, 1), tmp_path / "a.keras")
    weights.save(wdsr_b(2, 5, 1), tmp_path / "b.keras")
    with pytest.raises(UserError, match=r"b\.keras: is another network than .*a\.keras"):
        weights.mix(tmp_path / "a.keras", tmp_path / "b.keras", tmp_path / "c.keras", 0.5)
    weights.write_with_colours(tmp_path / "a.keras", tmp_path / "c.keras")
    with pytest.raises(UserError, match=r"c\.keras: keeps the colours of its input already"):
        weights.write_with_colours(tmp_path / "c.keras", tmp_path / "d.keras")


def test_convert_mixes_models_and_keeps_colours(run_main, tmp_path):
    for name in "ab":
        weights.save(wdsr_b(2, 4, 1), tmp_path / f"{name}.keras")
    paths = [tmp_path / f"{name}.keras" for name in "abc"]
    assert run_main(convert, "mix", "-i", *paths[:2], "--weight", "1", "-o", paths[2])[0] == 0
    second, mixed = (weights.load(path).get_weights() for path in paths[1:])
    assert all(np.array_equal(a, b) for a, b in zip(second, mixed, strict=True))
    assert run_main(convert, "colours", "-i", paths[0], "-o", tmp_path / "d.keras")[0] == 0
    assert weights.load(tmp_path / "d.keras").layers[-1].name == "colours"
    with pytest.raises(SystemExit):
        convert.parse_args(["mix", "-i", "a.keras", "-o", "c.keras"])


def test_convert_takes_the_names_of_shipped_models(run_main, tmp_path, monkeypatch):
    monkeypatch.setattr(pretrained, "FOLDER", tmp_path)
    monkeypatch.setattr(pretrained, "models", lambda: {"shipped": {}})
    weights.save(wdsr_b(2, 4, 1), tmp_path / "shipped.keras")
    assert run_main(convert, "mix", "-i", "shipped", tmp_path / "shipped.keras", "-o", tmp_path / "a.keras")[0] == 0
    assert run_main(convert, "colours", "-i", "shipped", "-o", tmp_path / "b.keras")[0] == 0
    assert_one_line_error(run_main(convert, "colours", "-i", "sent", "-o", tmp_path / "c.keras"), "sent")
