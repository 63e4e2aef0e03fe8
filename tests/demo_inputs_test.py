"""What people type: inputs and outputs of demo.py, and what it makes of the files that are there."""

import os
import re
import shutil

import numpy as np
import pytest
from PIL import Image

import demo
import weights
from imaging.photos import Photo, read_photo, write_photo
from imaging.resize import imresize
from model import edsr
from super_resolution import load
from tests.conftest import assert_one_line_error, make_photo, save_photo


@pytest.fixture
def model_path(tmp_path):
    """A model for scale 3 in a file."""
    weights.save(edsr(3, num_filters=4, num_res_blocks=1), tmp_path / "model.keras")
    return tmp_path / "model.keras"


def test_existing_outputs_that_fit_are_skipped_when_asked(run_main, model_path, tmp_path):
    argv = ["-i", tmp_path / "in", "-o", tmp_path / "out", "-m", model_path, "--skip-existing"]
    save_photo(tmp_path / "in" / "a.png", make_photo(5, 6))
    run_main(demo, *argv)
    save_photo(tmp_path / "in" / "b.png", make_photo(5, 6))
    before = (tmp_path / "out" / "a-sr.png").stat().st_mtime_ns
    _, out, _ = run_main(demo, *argv)
    assert "images: 1 super-resolved, 1 already there, 0 failed" in out
    assert (tmp_path / "out" / "a-sr.png").stat().st_mtime_ns == before
    _, out, _ = run_main(demo, *argv)
    assert "images: 0 super-resolved, 2 already there, 0 failed" in out
    assert "model: x3" not in out  # nor was it loaded


def test_outputs_that_do_not_fit_are_made_again_and_it_is_said_why(run_main, model_path, tmp_path):
    photo = save_photo(tmp_path / "in" / "a.png", make_photo(5, 6))
    argv = ["-i", tmp_path / "in", "-o", tmp_path / "out", "-m", model_path, "--skip-existing"]
    run_main(demo, *argv)
    for option in (["--outscale", 2], ["--self-ensemble"], ["--precision", "bfloat16"], []):
        _, out, _ = run_main(demo, *argv, *option)
        assert "done again, since the model or an option is another: 1\n" in out
        assert "images: 1 super-resolved, 0 already there" in out
    weights.save(edsr(3, num_filters=4, num_res_blocks=2), model_path)
    assert "since the model or an option is another: 1\n" in run_main(demo, *argv)[1]
    save_photo(photo, make_photo(5, 6, seed=1))
    assert "done again, since the photo is another: 1\n" in run_main(demo, *argv)[1]
    assert "1 already there" in run_main(demo, *argv)[1]


def test_an_output_without_a_mark_is_kept_where_its_size_and_time_fit(run_main, model_path, tmp_path):
    photo = save_photo(tmp_path / "in" / "a.png", make_photo(5, 6))
    output = save_photo(tmp_path / "out" / "a-sr.png", make_photo(15, 18))
    argv = ["-i", tmp_path / "in", "-o", tmp_path / "out", "-m", model_path, "--skip-existing"]
    assert "1 already there" in run_main(demo, *argv)[1]
    os.utime(photo, (output.stat().st_mtime + 9,) * 2)
    code, _, err = run_main(demo, *argv)
    assert code == 1
    assert f"failed: {output}: is there already, and was written or changed by another program" in err
    assert "done again, since the size or the time does not fit: 1" in run_main(demo, *argv, "--overwrite")[1]


def test_files_that_no_run_has_written_are_not_replaced_unless_asked(run_main, model_path, tmp_path):
    folder = tmp_path / "in"
    for name in ("cat.png", "dog.png"):
        save_photo(folder / name, make_photo(5, 6))
    own = {save_photo(folder / name, make_photo(9, 9)): (folder / name).read_bytes()
           for name in ("cat-sr.png", "dog-compare.png")}
    argv = ["-i", folder, "-o", folder, "-m", model_path]
    for option, failed in (([], ["cat-sr.png"]), (["--compare"], ["cat-sr.png", "dog-compare.png"])):
        code, out, err = run_main(demo, *argv, *option)
        assert code == 1
        assert f"{2 - len(failed)} super-resolved, 0 already there, {len(failed)} failed" in out
        assert "outputs of earlier runs, left out: " in out
        assert [line.split(": ")[1] for line in err.splitlines() if "failed: " in line] == [
            str(folder / name) for name in failed]
        assert all(path.read_bytes() == content for path, content in own.items())
    assert run_main(demo, *argv, "--compare", "--overwrite")[0] == 0
    assert all(path.read_bytes() != content for path, content in own.items())
    save_photo(folder / "cat-sr.png", make_photo(15, 18))  # retouched
    assert run_main(demo, *argv)[0] == 1


def test_a_page_that_no_run_has_written_is_not_replaced_unless_asked(run_main, model_path, tmp_path):
    save_photo(tmp_path / "in" / "a.png", make_photo(5, 6))
    page = tmp_path / "in" / "index.html"
    page.write_text("my own")
    argv = ["-i", tmp_path / "in", "-o", tmp_path / "in", "-m", model_path, "--compare"]
    assert_one_line_error(run_main(demo, *argv), page, "no run has written it", "--overwrite")
    assert page.read_text() == "my own"
    assert not (tmp_path / "in" / "a-sr.png").exists()
    assert run_main(demo, *argv, "--overwrite")[0] == 0
    code, out, _ = run_main(demo, *argv)
    assert code == 0
    assert "other formats" not in out  # the page of the last run


def test_files_and_folders_are_taken_side_by_side(run_main, model_path, tmp_path):
    photos = [save_photo(tmp_path / name, make_photo(5, 6)) for name in ("one/a.png", "two/b.png", "two/c.bmp")]
    argv = ["-o", tmp_path / "out", "-m", model_path]
    code, out, _ = run_main(demo, "-i", photos[0], tmp_path / "two", photos[1], *argv)
    assert code == 0
    assert "images: 3 super-resolved" in out
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"a-sr.png", "b-sr.png", "c-sr.bmp"}
    gone = tmp_path / "gone.png"
    code, out, err = run_main(demo, "-i", gone, photos[0], tmp_path / "no-folder", *argv)
    assert code == 1
    assert err.splitlines().count(f"failed: {gone}: there is no such folder or file") == 1
    assert f"failed: {tmp_path / 'no-folder'}: there is no such folder or file" in err
    assert "images: 1 super-resolved, 0 already there, 2 failed" in out
    assert_one_line_error(run_main(demo, "-i", gone, *argv), gone, "there is no such folder or file")


def test_two_named_files_of_one_output_are_refused(run_main, model_path, tmp_path):
    photos = [save_photo(tmp_path / name / "a.png", make_photo(5, 6)) for name in ("one", "two")]
    result = run_main(demo, "-i", *photos, "-o", tmp_path / "out", "-m", model_path)
    assert_one_line_error(result, *photos, tmp_path / "out" / "a-sr.png")
    assert not (tmp_path / "out").exists()


def test_a_list_names_images_one_a_line(run_main, model_path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("a.png", " b .png", "in/c.png", "#d.png", "e.png"):
        save_photo(tmp_path / name, make_photo(5, 6))
    listed = tmp_path / "list.txt"
    listed.write_bytes(b"\xef\xbb\xbfa.png\r\n\r\n b .png\n# e.png\n  \nin\n./#d.png\n")
    code, _, _ = run_main(demo, "-i", "@list.txt", "-o", "out", "-m", model_path)
    assert code == 0
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"a-sr.png", " b -sr.png", "c-sr.png", "#d-sr.png"}
    for content, cause in ((b"", "names no file"), (b"# a.png\n", "names no file"), (b"a.png\nb\0c\n", "line 2 holds"),
                           ("a.png\n".encode("utf-16"), "line 1 holds a zero byte"), (b"a" * 5000, "5,000 characters")):
        listed.write_bytes(content)
        assert_one_line_error(run_main(demo, "-i", "@list.txt", "-o", "out", "-m", model_path), "list.txt: ", cause)
    for word in ("@none.txt", "@in", "@"):
        assert_one_line_error(run_main(demo, "-i", word, "-o", "out", "-m", model_path), word[1:], "no list")


def test_one_image_becomes_the_file_that_is_named(run_main, model_path, tmp_path):
    photo = save_photo(tmp_path / "in" / "a.png", make_photo(5, 6))
    target = tmp_path / "new" / "big.JPG"
    argv = ["-m", model_path, "-o"]
    assert run_main(demo, "-i", photo, *argv, target)[0] == 0
    assert [path.name for path in target.parent.iterdir()] == ["big.JPG"]
    with Image.open(target) as image:
        assert (image.format, image.size) == ("JPEG", (18, 15))
    assert run_main(demo, "-i", photo, *argv, target)[0] == 0  # its own output
    assert_one_line_error(run_main(demo, "-i", photo, *argv, photo), photo, "is the input itself")
    for inputs in ([photo, target], [tmp_path / "in"]):
        result = run_main(demo, "-i", *inputs, *argv, tmp_path / "x.png")
        assert_one_line_error(result, tmp_path / "x.png", "one input alone", "give a folder")
    result = run_main(demo, "-i", photo, *argv, tmp_path / "x.png", "--format", "jpg")
    assert_one_line_error(result, tmp_path / "x.png", "not of the format jpg")
    (tmp_path / "folder.png").mkdir()
    assert run_main(demo, "-i", photo, *argv, tmp_path / "folder.png")[0] == 0
    assert (tmp_path / "folder.png" / "a-sr.png").exists()


@pytest.mark.parametrize("factor", [0.3, 1.5, 2, 3, 5.5])
def test_the_output_is_resized_to_any_factor(run_main, model_path, tmp_path, factor):
    pixels = make_photo(11, 7).astype(np.uint16) * 257 + 13
    rgba = np.dstack([pixels, pixels[..., :1]])
    write_photo(tmp_path / "in" / "a.png", Photo(rgba))
    code, out, _ = run_main(demo, "-i", tmp_path / "in", "-o", tmp_path / "out", "-m", model_path, "--outscale", factor)
    assert code == 0
    assert f"resized to x{factor}" in out
    height, width = round(11 * factor), round(7 * factor)
    sr = read_photo(tmp_path / "out" / "a-sr.png").pixels
    assert sr.shape == (height, width, 4)
    assert np.array_equal(sr, imresize(load(model_path).enlarge(rgba), factor / 3)[:height, :width])
    assert (sr % 257 != 0).any()  # more than 8 bits


@pytest.mark.slow
def test_outputs_of_another_format_folder_or_scale_are_no_inputs(run_main, model_path, tmp_path):
    folder = tmp_path / "in"
    save_photo(folder / "a.bmp", make_photo(5, 6))
    argv = ["-i", folder, "-m", model_path, "-r"]
    for option in (["-o", folder], ["-o", folder, "--format", "png"], ["-o", folder / "out", "--outscale", 2],
                   ["-o", tmp_path / "elsewhere", "--compare"], ["-o", folder / "third"]):
        code, out, _ = run_main(demo, *argv, *option)
        assert code == 0
        assert "images: 1 super-resolved, 0 already there, 0 failed" in out
    assert "outputs of earlier runs, left out: 3 (a-sr.bmp, a-sr.bmp, a-sr.png)" in out
    for path in folder.rglob("a-sr.*"):  # as if an earlier version had written them
        path.write_bytes(path.read_bytes() + b" ")
    (folder / "third" / "a-sr.bmp").unlink()
    _, out, _ = run_main(demo, *argv, "-o", folder / "out", "--overwrite")
    assert "images: 1 super-resolved" in out
    code, out, _ = run_main(demo, "-i", folder / "out" / "a-sr.bmp", "-m", model_path, "-o", tmp_path / "twice")
    assert "images: 1 super-resolved" in out  # asked for by its name


def test_what_a_shell_makes_of_a_star_is_taken_as_the_folder_is(run_main, model_path, tmp_path, monkeypatch):
    for name in ("a.png", "@eaDir/THUMB.jpg", "__MACOSX/a.png"):
        save_photo(tmp_path / "in" / name, make_photo(5, 6))
    monkeypatch.chdir(tmp_path / "in")
    for _ in range(2):
        star = sorted(path.name for path in (tmp_path / "in").iterdir())
        code, out, _ = run_main(demo, "-i", *star, "-m", model_path, "-o", ".", "--compare")
        assert code == 0
        assert "images: 1 super-resolved, 0 already there, 0 failed" in out
    assert "outputs of earlier runs, left out: 3 (a-compare.png, a-sr.png, index.html)" in out


def test_what_is_left_out_is_counted_and_named(run_main, model_path, tmp_path):
    save_photo(tmp_path / "in" / "a.png", make_photo(5, 6))
    for name in ("1.heic", "2.HEIC", "old.jp2", "Thumbs.db"):
        (tmp_path / "in" / name).write_text("")
    save_photo(tmp_path / "in" / ".hidden.png", make_photo(5, 6))
    save_photo(tmp_path / "in" / "._a.png", make_photo(5, 6))
    os.symlink(tmp_path, tmp_path / "in" / "folder")
    os.symlink("nowhere.png", tmp_path / "in" / "gone.png")
    code, out, err = run_main(demo, "-i", tmp_path / "in", "-o", tmp_path / "out", "-m", model_path, "-r")
    assert code == 1
    assert "files of other formats, left out: 3 (.heic, .jp2)\n" in out
    assert "hidden images, left out: 1 (.hidden.png)\n" in out
    assert "links to folders, not followed: 1 (folder)\n" in out
    assert f"failed: {tmp_path / 'in' / 'gone.png'}: is a link to nothing: No such file or directory" in err
    assert "images: 1 super-resolved, 0 already there, 1 failed" in out
    (tmp_path / "heic").mkdir()
    (tmp_path / "heic" / "1.heic").write_text("")
    assert_one_line_error(run_main(demo, "-i", tmp_path / "heic", "-o", tmp_path / "out", "-m", model_path),
                          "there are no images in it", "files of other formats, left out: 1 (.heic)")


def test_a_gif_is_read_and_becomes_a_png(run_main, model_path, tmp_path):
    (tmp_path / "in").mkdir()
    Image.fromarray(make_photo(5, 6)).save(tmp_path / "in" / "a.gif")
    argv = ["-m", model_path, "-i", tmp_path / "in", "-o"]
    assert run_main(demo, *argv, tmp_path / "in")[0] == 0
    with Image.open(tmp_path / "in" / "a-sr.png") as image:
        assert (image.format, image.size) == ("PNG", (18, 15))
    assert "1 already there" in run_main(demo, *argv, tmp_path / "in", "--skip-existing")[1]
    code, _, err = run_main(demo, "-m", model_path, "-i", tmp_path / "in" / "a.gif", "-o", tmp_path / "b.gif")
    assert code == 1
    assert f"failed: {tmp_path / 'b.gif'}: there is no image format for .gif: choose one of .png, " in err


def test_no_two_figures_share_a_name(run_main, model_path, tmp_path):
    names = ("a.png", "a.bmp", "a-png.png", "a.png.png")
    for name in names:
        save_photo(tmp_path / "in" / name, make_photo(5, 6))
    code, _, _ = run_main(demo, "-i", tmp_path / "in", "-o", tmp_path / "out", "-m", model_path, "--compare")
    assert code == 0
    assert len(list((tmp_path / "out").glob("*-compare.png"))) == len(names)
    links = re.findall(r'href="([^"]*-compare.png)"', (tmp_path / "out" / "index.html").read_text())
    assert len(set(links)) == len(names)
    assert {"a-bmp-compare.png", "a-png-compare.png"} < set(links)


def test_two_inputs_of_one_output_are_refused_before_any_work(run_main, model_path, tmp_path):
    for name in ("a.png", "a.bmp"):
        save_photo(tmp_path / "in" / name, make_photo(5, 6))
    argv = ["-i", tmp_path / "in", "-o", tmp_path / "out", "--model", model_path]
    assert_one_line_error(run_main(demo, *argv, "--format", "webp"), tmp_path / "in" / "a.bmp",
                          tmp_path / "in" / "a.png", tmp_path / "out" / "a-sr.webp", "rename one")
    assert not (tmp_path / "out").exists()
    assert run_main(demo, *argv)[0] == 0


def test_outputs_of_an_earlier_run_are_no_inputs(run_main, model_path, tmp_path):
    save_photo(tmp_path / "in" / "a.png", make_photo(5, 6))
    save_photo(tmp_path / "in" / "a.bmp", make_photo(5, 6))
    argv = ["-i", tmp_path / "in", "-m", model_path, "--recursive", "--compare"]
    outputs = {"a-sr.png", "a-sr.bmp", "a-png-compare.png", "a-bmp-compare.png", "index.html"}
    for outdir, there in ((tmp_path / "in" / "out", set()), (tmp_path / "in", {"a.png", "a.bmp"})):
        for _ in range(2):
            code, out, _ = run_main(demo, *argv, "-o", outdir)
            assert code == 0
            assert "images: 2 super-resolved" in out
        assert {path.name for path in outdir.iterdir()} == outputs | there
        shutil.rmtree(tmp_path / "in" / "out", ignore_errors=True)


def test_shares_of_a_folder_are_done_once_each_and_as_in_one_go(run_main, model_path, tmp_path, monkeypatch):
    for i in range(9):
        save_photo(tmp_path / "in" / f"{i}.png", make_photo(5, 6, seed=i))
    argv = ["-i", tmp_path / "in", "-m", model_path, "-o"]
    run_main(demo, *argv, tmp_path / "whole")
    counts = []
    for share in ("1/3", "2/3", "3/3"):
        code, out, _ = run_main(demo, *argv, tmp_path / "parts", "--part", share)
        assert code == 0
        counts.append(int(re.search(rf"share {share[0]} of 3: (\d) of 9 images", out)[1]))
    assert sum(counts) == 9
    assert sum(count > 0 for count in counts) > 1
    whole, parts = ({path.name: path.read_bytes() for path in (tmp_path / name).iterdir()}
                    for name in ("whole", "parts"))
    assert parts == whole
    for name, value in (("ID", "6"), ("COUNT", "3"), ("MIN", "5")):
        monkeypatch.setenv(f"SLURM_ARRAY_TASK_{name}", value)
    assert demo.parse_args(["--part", "array"]).part == (2, 3)


@pytest.mark.parametrize("part", ["0/3", "4/3", "1", "a/3", "1/0", "array"])
def test_a_share_that_is_none_is_refused(capsys, part):
    with pytest.raises(SystemExit):
        demo.parse_args(["--part", part])
    assert "argument --part: " in capsys.readouterr().err
