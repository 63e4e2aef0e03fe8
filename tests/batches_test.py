"""Tiles in batches, sent ahead, as on a GPU; and what 16 bits do not hold."""

import keras
import numpy as np
import pytest

from evaluation import load_model
from super_resolution import SuperResolver
from super_resolution import resolver as module
from super_resolution.precision import mixed
from super_resolution.tiles import grouped, tiles
from tests.conftest import make_photo
from tests.golden_cases import NETWORKS, set_weights

MEMORY = 1e-3  # MiB: the smallest tiles


@pytest.fixture(scope="module")
def model():
    model = NETWORKS["edsr-x2"]()
    set_weights(model)
    return model


@pytest.fixture
def few_at_once(monkeypatch):
    monkeypatch.setattr(module, "tiles_at_once", lambda tile_size, pixel_bytes: 3)


@pytest.mark.parametrize("options", [
    {"tile_size": 40}, *(pytest.param({"memory": MEMORY, **more}, marks=pytest.mark.slow)
                         for more in ({}, {"self_ensemble": True}))])
def test_batches_of_tiles_that_are_sent_ahead_give_what_single_tiles_give(model, few_at_once, options):
    lr = make_photo(41, 107)
    single, batches = (SuperResolver(model, is_gpu=is_gpu, **options) for is_gpu in (False, True))
    assert batches.num_at_once == 3
    counts = [], []
    ours, theirs = (resolver.enlarge(lr.astype(np.float32), count.append)
                    for resolver, count in zip((batches, single), counts, strict=True))
    assert ours == pytest.approx(theirs, abs=5e-4)
    assert sum(counts[0]) == sum(counts[1]) == lr.shape[0] * lr.shape[1]


def test_groups_are_neighbours_of_one_size():
    spans = list(tiles((100, 103), 40, 5, grid=4))
    groups = list(grouped(iter(spans), 2))
    assert [tile for group in groups for tile in group] == spans
    for group in groups:
        assert len(group) in (1, 2)
        assert len({(rows.end - rows.start, columns.end - columns.start) for rows, columns in group}) == 1
    assert max(map(len, groups)) == 2


def overflowing():
    """Returns a network whose features are too large for float16 where the image is bright: they cancel out."""
    model = keras.Sequential([keras.Input((None, None, 3), name="lr"), keras.layers.Conv2D(3, 1, name="first"),
                              keras.layers.Conv2D(3, 1, name="second"), keras.layers.UpSampling2D(2, name="enlarge")],
                             name="overflowing")
    eye = np.eye(3, dtype="float32")[None, None]
    model.set_weights([1000 * eye, np.zeros(3), eye / 1000, np.zeros(3)])
    return model


def test_what_float16_does_not_hold_is_computed_again_in_float32_and_told_of_once(capsys):
    model = overflowing()
    lr = make_photo(40, 90)
    lr[:, :45] //= 8  # up to 31: held
    for options in ({}, {"tile_size": 16}, {"tile_size": 16, "is_gpu": True}, {"self_ensemble": True}):
        resolver = SuperResolver(mixed(model, "mixed_float16"), exact=model, name="bright", **options)
        for _ in range(2):
            sr = resolver.enlarge(lr)
            assert np.abs(sr.astype(int) - np.repeat(np.repeat(lr, 2, 0), 2, 1)).max() <= 1
        assert capsys.readouterr().err.count("bright: 16 bits do not hold some of its values") == 1


def test_the_float32_network_of_a_mixed_one_is_taken_over_with_it():
    first, second = overflowing(), overflowing()
    second.set_weights([2 * weight for weight in second.get_weights()])
    resolver = SuperResolver(mixed(first, "mixed_float16"), exact=first)
    lr = np.full((4, 5, 3), 20, np.uint8)
    assert resolver.take_over(second)
    assert resolver.enlarge(lr).max() == 80
    lr[:] = 60
    assert resolver.enlarge(lr).min() == 240


def test_models_are_evaluated_in_the_precision_that_is_asked_for(model, tmp_path):
    paths = [tmp_path / name for name in ("a.keras", "b.keras")]
    for path in paths:
        model.save(path)
    lr = make_photo(12, 14)
    exact = SuperResolver(model)(lr)
    first = load_model(paths[0], precision="float16")
    outputs = [first(lr)]
    resolver = load_model(paths[1], first, precision="float16")
    outputs.append(resolver(lr))
    assert resolver is first  # nothing is compiled anew
    for sr in outputs:
        assert {layer.compute_dtype for layer in resolver.model.layers} == {"float16", "float32"}
        assert 0 < np.abs(sr - exact).max() < 4
