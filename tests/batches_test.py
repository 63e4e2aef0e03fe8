"""Tiles in batches, sent ahead, as on a GPU; and what 16 bits do not hold."""

import json

import keras
import numpy as np
import pytest

import demo
import evaluate
from errors import UserError
from evaluation import load_model
from imaging.image_files import read_image
from imaging.rounding import round_half_up
from super_resolution import SuperResolver
from super_resolution import resolver as module
from super_resolution.pixels import ArrayPixels
from super_resolution.precision import mixed
from super_resolution.tiles import grouped, tiles, window_size
from tests.conftest import make_photo, save_photo
from tests.golden_cases import NETWORKS, set_weights

MEMORY = 1e-3  # MiB: the smallest tiles


@pytest.fixture(scope="module")
def model():
    model = NETWORKS["edsr-x2"]()
    set_weights(model)
    return model


@pytest.fixture
def few_at_once(monkeypatch):
    monkeypatch.setattr(module, "tiles_at_once", lambda num_pixels, pixel_bytes: 3)


@pytest.mark.parametrize("options", [
    {"tile_size": 40}, *(pytest.param({"memory": MEMORY, **more}, marks=pytest.mark.slow)
                         for more in ({}, {"self_ensemble": True}))])
def test_batches_of_tiles_that_are_sent_ahead_give_what_single_tiles_give(model, few_at_once, options):
    lr = make_photo(41, 107)
    single, batches = (SuperResolver(model, is_gpu=is_gpu, **options) for is_gpu in (False, True))
    assert batches.num_at_once((40, 40)) == 3
    counts = [], []
    ours, theirs = (resolver.enlarge(lr.astype(np.float32), count.append)
                    for resolver, count in zip((batches, single), counts, strict=True))
    assert ours == pytest.approx(theirs, abs=5e-4)
    assert sum(counts[0]) == sum(counts[1]) == lr.shape[0] * lr.shape[1]


@pytest.mark.parametrize("options", [{"tile_size": 40}, {"memory": MEMORY}])
def test_a_gpu_sends_back_bytes_that_are_rounded_as_on_the_host(model, few_at_once, options):
    resolver = SuperResolver(model, is_gpu=True, **options)
    rgba = np.dstack([make_photo(41, 107), np.full((41, 107), 200, np.uint8)])
    for image in (rgba[..., :3], rgba):
        exact = resolver(image[..., :3].astype(np.float32))
        parts = list(resolver._parts_of(ArrayPixels(image, 2, resolver.halo), lambda num_pixels: None))
        assert len(parts) > 1
        assert {part.dtype for _, _, part in parts} == {np.dtype(np.uint8)}
        enlarged = resolver.enlarge(image)[..., :3]
        assert np.abs(enlarged - np.clip(exact, 0, 255)).max() <= 0.5 + 1e-3
        assert np.mean(enlarged == round_half_up(exact, np.uint8)) > 0.999
        assert len(np.unique(enlarged)) > 20
    for image in (rgba[..., 0], rgba.astype(np.uint16)):
        parts = resolver._parts_of(ArrayPixels(image, 2, resolver.halo), lambda num_pixels: None)
        assert {part.dtype for _, _, part in parts} == {np.dtype(np.float32)}


def test_groups_are_neighbours_of_one_size():
    spans = list(tiles((100, 103), 40, 5, grid=4))
    groups = list(grouped(iter(spans), window_size, lambda size: 2))
    assert [tile for group in groups for tile in group] == spans
    for group in groups:
        assert len(group) in (1, 2)
        assert len({(rows.end - rows.start, columns.end - columns.start) for rows, columns in group}) == 1
    assert max(map(len, groups)) == 2


def test_an_image_that_is_none_is_left_to_its_own_error(model, few_at_once):
    images = [make_photo(20, 22), np.zeros((20, 22, 5), np.uint8), make_photo(20, 22)]
    resolver = SuperResolver(model, tile_size=40, is_gpu=True)
    assert [enlarge for _, enlarge in resolver.each(images, lambda image: image)] == [None] * 3
    with pytest.raises(UserError, match=r"shape \(20, 22, 5\) is not supported"):
        resolver.enlarge(images[1])


def seen_by(resolver):
    """Returns the list to which the shape of every batch is added that `resolver` computes from now on."""
    shapes, apply = [], resolver._apply

    def watched(batch, are_bytes):
        shapes.append(batch.shape)
        return apply(batch, are_bytes)

    resolver._apply = watched
    return shapes


MIXED = [make_photo(20, 22), make_photo(20, 22, seed=1), None, make_photo(20, 22, seed=2),
         make_photo(20, 22, seed=3)[..., 0], make_photo(20, 22, seed=4).astype(np.uint16) * 257, make_photo(41, 107),
         make_photo(9, 8), make_photo(20, 22, seed=5),
         np.dstack([make_photo(20, 22, seed=6), make_photo(20, 22)[..., 0]])]


@pytest.mark.parametrize("self_ensemble", [False, True])
def test_small_images_of_one_size_are_computed_at_once_and_are_what_each_alone_is(model, few_at_once, self_ensemble):
    batches, single = (SuperResolver(model, tile_size=40, is_gpu=is_gpu, self_ensemble=self_ensemble)
                       for is_gpu in (True, False))
    shapes, whole = seen_by(batches), []
    for image, enlarge in batches.each(iter(MIXED), lambda image: image):
        if enlarge is None:
            whole.append(image is None or image.shape[1] == 107)
            continue
        expected, ours = single.enlarge(image), enlarge()
        assert ours.dtype == image.dtype
        assert ours.shape == expected.shape
        assert np.abs(ours.astype(float) - expected).max() <= (257 if image.dtype == np.uint16 else 1)
    assert whole == [True, True]
    numbers = [number for number, *_ in shapes]
    if keras.backend.backend() != "jax":  # which computes those that are too few for a full batch alone
        assert numbers == [number for number in (2, 3, 1, 2) for _ in range(8 if self_ensemble else 1)]
    assert sum(numbers) == 8 * (8 if self_ensemble else 1)


def test_images_are_computed_one_by_one_where_there_is_no_gpu(model):
    resolver, taken = SuperResolver(model, is_gpu=False), []

    def items():
        for image in MIXED:
            taken.append(image)
            yield image

    for number, (image, enlarge) in enumerate(resolver.each(items(), lambda image: image), 1):
        assert enlarge is None
        assert image is MIXED[number - 1]
        assert len(taken) == number


@pytest.mark.parametrize("is_late", [False, True])
def test_what_cannot_be_computed_at_once_is_computed_alone(model, few_at_once, is_late):
    resolver = SuperResolver(model, tile_size=40, is_gpu=True)
    apply, images = resolver._apply, [make_photo(20, 22, seed=seed) for seed in range(6)]

    def fail():
        raise MemoryError("no room for several")

    def failing(batch, are_bytes):
        if len(batch) == 1:
            return apply(batch, are_bytes)
        return fail if is_late else fail()

    resolver._apply = failing
    enlarged = [enlarge() if enlarge else resolver.enlarge(image)
                for image, enlarge in resolver.each(images, lambda image: image)]
    single = SuperResolver(model)
    for ours, image in zip(enlarged, images, strict=True):
        assert np.abs(ours.astype(int) - single.enlarge(image)).max() <= 1


@pytest.fixture
def like_a_gpu(monkeypatch, few_at_once):
    """Returns a function that lets networks be computed as on a GPU from now on, and the sizes of the batches."""
    numbers = []

    def begin():
        monkeypatch.setattr(module, "on_gpu", lambda: True)
        compiler = module.compiler
        monkeypatch.setattr(module, "compiler", lambda engine: lambda network: counting(compiler(engine)(network)))

    def counting(forward):
        def call(batch):
            numbers.append(len(batch))
            return forward(batch)

        return call

    return begin, numbers


def test_demo_and_evaluate_do_as_on_a_gpu_what_they_do_without_one(run_main, model, like_a_gpu, tmp_path):
    model.save(tmp_path / "model.keras")
    for i in range(7):
        save_photo(tmp_path / "in" / f"{i}.png", make_photo(20, 24, seed=i))
    (tmp_path / "in" / "3.png").write_bytes(b"broken")
    argv = {demo: ["-i", tmp_path / "in", "-m", tmp_path / "model.keras", "--engine", "keras"],
            evaluate: ["--images", tmp_path / "in", "-i", tmp_path / "model.keras", "--engine", "keras"]}

    def outcome(name):
        codes = [run_main(script, *argv[script], "-o", tmp_path / name / end)[0]
                 for script, end in ((demo, "out"), (evaluate, "eval.json"))]
        psnrs = json.loads((tmp_path / name / "eval.json").read_text())
        return codes, {path.name: read_image(path).astype(int) for path in (tmp_path / name / "out").iterdir()}, psnrs

    begin, numbers = like_a_gpu
    (codes, images, psnrs), _ = outcome("cpu"), begin()
    gpu_codes, gpu_images, gpu_psnrs = outcome("gpu")
    assert max(numbers) == 3
    assert gpu_codes == codes == [1, 1]  # the broken one
    assert len(images) == 6
    assert images.keys() == gpu_images.keys()
    for name, image in images.items():
        assert np.abs(gpu_images[name] - image).max() <= 1
    assert gpu_psnrs == pytest.approx(psnrs, abs=1e-4)


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
