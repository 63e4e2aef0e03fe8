import tracemalloc

import keras
import numpy as np
import pytest

from errors import UserError
from imaging.image_files import to_uint8
from model import PixelShuffle, edsr, wdsr_b
from super_resolution import SuperResolver
from super_resolution.reach import largest_layer, receptive_radius, split_tail
from super_resolution.tiles import COPIES, even_tile_size, tile_spans
from tests.conftest import make_photo, to_numpy
from tests.golden_cases import NETWORKS, set_weights


@pytest.fixture(scope="module")
def super_resolve():
    return SuperResolver(wdsr_b(3, num_filters=4, num_res_blocks=1))


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (8, 5)])
def test_an_image_of_any_size_is_enlarged_as_predict_does(super_resolve, size):
    lr = make_photo(*size)
    sr = super_resolve(lr)
    assert sr.dtype == np.float32
    assert sr.shape == (size[0] * 3, size[1] * 3, 3)
    assert sr == pytest.approx(super_resolve.model.predict(lr[None].astype("float32"), verbose=0)[0], abs=1e-3)


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="counts TensorFlow's graphs")
def test_no_size_is_compiled_anew(super_resolve, monkeypatch):
    calls, call = [], keras.Model.__call__
    monkeypatch.setattr(keras.Model, "__call__", lambda model, *args, **kwargs: (
        calls.append(model), call(model, *args, **kwargs))[1])
    again = SuperResolver(super_resolve.model)
    for size in range(4, 9):
        again(make_photo(size, size + 1))
    assert len(calls) == 1  # what is compiled calls the network once, to make a graph


def test_a_network_of_the_same_kind_is_taken_over_with_its_weights():
    first, second = (wdsr_b(2, num_filters=4, num_res_blocks=1) for _ in range(2))
    super_resolve, lr = SuperResolver(first), make_photo(6, 5)
    before = super_resolve(lr)
    assert super_resolve.take_over(second)
    assert np.array_equal(super_resolve(lr), SuperResolver(second)(lr))
    assert not np.array_equal(super_resolve(lr), before)
    assert not super_resolve.take_over(wdsr_b(2, num_filters=5, num_res_blocks=1))
    assert not super_resolve.take_over(wdsr_b(2, num_filters=4, num_res_blocks=1, padding="same"))


@pytest.mark.parametrize(("build", "radius"), [
    (lambda: edsr(4, num_res_blocks=16), 36), (lambda: edsr(4, 256, 32), 68), (lambda: wdsr_b(2), 10),
    (lambda: keras.Sequential([keras.Input((None, None, 3)), keras.layers.Conv2D(4, 5, padding="same"),
                               keras.layers.Conv2D(12, 3, padding="same"), PixelShuffle(2)]), 3)])
def test_the_reach_is_computed_from_the_layers(build, radius):
    assert receptive_radius(build()) == radius


@pytest.mark.parametrize("name", NETWORKS)
def test_no_pixel_beyond_the_reach_matters_and_one_within_does(name):
    model = NETWORKS[name]()
    set_weights(model)
    radius, scale = receptive_radius(model), SuperResolver(model).scale
    lr = make_photo(4 * radius + 9, 3).astype("float32")
    changed = lr.copy()
    middle = len(lr) // 2
    changed[middle] = 255 - changed[middle]
    forward = SuperResolver(model)
    rows = np.abs(forward(lr) - forward(changed)).max(axis=(1, 2)).nonzero()[0] // scale
    assert middle - radius <= rows.min() <= middle - radius + 1
    assert middle + radius - 1 <= rows.max() <= middle + radius


@pytest.mark.parametrize("name", [
    name if name in ("wdsr-b-x3", "edsr-x2") else pytest.param(name, marks=pytest.mark.slow) for name in NETWORKS])
def test_tiles_give_what_the_whole_image_gives(name):
    model = NETWORKS[name]()
    set_weights(model)
    whole = SuperResolver(model)
    for extra, size in ((1, (40, 33)), (5, (61, 7)), (12, (23, 50))):
        lr = make_photo(*size)
        tiled = SuperResolver(model, tile_size=2 * receptive_radius(model) + extra)
        assert tiled(lr) == pytest.approx(whole(lr), abs=1e-3)


@pytest.mark.parametrize("name", [
    name if name in ("wdsr-a-x4", "sr-resnet-x4") else pytest.param(name, marks=pytest.mark.slow) for name in NETWORKS])
def test_tiles_of_the_features_give_what_the_whole_image_gives(name):
    model = NETWORKS[name]()
    set_weights(model)
    whole, tiled = SuperResolver(model), SuperResolver(model, memory=1e-3)
    for size in ((71, 33), (61, 7), (3, 2)):
        lr = make_photo(*size)
        difference = np.abs(tiled.enlarge(lr).astype(int) - whole.enlarge(lr))
        assert difference.max() <= 1
        assert (difference > 0).mean() < 0.001


@pytest.mark.parametrize(("name", "cut"), [
    ("edsr-x2", "body_add"), ("edsr-x3", "body_add"), ("edsr-gen-x4", "body_add"), ("sr-resnet-x4", "body_add"),
    ("wdsr-a-x4", None), ("wdsr-b-x3", None)])
def test_networks_are_cut_before_their_features_grow(name, cut):
    model = NETWORKS[name]()
    for _ in range(2):  # the parts share layers with the whole, which can be cut again
        stages = split_tail(model)
        assert [stage.network.layers[-1].name for stage in stages[:-1]] == [cut] * (cut is not None)
        assert stages[0].halo == receptive_radius(model)
        assert stages[-1].pixel_bytes == largest_layer(model)
    if cut:
        assert stages[0].pixel_bytes == 4 * 6
        assert stages[1].halo == (3 if name.startswith("sr-resnet") else 2)


def test_a_network_that_uses_a_layer_twice_is_refused():
    conv, lr = keras.layers.Conv2D(3, 3, padding="same", name="twice"), keras.Input((None, None, 3))
    for sr in (conv(conv(lr)), PixelShuffle(2)(keras.layers.Conv2D(12, 3)(conv(conv(lr))))):
        with pytest.raises(UserError, match="used more than once: it cannot be applied in tiles"):
            receptive_radius(keras.Model(lr, sr))


@pytest.mark.parametrize(("size", "tile_size", "halo"), [(1000, 756, 20), (700, 701, 66), (757, 756, 30), (90, 9, 4)])
def test_even_tiles_are_no_more_and_no_larger(size, tile_size, halo):
    even = even_tile_size(size, tile_size, halo)
    assert even <= tile_size
    assert len(tile_spans(size, even, halo)) == len(tile_spans(size, tile_size, halo))
    assert even - 1 <= 2 * halo or len(tile_spans(size, even - 1, halo)) > len(tile_spans(size, even, halo))


@pytest.mark.slow
def test_little_memory_is_taken_beside_the_result():
    model = wdsr_b(4, num_filters=2, num_res_blocks=1)
    super_resolve = SuperResolver(model, tile_size=64, self_ensemble=True)
    lr = np.dstack([make_photo(200, 300), make_photo(200, 300)[..., 0] // 2])
    tracemalloc.start()  # of what NumPy takes
    sr = super_resolve.enlarge(lr)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < sr.nbytes + 9 * 2**20


@pytest.mark.parametrize(("size", "tile_size", "halo"), [(5, 9, 2), (10, 9, 2), (100, 9, 4), (37, 12, 3), (1, 9, 4)])
def test_tiles_cover_an_axis_once_and_keep_the_halo(size, tile_size, halo):
    spans = tile_spans(size, tile_size, halo)
    assert [i for _, _, first, last in spans for i in range(first, last)] == list(range(size))
    for start, end, first, last in spans:
        assert 0 <= start <= first < last <= end <= size
        assert end - start == min(tile_size, size)
        assert start == 0 or first - start >= halo
        assert end == size or end - last >= halo


def test_a_tile_too_small_for_the_network_is_refused():
    with pytest.raises(UserError, match="tile size 20 is too small for wdsr_b: more than 20 pixels"):
        SuperResolver(wdsr_b(2, num_res_blocks=8), tile_size=20)


def test_the_self_ensemble_is_the_mean_over_eight_turned_images(super_resolve):
    lr = make_photo(7, 9)
    ensemble = SuperResolver(super_resolve.model, self_ensemble=True)
    sr = ensemble(lr)
    assert sr.shape == (21, 27, 3)
    for turn in (np.fliplr, np.flipud, np.rot90):  # whatever the network, the result turns with the image
        assert ensemble(turn(lr)) == pytest.approx(turn(sr), abs=1e-3)
    assert np.abs(sr - super_resolve(lr)).max() > 0.01


def test_the_memory_chooses_the_tile_size():
    model = edsr(4, num_res_blocks=16)
    assert largest_layer(model) == 4 * 4 * 256  # 256 features at twice the resolution
    sizes = [SuperResolver(model, memory=mib).tile_size for mib in (1, 512, 2048)]
    assert sizes[0] == 4 * 36  # no smaller than is worth the halo
    assert sizes[1] == int((512 * 2**20 / (COPIES * 4 * 64))**0.5)  # 64 features before the upsampling
    assert abs(sizes[2] - 2 * sizes[1]) <= 1


@pytest.mark.parametrize("self_ensemble", [False, True])
def test_the_rounded_image_is_the_same_in_tiles(self_ensemble):
    model = NETWORKS["wdsr-b-x3"]()
    set_weights(model)
    lr = make_photo(30, 41)
    whole = SuperResolver(model, self_ensemble=self_ensemble)
    tiled = SuperResolver(model, tile_size=2 * receptive_radius(model) + 3, self_ensemble=self_ensemble)
    difference = np.abs(tiled.enlarge(lr).astype(int) - to_uint8(whole(lr)))
    assert difference.max() <= 1
    assert (difference > 0).mean() < 0.001


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_strips_are_the_rows_of_the_whole_image(dtype):
    super_resolve = SuperResolver(wdsr_b(4, num_filters=2, num_res_blocks=1), tile_size=44)
    photo = make_photo(80, 31).astype(dtype) * (257 if dtype == np.uint16 else 1)
    for lr in (photo[..., 0], photo[..., :2], photo, np.dstack([photo, photo[..., 0]])):
        done, heights = [], []
        for strip in super_resolve.strips(lr, done.append):
            heights.append(len(strip))
            assert sum(done) < 31 * 80 or sum(heights) > 4 * 40  # the first row of tiles comes before the last
        assert sum(done) == 31 * 80
        assert max(heights) <= 128
        strips = np.concatenate([*super_resolve.strips(lr)])
        assert strips.dtype == dtype
        assert np.array_equal(strips, super_resolve.enlarge(lr))


def test_a_network_of_unknown_reach_gets_whole_images():
    model = keras.Sequential([keras.Input((None, None, 3)), keras.layers.Conv2DTranspose(3, 2, 2)])
    lr = make_photo(5, 300)
    assert SuperResolver(model, memory=1)(lr) == pytest.approx(to_numpy(model(lr[None].astype("float32")))[0], abs=1e-3)
    with pytest.raises(UserError, match=r"\(Conv2DTranspose\) is not known: it cannot be applied in tiles"):
        SuperResolver(model, tile_size=64)
