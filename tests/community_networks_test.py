"""The networks of most public models: ESRGAN (RRDB), Compact (SRVGG), SPAN and MSRResNet."""

import itertools

import keras
import numpy as np
import pytest
from safetensors.numpy import save_file

import demo
import evaluate
import train
import weights
from errors import UserError
from imaging.photos import read_photo
from model import BilinearEnlarging, PixelShuffle, PixelUnshuffle, msr_resnet, rrdb, span, srvgg
from super_resolution import SuperResolver, tiles
from super_resolution.precision import mixed_bfloat16
from super_resolution.reach import grid, receptive_radius
from super_resolution.tiles import rounded_up, tile_spans
from tests.conftest import make_photo, save_photo, to_numpy

NETWORKS = {
    "rrdb x8": lambda: rrdb(8, 4, 1, 2),
    "rrdb x1, unshuffled": lambda: rrdb(1, 4, 1, 2, unshuffle=4),
    "rrdb x2, unshuffled": lambda: rrdb(2, 4, 1, 2, unshuffle=2),
    "srvgg x1": lambda: srvgg(1, 4, 2),
    "srvgg x3": lambda: srvgg(3, 4, 2),
    "span x2": lambda: span(2, 6, 2),
    "span x1": lambda: span(1, 4, 1, subtract_mean=False),
    "msr-resnet x3": lambda: msr_resnet(3, 4, 1),
}
QUICK = ("rrdb x2, unshuffled", "srvgg x3", "span x1", "msr-resnet x3")


def randomized(name):
    model, rng = NETWORKS[name](), np.random.default_rng(0)
    for layer in model.layers:
        layer.set_weights([rng.normal(0, 1 / np.sqrt(np.prod(array.shape[:-1]) or 1), array.shape) if array.ndim > 1
                           else rng.normal(0, 0.1, array.shape) for array in layer.get_weights()])
    return model


@pytest.fixture(scope="module", params=[name if name in QUICK else pytest.param(name, marks=pytest.mark.slow)
                                        for name in NETWORKS])
def network(request):
    return randomized(request.param)


@pytest.mark.parametrize(("build", "blocks", "count"), [
    (lambda blocks: rrdb(4, num_res_blocks=blocks), 23, 16_697_987),
    (lambda blocks: srvgg(4, num_res_blocks=blocks), 16, 621_424),
    (lambda blocks: span(4, 28, blocks), 6, 150_688)])
def test_parameter_counts_are_the_published_ones(build, blocks, count):
    one, two = (build(number).count_params() for number in (1, 2))
    assert one + (blocks - 1) * (two - one) == count


def test_a_saved_network_is_loaded_as_data_with_the_same_output(network, tmp_path):
    weights.save(network, tmp_path / "model.keras")
    ours, theirs = weights.load(tmp_path / "model.keras"), keras.saving.load_model(tmp_path / "model.keras")
    for size in ((1, 1), (2, 7), (9, 6)):
        lr = make_photo(*size).astype("float32")[None]
        expected = to_numpy(network(lr))
        scale = weights.model_scale(network)
        assert expected.shape == (1, size[0] * scale, size[1] * scale, 3)
        assert np.array_equal(to_numpy(ours(lr)), expected)
        assert np.array_equal(to_numpy(theirs(lr)), expected)


def test_tiles_give_what_the_whole_image_gives(network):
    reach = rounded_up(receptive_radius(network), grid(network))
    lr, self_ensemble = make_photo(2 * reach + 11, 5), grid(network) > 1  # what is flipped must be on the grid as well
    whole, tiled = (SuperResolver(network, tile_size=tile_size, self_ensemble=self_ensemble)
                    for tile_size in (None, 2 * reach + 3))
    assert tiled(lr) == pytest.approx(whole(lr), abs=1e-3)


def test_a_network_that_looks_very_far_is_applied_in_tiles_that_are_not_as_large(monkeypatch):
    monkeypatch.setattr(tiles, "NEAR", 6)
    network = rrdb(1, 4, 1, 2)
    rng = np.random.default_rng(0)
    network.set_weights([rng.normal(0, 0.1, array.shape) for array in network.get_weights()])
    assert receptive_radius(network) > 12
    whole, tiled, exact = (SuperResolver(network, tile_size=size) for size in (None, 20, 60))
    assert (tiled.halo, exact.halo) == (6, receptive_radius(network))
    lr = make_photo(47, 33)
    assert tiled(lr) == pytest.approx(whole(lr), abs=0.5)
    assert SuperResolver(network, memory=1e-3).tile_size == 24
    with pytest.raises(UserError, match="tile size 12 is too small for rrdb: more than 12 pixels are needed"):
        SuperResolver(network, tile_size=12)


def test_no_pixel_beyond_the_reach_matters(network):
    radius, scale = receptive_radius(network), weights.model_scale(network)
    lr = make_photo(2 * radius + 12, 3).astype("float32")
    forward, middle = SuperResolver(network), len(lr) // 2
    changed = lr.copy()
    changed[middle] = 255 - changed[middle]
    rows = np.abs(forward(lr) - forward(changed)).max(axis=(1, 2)).nonzero()[0] // scale
    assert middle - radius <= rows.min()
    assert rows.max() <= middle + radius


def test_bfloat16_is_close_to_float32(network):
    lr = make_photo(13, 10)
    exact, mixed = (SuperResolver(model)(lr) for model in (network, mixed_bfloat16(network)))
    error = np.sqrt(np.mean((exact - mixed)**2))
    assert 0 < error < 0.02 * max(np.ptp(exact), 255)


def test_tiles_begin_on_the_grid():
    for size in range(30, 60):
        spans = tile_spans(size, 24, 8, 4)
        assert all(span.start % 4 == 0 for span in spans)
        assert [span.first for span in spans[1:]] == [span.last for span in spans[:-1]]
        assert (spans[0].first, spans[-1].last, spans[-1].end) == (0, size, size)
        for before, after in itertools.pairwise(spans):
            assert before.end - before.last >= 8
            assert after.first - after.start >= 8


@pytest.mark.parametrize("factor", [2, 4])
def test_unshuffling_reverses_shuffling(factor):
    images = np.random.default_rng(0).random((2, 8, 12, 5), "float32")
    assert np.array_equal(to_numpy(PixelShuffle(factor)(PixelUnshuffle(factor)(images))), images)


@pytest.mark.parametrize("factor", [2, 3, 4])
def test_bilinear_enlarging_is_linear_between_the_centres_of_pixels(factor):
    ramp = np.arange(5, dtype="float32")[None, :, None, None] * np.ones((1, 5, 3, 2), "float32")
    enlarged = to_numpy(BilinearEnlarging(factor)(ramp))
    expected = np.clip((np.arange(5 * factor) + 0.5) / factor - 0.5, 0, 4)
    assert enlarged.shape == (1, 5 * factor, 3 * factor, 2)
    assert enlarged[0, :, 0, 0] == pytest.approx(expected, abs=1e-6)


def test_a_scale_that_a_network_cannot_have_is_refused():
    for build in (lambda: rrdb(3), lambda: rrdb(4, unshuffle=3), lambda: msr_resnet(8)):
        with pytest.raises(ValueError, match="is not supported"):
            build()


@pytest.mark.slow
def test_the_profile_of_span_is_the_network_of_the_challenges_and_trains():
    args = train.parse_args(["--profile", "span-28", "--scale", "4"])
    assert (args.model, args.num_filters, args.num_res_blocks, args.learning_rate) == ("span", 28, 6, 5e-4)
    args.num_filters, args.num_res_blocks = 4, 1
    model, network, _ = train.build(args)
    model.set_weights(network.get_weights())
    lr, hr = (np.stack([make_photo(size, size, seed) for seed in range(2)]).astype("float32") for size in (8, 32))
    before = network.evaluate(lr, hr, verbose=0)[0]
    for _ in range(3):
        network.train_on_batch(lr, hr)
    assert network.evaluate(lr, hr, verbose=0)[0] < before


def identity(path, scale):
    """Writes the weights of a Compact network that repeats pixels, and returns the path."""
    save_file({"body.0.weight": np.zeros((4, 3, 3, 3), "f4"), "body.0.bias": np.zeros(4, "f4"),
               "body.1.weight": np.zeros(4, "f4"), "body.2.weight": np.zeros((3 * scale**2, 4, 3, 3), "f4"),
               "body.2.bias": np.zeros(3 * scale**2, "f4")}, path)
    return path


@pytest.mark.parametrize("scale", [1, 8])
def test_scales_1_and_8_go_through_demo_and_evaluate(run_main, tmp_path, scale):
    model = identity(tmp_path / "model.safetensors", scale)
    photos = {"a": make_photo(24, 17), "b": make_photo(24, 17).astype(np.uint16)[..., 0] * 257}
    for name, photo in photos.items():
        save_photo(tmp_path / "in" / f"{name}.png", photo)
    code, out, _ = run_main(demo, "-i", tmp_path / "in", "-o", tmp_path / "out", "--model", model, "--tile-size", 10,
                            "--scale", scale)
    assert code == 0
    assert f"an srvgg x{scale} of 0 blocks and 4 filters" in out
    for name, photo in photos.items():
        expected = np.repeat(np.repeat(photo, scale, 0), scale, 1)
        sr = read_photo(tmp_path / "out" / f"{name}-sr.png").pixels.squeeze()
        assert sr.dtype == photo.dtype
        assert np.abs(sr.astype(int) - expected).max() <= 1
    code, out, _ = run_main(demo, "-i", tmp_path / "in" / "a.png", "-o", tmp_path / "half", "--model", model,
                            "--outscale", 0.5)
    assert (code, read_photo(tmp_path / "half" / "a-sr.png").pixels.shape) == (0, (12, 8, 3))
    save_photo(tmp_path / "hr" / "c.png", make_photo(40, 32))
    code, out, _ = run_main(evaluate, "--images", tmp_path / "hr", "-i", model, "--scale", scale, "--bicubic")
    assert code == 0
    assert f"x{scale}" in out
