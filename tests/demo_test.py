import functools
import io
import os
import re
import shutil
import subprocess
import sys
import time
import tracemalloc

import numpy as np
import pytest
from PIL import Image
from tqdm import tqdm

import demo
import weights
from files import WriteError
from imaging.image_files import read_image, to_uint8
from imaging.photos import Photo, read_photo, write_photo
from imaging.resize import imresize
from model import edsr
from super_resolution import SuperResolver, batch, load
from super_resolution.batch import Batch
from super_resolution.jobs import plan
from tests.conftest import ROOT, assert_one_line_error, make_photo, save_photo
from tests.odd_file_makers import profile
from tests.odd_files import Read, odd_files


@pytest.fixture
def model_path(tmp_path):
    """A model for scale 3 in a file."""
    weights.save(edsr(3, num_filters=4, num_res_blocks=1), tmp_path / "model.keras")
    return tmp_path / "model.keras"


def jobs_in(folder):
    """Returns the jobs for the images in `folder`/in, with outputs in `folder`/out."""
    return plan({path: path.relative_to(folder / "in") for path in sorted((folder / "in").iterdir())}, folder / "out")


def test_every_image_is_super_resolved_and_rounded(run_main, model_path, tmp_path):
    for i, name in enumerate(("a.png", "b.PNG", "c.bmp")):
        save_photo(tmp_path / "in" / name, make_photo(9 + i, 14, seed=i))
    code, out, _ = run_main(demo, "-i", tmp_path / "in", "-o", tmp_path / "out", "--model", model_path)
    assert code == 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a-sr.png", "b-sr.PNG", "c-sr.bmp"]
    super_resolve = SuperResolver(weights.load(model_path))
    for name in ("a.png", "b.PNG", "c.bmp"):
        source, target = tmp_path / "in" / name, tmp_path / "out" / f"{name[0]}-sr{name[1:]}"
        expected = to_uint8(super_resolve(read_image(source)))
        assert np.array_equal(read_image(target), expected)
        assert str(target) in out


def test_alpha_is_resized_and_kept(run_main, model_path, tmp_path):
    rgba = np.dstack([make_photo(6, 8), make_photo(6, 8, seed=1)[..., 0]])
    write_photo(tmp_path / "in" / "a.png", Photo(rgba))
    run_main(demo, "-i", tmp_path / "in", "-o", tmp_path / "out", "--model", model_path)
    sr = np.asarray(Image.open(tmp_path / "out" / "a-sr.png"))
    assert np.array_equal(sr[..., 3], imresize(rgba[..., 3], 3))


def test_metadata_are_kept_unless_stripped(run_main, model_path, tmp_path):
    tags = Image.Exif()
    tags[306] = "2019:05:04 10:11:12"
    (tmp_path / "in").mkdir()
    Image.fromarray(make_photo(6, 8)).save(tmp_path / "in" / "a.jpg", exif=tags, icc_profile=profile(), dpi=(300, 300))
    for options, date, dots in (([], "2019:05:04 10:11:12", (300, 300)), (["--strip"], None, (72, 72))):
        argv = ["-i", tmp_path / "in", "-o", tmp_path / "out", "--model", model_path, *options]
        assert run_main(demo, *argv)[0] == 0
        with Image.open(tmp_path / "out" / "a-sr.jpg") as image:
            assert (image.getexif().get(306), image.info["dpi"]) == (date, dots)
            assert image.info["icc_profile"] == profile()


def test_subfolders_keep_their_structure(run_main, model_path, tmp_path):
    for name in ("a.png", "below/a.png"):
        save_photo(tmp_path / "in" / name, make_photo(5, 6))
    argv = ["-i", tmp_path / "in", "-o", tmp_path / "out", "--model", model_path]
    assert run_main(demo, *argv)[0] == 0
    assert not (tmp_path / "out" / "below").exists()
    assert run_main(demo, *argv, "--recursive")[0] == 0
    assert (tmp_path / "out" / "below" / "a-sr.png").exists()


def test_tiles_and_the_self_ensemble_do_something(run_main, model_path, tmp_path):
    save_photo(tmp_path / "in" / "a.png", make_photo(40, 33))
    results = []
    for argv in ([], ["--tile-size", 17], ["--self-ensemble"]):
        run_main(demo, "-i", tmp_path / "in", "-o", tmp_path / "out", "-m", model_path, *argv)
        results.append(read_image(tmp_path / "out" / "a-sr.png").astype(int))
    assert np.abs(results[1] - results[0]).max() <= 1
    assert np.abs(results[2] - results[0]).max() > 1
    result = run_main(demo, "-i", tmp_path / "in", "-o", tmp_path / "out", "-m", model_path, "--tile-size", 9)
    assert_one_line_error(result, "tile size 9 is too small for edsr")


def test_a_bad_image_is_reported_and_the_rest_is_done(run_main, model_path, tmp_path):
    whole = save_photo(tmp_path / "in" / "a.png", make_photo(30, 30)).read_bytes()
    (tmp_path / "in" / "b.png").write_bytes(whole[:len(whole) // 2])
    save_photo(tmp_path / "in" / "c.png", make_photo(5, 5))
    code, out, err = run_main(demo, "-i", tmp_path / "in", "-o", tmp_path / "out", "--model", model_path)
    assert code == 1
    assert f"failed: {tmp_path / 'in' / 'b.png'}: cannot be read as an image: " in err
    assert "truncated" in err
    assert "images: 2 super-resolved, 0 already there, 1 failed" in out
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a-sr.png", "c-sr.png"]


def test_bad_input_is_named(run_main, model_path, tmp_path):
    (tmp_path / "empty").mkdir()
    save_photo(tmp_path / "in" / "a.png", make_photo(5, 5))
    (tmp_path / "file").write_text("")
    (tmp_path / "bad.keras").write_text("no model")
    for argv, parts in (
            (["-i", tmp_path / "gone"], [tmp_path / "gone", "there is no such folder"]),
            (["-i", tmp_path / "empty"], [tmp_path / "empty", "there are no images in it"]),
            (["-i", tmp_path / "in", "-m", tmp_path / "no.keras"], [tmp_path / "no.keras", "no such model file"]),
            (["-i", tmp_path / "in", "-m", tmp_path / "bad.keras"], [tmp_path / "bad.keras", "cannot be loaded"]),
            (["-i", tmp_path / "in", "-o", tmp_path / "file"], [tmp_path / "file", "cannot be a folder"])):
        assert_one_line_error(run_main(demo, "-o", tmp_path / "out", "-m", model_path, *argv), *parts)


def test_a_folder_of_odd_files_is_finished(run_main, model_path, tmp_path):
    """Each file becomes an image three times as large in its own mode, or is reported with its cause."""
    corpus = odd_files()
    (tmp_path / "in").mkdir()
    for name, (make, _) in corpus.items():
        make(tmp_path / "in" / name)
    found = {path.name for path in (tmp_path / "in").iterdir() if path.is_file() or path.is_symlink()}
    readable = {name: expected for name, (_, expected) in corpus.items() if isinstance(expected, Read)}
    refused = {name: expected for name, (_, expected) in corpus.items() if name in found and name not in readable}
    assert len(readable) + len(refused) >= 40
    code, out, err = run_main(demo, "-i", tmp_path / "in", "-o", tmp_path / "out", "-m", model_path)
    assert code == 1
    assert f"images: {len(readable)} super-resolved, 0 already there, {len(refused)} failed" in out
    failures = [line for line in err.splitlines() if line.startswith("failed: ")]
    assert len(failures) == len(refused)
    for name, expected in refused.items():
        (line,) = [line for line in failures if line.startswith(f"failed: {tmp_path / 'in' / name}: ")]
        assert expected.words in line
    outputs = {path.name for path in (tmp_path / "out").iterdir()}
    assert len(outputs) == len(readable)
    for name, expected in readable.items():
        stem, suffix = name.rsplit(".", 1)
        path = tmp_path / "out" / f"{stem}-sr.{suffix}"
        assert read_photo(path).pixels.shape[:2] == tuple(3 * size for size in expected.shape[:2])
        if expected.mode:
            with Image.open(path) as image:
                assert (image.mode, image.size) == (expected.mode, tuple(3 * n for n in expected.shape[1::-1]))


def test_profile_resolution_and_16_bits_are_kept(run_main, model_path, tmp_path):
    pixels = make_photo(9, 7).astype(np.uint16) * 257 + 13
    write_photo(tmp_path / "in" / "a.png", Photo(pixels, profile(), (300.0, 200.0)))
    run_main(demo, "-i", tmp_path / "in", "-o", tmp_path / "out", "--model", model_path)
    sr = read_photo(tmp_path / "out" / "a-sr.png")
    assert sr.icc_profile == profile()
    assert sr.resolution == pytest.approx((300, 200), abs=0.1)
    assert np.array_equal(sr.pixels, load(model_path).enlarge(pixels))
    assert (sr.pixels % 257 != 0).any()  # more than 8 bits


def test_another_format_can_be_asked_for(run_main, model_path, tmp_path):
    rgba = np.dstack([make_photo(6, 8), np.zeros((6, 8), np.uint8)])
    write_photo(tmp_path / "in" / "a.png", Photo(rgba))
    for suffix, mode in (("jpg", "RGB"), ("webp", "RGBA"), ("tif", "RGBA"), ("bmp", "RGB"), ("avif", "RGBA")):
        assert run_main(demo, "-i", tmp_path / "in", "-o", tmp_path / "out", "-m", model_path,
                        "--format", suffix)[0] == 0
        with Image.open(tmp_path / "out" / f"a-sr.{suffix}") as image:
            assert (image.mode, image.size) == (mode, (24, 18))
            if mode == "RGB":
                assert np.asarray(image).min() >= 250  # transparent everywhere: white


def test_an_output_too_large_for_its_format_fails_before_the_work(run_main, model_path, tmp_path, monkeypatch):
    save_photo(tmp_path / "in" / "a.png", np.zeros((1, 5462, 3), np.uint8))
    monkeypatch.setattr(SuperResolver, "strips", lambda *_: pytest.fail("the work has begun"))
    code, _, err = run_main(demo, "-i", tmp_path / "in", "-o", tmp_path / "out", "-m", model_path, "--format", "webp")
    assert code == 1
    assert "a-sr.webp: 16386 x 3 pixels are too many for WebP, which ends at 16,383 pixels a side" in err


def test_failures_do_not_stop_the_writing_of_others(run_main, model_path, tmp_path):
    for name in ("a.png", "b.png", "c.png"):
        save_photo(tmp_path / "in" / name, make_photo(5, 6))
    (tmp_path / "out" / "b-sr.png").mkdir(parents=True)
    code, out, err = run_main(demo, "-i", tmp_path / "in", "-o", tmp_path / "out", "-m", model_path)
    assert code == 1
    assert f"failed: {tmp_path / 'out' / 'b-sr.png'}: cannot be written: Is a directory" in err
    assert "images: 2 super-resolved, 0 already there, 1 failed" in out
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a-sr.png", "b-sr.png", "c-sr.png"]


def test_memory_that_is_not_there_fails_one_image(run_main, model_path, tmp_path, monkeypatch):
    for name in ("a.png", "b.png"):
        save_photo(tmp_path / "in" / name, make_photo(5, 6 + (name == "a.png")))
    strips = SuperResolver.strips

    def short_of_memory(self, lr, progress):
        if lr.shape[1] == 7:
            raise MemoryError("Unable to allocate 9 GiB")
        return strips(self, lr, progress)

    monkeypatch.setattr(SuperResolver, "strips", short_of_memory)
    code, out, err = run_main(demo, "-i", tmp_path / "in", "-o", tmp_path / "out", "-m", model_path)
    assert code == 1
    assert f"failed: {tmp_path / 'in' / 'a.png'}: there is not enough memory: Unable to allocate 9 GiB" in err
    assert "images: 1 super-resolved, 0 already there, 1 failed" in out


def test_an_error_of_any_class_fails_one_image(run_main, model_path, tmp_path, monkeypatch):
    class OddError(Exception):
        pass

    def fail_at(width, function, shape):
        def fail(*args, **kwargs):
            if shape(*args).shape[1] == width:
                raise OddError("of two\nlines")
            return function(*args, **kwargs)
        return fail

    for width in (5, 6, 7, 8):
        save_photo(tmp_path / "in" / f"{width}.png", make_photo(4, width))
    monkeypatch.setattr(SuperResolver, "strips", fail_at(6, SuperResolver.strips, lambda _, lr, *__: lr))
    monkeypatch.setattr(batch, "write_photo", fail_at(21, batch.write_photo, lambda _, photo, *__: photo.pixels))
    code, out, err = run_main(demo, "-i", tmp_path / "in", "-o", tmp_path / "out", "-m", model_path)
    assert code == 1
    for width in (6, 7):
        assert f"failed: {tmp_path / 'in' / f'{width}.png'}: OddError: of two lines\n" in err
    assert "images: 2 super-resolved, 0 already there, 2 failed" in out
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["5-sr.png", "8-sr.png"]


def test_the_next_image_is_read_and_the_last_written_while_the_network_works(model_path, tmp_path, monkeypatch):
    for name in ("a.png", "b.png", "c.png"):
        save_photo(tmp_path / "in" / name, make_photo(5, 6))
    events = []
    super_resolve = load(model_path)

    def wait_for(event, number):
        for _ in range(1000):
            if events.count(event) >= number:
                return
            time.sleep(0.01)

    def strips(_, lr, progress):
        events.append("network")
        wait_for("read", min(events.count("network") + 1, 3))
        yield lr.repeat(3, axis=0).repeat(3, axis=1)
        wait_for("written", events.count("network") - 1)
        events.append("network done")

    def write_photo(*args):
        wait_for("network", min(events.count("written") + 2, 3))
        write(*args)
        events.append("written")

    read, write = batch.read_photo, batch.write_photo
    monkeypatch.setattr(SuperResolver, "strips", strips)
    monkeypatch.setattr(batch, "read_photo", lambda path: (events.append("read"), read(path))[1])
    monkeypatch.setattr(batch, "write_photo", write_photo)
    jobs = jobs_in(tmp_path)
    with tqdm(disable=True) as bar:
        Batch(super_resolve, bar).run(jobs, [0] * 3)
    first_done = events.index("network done")
    assert events[:first_done].count("read") == 2
    second_done = events.index("network done", first_done + 1)
    assert events[:second_done].count("written") == 1


def test_an_image_is_written_while_the_network_makes_it(model_path, tmp_path, monkeypatch):
    save_photo(tmp_path / "in" / "a.jpg", make_photo(64, 50))
    monkeypatch.setattr(batch, "WAITING", 1)  # byte: no strip waits beside another
    seen = []

    class Bar(tqdm):
        def update(self, n=1):
            seen.append([path.name for path in (tmp_path / "out").glob(".*")])

    with Bar(disable=True) as bar:
        Batch(load(model_path, tile_size=24), bar).run(jobs_in(tmp_path), [0])
    assert len(seen) > 9  # tiles
    assert seen[-2] != []  # a temporary file
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["a-sr.jpg"]


@pytest.mark.parametrize("factor", [3, 2.5])
def test_an_output_is_never_whole_in_memory(model_path, tmp_path, monkeypatch, factor):
    def strips(self, lr, progress):
        for top in range(0, len(lr), 10):
            yield lr[top:top + 10].repeat(3, axis=0).repeat(3, axis=1)

    save_photo(tmp_path / "in" / "a.png", np.zeros((2000, 400, 3), np.uint8))
    monkeypatch.setattr(batch, "WAITING", 1 << 20)
    monkeypatch.setattr(SuperResolver, "strips", strips)
    with tqdm(disable=True) as bar:
        job = Batch(load(model_path), bar, factor=factor)
        tracemalloc.start()  # of what NumPy takes
        job.run(jobs_in(tmp_path), [0])
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert job.num_done == 1
    assert peak < 2000 * 400 * 3 * (1 + factor**2 / 2)


@pytest.mark.parametrize("suffix", ["png", "webp"])
def test_an_interrupt_while_an_image_is_made_leaves_no_file(run_main, model_path, tmp_path, monkeypatch, suffix):
    save_photo(tmp_path / "in" / f"a.{suffix}", make_photo(30, 20))

    def interrupted(self, lr, progress):
        yield np.zeros((9, 60, 3), np.uint8)
        raise KeyboardInterrupt

    monkeypatch.setattr(SuperResolver, "strips", interrupted)
    code, _, err = run_main(demo, "-i", tmp_path / "in", "-o", tmp_path / "out", "-m", model_path)
    assert code == 130
    assert "failed" not in err
    assert list((tmp_path / "out").iterdir()) == []


def test_a_network_that_fails_half_way_leaves_the_older_output(run_main, model_path, tmp_path, monkeypatch):
    save_photo(tmp_path / "in" / "a.png", make_photo(30, 20))
    run = functools.partial(run_main, demo, "-i", tmp_path / "in", "-o", tmp_path / "out", "-m", model_path)
    assert run()[0] == 0
    older = (tmp_path / "out" / "a-sr.png").read_bytes()

    def failing(self, lr, progress):
        yield np.zeros((9, 60, 3), np.uint8)
        raise ValueError("half way")

    monkeypatch.setattr(SuperResolver, "strips", failing)
    code, out, err = run()
    assert code == 1
    assert f"failed: {tmp_path / 'in' / 'a.png'}: ValueError: half way\n" in err
    assert "images: 0 super-resolved, 0 already there, 1 failed" in out
    assert [path.read_bytes() for path in (tmp_path / "out").iterdir()] == [older]


def test_the_network_stops_where_its_output_cannot_be_written(run_main, model_path, tmp_path, monkeypatch):
    save_photo(tmp_path / "in" / "a.png", make_photo(1000, 20))
    monkeypatch.setattr(batch, "WAITING", 1)
    num_strips = []

    def full(path, photo, facts):
        next(iter(photo.pixels))
        raise WriteError(f"{path}: cannot be written: No space left on device")

    def strips(self, lr, progress):
        for _ in range(3000):
            num_strips.append(1)
            yield np.zeros((1, 60, 3), np.uint8)

    monkeypatch.setattr(SuperResolver, "strips", strips)
    monkeypatch.setattr(batch, "write_photo", full)
    code, _, err = run_main(demo, "-i", tmp_path / "in", "-o", tmp_path / "out", "-m", model_path)
    assert code == 1
    assert f"failed: {tmp_path / 'out' / 'a-sr.png'}: cannot be written: No space left on device" in err
    assert len(num_strips) < 10


def test_the_bar_counts_every_megapixel(model_path, tmp_path):
    for name in ("a.png", "c.png"):
        save_photo(tmp_path / "in" / name, make_photo(40, 50))
    (tmp_path / "in" / "b.png").write_text("no image")
    jobs = jobs_in(tmp_path)
    with tqdm(total=1, file=io.StringIO()) as bar:
        Batch(load(model_path, tile_size=20), bar).run(jobs, [0.002, 0.001, 0.002])
        assert bar.n == pytest.approx(0.005)


def test_figures_and_a_page_compare_with_bicubic_and_the_originals(run_main, model_path, tmp_path):
    for name in ("a", "b"):
        hr = make_photo(31, 40, seed=ord(name))
        save_photo(tmp_path / "hr" / f"{name}.png", hr)
        save_photo(tmp_path / "in" / "below" / f"{name}x3.png", imresize(hr[:30, :39], 1 / 3))
    save_photo(tmp_path / "in" / "c.jpg", make_photo(9, 8))
    argv = ["-i", tmp_path / "in", "-o", tmp_path / "out", "-m", model_path, "-r", "--compare", "--hr", tmp_path / "hr"]
    code, out, _ = run_main(demo, *argv)
    assert code == 0
    assert "originals of 2 of 3 images" in out
    page = (tmp_path / "out" / "index.html").read_text()
    assert page.count('src="data:image/jpeg') == 2 * 3
    for link in ("below/ax3-sr.png", "below/ax3-compare.png", "c-sr.jpg", "c-compare.png"):
        assert f'href="{link}"' in page
        assert (tmp_path / "out" / link).exists()
    before = (tmp_path / "out" / "c-sr.jpg").stat().st_mtime_ns
    code, out, _ = run_main(demo, *argv, "--skip-existing")
    assert "images: 0 super-resolved, 3 already there, 0 failed" in out
    assert (tmp_path / "out" / "index.html").read_text().count('src="data:image/jpeg') == 2 * 3
    assert (tmp_path / "out" / "c-sr.jpg").stat().st_mtime_ns == before


def test_wrong_options_are_named(run_main, model_path, tmp_path, capsys):
    save_photo(tmp_path / "in" / "a.png", make_photo(5, 6))
    argv = ["-i", tmp_path / "in", "-o", tmp_path / "out"]
    assert_one_line_error(run_main(demo, *argv, "-m", "wdsr"), "wdsr is none of the shipped models", "wdsr-b-8-x4")
    assert_one_line_error(run_main(demo, *argv, "-m", model_path, "-s", 2), model_path, "for scale 3, not 2")
    with pytest.raises(SystemExit):
        demo.parse_args(["--hr", "somewhere"])
    assert "--hr belongs to --compare" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        demo.parse_args(["--compare", "--outscale", "2"])
    assert "--outscale cannot be combined with --compare" in capsys.readouterr().err


@pytest.mark.slow
def test_a_shipped_model_is_taken_by_name_and_precision(run_main, tmp_path):
    shutil.copytree(ROOT / "demo" / "gan", tmp_path / "in")
    results = []
    for precision in ("float32", "bfloat16"):
        code, out, _ = run_main(demo, "-i", tmp_path / "in", "-o", tmp_path / precision, "-m", "wdsr-b-8-x4",
                                "--precision", precision)
        assert code == 0
        assert "wdsr-b-8-x4: x4" in out
        results.append(read_image(next((tmp_path / precision).iterdir())).astype(int))
    assert 0 < np.abs(results[0] - results[1]).max() < 8
    assert np.abs(results[0] - results[1]).mean() < 0.5


@pytest.mark.slow
def test_the_shipped_model_super_resolves_the_demo_folder(tmp_path):
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TF_")}
    result = subprocess.run([sys.executable, "demo.py", "-o", tmp_path], cwd=ROOT, capture_output=True, text=True,
                            env=environment)
    assert result.returncode == 0, result.stderr
    assert not re.search("oneDNN|cpu_feature_guard|absl", result.stderr)  # TensorFlow's notes at its start
    for name in ("0829x4-crop", "0851x4-crop"):
        lr, sr = read_image(ROOT / "demo" / f"{name}.png"), read_image(tmp_path / f"{name}-sr.png")
        assert sr.shape == (lr.shape[0] * 4, lr.shape[1] * 4, 3)
        again = imresize(sr, 1 / 4).astype(float)
        assert np.abs(again - lr).mean() < 2  # reduced again, it is the input


@pytest.mark.slow
def test_the_shipped_model_reaches_its_published_psnr_on_set5(test_data):
    super_resolve = load()
    values = []
    for hr_path in sorted((test_data / "testsets" / "Set5").glob("*.png")):
        lr_path = test_data / "testsets" / "LR_bicubic" / "Set5" / "X4" / f"{hr_path.stem}_LRBI_x4.png"
        sr = to_uint8(super_resolve(read_image(lr_path)))
        hr = read_image(hr_path)[:sr.shape[0], :sr.shape[1]]
        difference = (hr.astype(float) - sr)[4:-4, 4:-4] @ [65.481 / 255, 128.553 / 255, 24.966 / 255]  # of Y
        values.append(10 * np.log10(255**2 / np.mean(difference**2)))
    assert len(values) == 5
    assert np.mean(values) > 31.0


def test_control_characters_of_names_are_shown_escaped(run_main, model_path, tmp_path):
    save_photo(tmp_path / "in" / "a\n\x1b[2J.png", make_photo(12, 12))
    (tmp_path / "in" / "b\n.png").write_text("no image")
    code, out, err = run_main(demo, "-i", tmp_path / "in", "-o", tmp_path / "out", "-m", model_path)
    assert code == 1
    assert rf"{tmp_path}/in/a\n\x1b[2J.png 12x12 -> {tmp_path}/out/a\n\x1b[2J-sr.png" in out
    assert rf"failed: {tmp_path}/in/b\n.png: cannot be read" in err
