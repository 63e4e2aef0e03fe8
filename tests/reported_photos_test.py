"""Photos that people have reported, through demo.py from file to file: what a viewer shows is what comes out."""

import numpy as np
import pytest
from PIL import Image

import demo
from super_resolution import load
from tests.conftest import save_photo
from tests.reported_photos import HEIGHT, WIDTH, grey_of_4_bits, photos, save_repeating_network, scene, shown

PHOTOS = photos()
LIMIT = 4  # mean absolute difference in levels of 255, which JPEG at 95 and profiles of 8 bits stay below


@pytest.fixture(scope="module")
def model_path(tmp_path_factory):
    return save_repeating_network(tmp_path_factory.mktemp("model") / "repeating.keras")


@pytest.fixture(scope="module")
def outputs(model_path, tmp_path_factory):
    """The folder of the outputs of one run over all photos."""
    folder = tmp_path_factory.mktemp("photos")
    for name, (make, _) in PHOTOS.items():
        make(folder / name)
    assert demo.main(demo.parse_args(["-i", str(folder), "-o", str(folder / "out"), "-m", str(model_path)])) == 0
    return folder / "out"


def test_the_network_of_these_tests_repeats_pixels(model_path):
    assert np.array_equal(load(model_path).enlarge(scene()), scene().repeat(2, axis=0).repeat(2, axis=1))


def assert_shown(path, expected):
    sr = shown(path).reshape(HEIGHT, 2, WIDTH, 2, 3).mean(axis=(1, 3))
    assert np.abs(sr - expected).mean() <= LIMIT


@pytest.mark.parametrize("name", [name for name, (_, expected) in PHOTOS.items() if expected is not None])
def test_a_photo_comes_out_as_it_is_shown(outputs, name):
    stem, suffix = name.split(".")
    assert_shown(outputs / f"{stem}-sr.{suffix}", PHOTOS[name][1])


def test_transparency_of_4_bits_stays_where_it_is(outputs):
    with Image.open(outputs / "transparent-sr.png") as image:
        alpha = np.asarray(image.convert("LA"))[..., 1].reshape(HEIGHT, 2, WIDTH, 2).mean(axis=(1, 3))
    expected = np.where(grey_of_4_bits() == grey_of_4_bits().max(), 0, 255)
    assert 0 < (expected == 0).sum() < expected.size
    assert np.abs(alpha - expected).mean() < 6


@pytest.mark.parametrize(("name", "suffix"), [("grey", "webp"), ("swapped", "bmp")])
def test_a_format_that_holds_no_profile_shows_the_same(run_main, model_path, tmp_path, name, suffix):
    make, expected = PHOTOS[f"{name}.png"]
    make(tmp_path / "a.png")
    assert run_main(demo, "-i", tmp_path / "a.png", "-o", tmp_path / f"b.{suffix}", "-m", model_path)[0] == 0
    assert_shown(tmp_path / f"b.{suffix}", expected)


def test_a_lossless_webp_holds_what_the_png_holds(run_main, model_path, tmp_path):
    strokes = np.full((HEIGHT, WIDTH, 3), 255, np.uint8)
    strokes[4:14, ::6], strokes[18:28, ::6] = (230, 0, 20), (0, 40, 220)
    save_photo(tmp_path / "a.png", strokes)
    Image.fromarray(strokes).save(tmp_path / "b.webp", lossless=True)
    assert run_main(demo, "-i", tmp_path, "-o", tmp_path / "out", "-m", model_path)[0] == 0
    a, b = (np.asarray(Image.open(tmp_path / "out" / name).convert("RGB")) for name in ("a-sr.png", "b-sr.webp"))
    assert np.array_equal(a, b)


def test_the_figure_shows_the_colours_of_the_photo(run_main, model_path, tmp_path):
    make, expected = PHOTOS["swapped.png"]
    make(tmp_path / "a.png")
    assert run_main(demo, "-i", tmp_path / "a.png", "-o", tmp_path / "out", "-m", model_path, "--compare")[0] == 0
    figure = shown(tmp_path / "out" / "a-compare.png").reshape(-1, 3).astype(int)
    for colour in expected.reshape(-1, 3)[::97].astype(int):
        assert np.abs(figure - colour).max(axis=1).min() <= 6


@pytest.mark.parametrize("options", [[], ["--skip-existing", "--compare"]])
def test_a_name_too_long_for_its_output_fails_alone(run_main, model_path, tmp_path, options):
    for name in ("b" * 249, "a"):
        save_photo(tmp_path / "in" / f"{name}.png", scene())
    code, out, err = run_main(demo, "-i", tmp_path / "in", "-o", tmp_path / "out", "-m", model_path, *options)
    assert code == 1
    assert "images: 1 super-resolved, 0 already there, 1 failed" in out
    assert f"{'b' * 249}-sr.png: cannot be written: File name too long" in err
    assert (tmp_path / "out" / "a-sr.png").exists()


def test_any_name_comes_out(run_main, model_path, tmp_path):
    names = ["日本語の長い名前" * 9 + "あ" * 8, "caf\udce9", "two\nlines", "-x", "a.b", "%41 {0} %s"]
    for name in names:
        save_photo(tmp_path / "in" / f"{name}.png", scene())
    assert run_main(demo, "-i", tmp_path / "in", "-o", tmp_path / "out", "-m", model_path)[0] == 0
    assert {path.name for path in (tmp_path / "out").iterdir()} == {f"{name}-sr.png" for name in names}
