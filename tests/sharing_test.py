"""A folder is shared among processes: the devices of a machine, and the workers of a cluster."""

import io
import os
import signal

import pytest
from tqdm import tqdm

import demo
import sharing
import weights
from errors import UserError
from model import edsr
from sharing import run_on_devices
from super_resolution.jobs import share
from tests.conftest import make_photo, save_photo
from tests.nearest import assert_all_done_as_by_one_process, contents, nearest_jobs, nothing, shares_of, total
from tests.processes import Started


@pytest.mark.parametrize(("argv", "parts"), [
    (["--devices", "0,1", "--ray"], ["--devices", "--ray"]), (["--devices", "0", "--compare"], ["--compare"]),
    (["--ray", "--compare"], ["--ray", "--compare"]), (["--part", "1/2", "--compare"], ["--part", "--compare"]),
    (["--devices", "0,0"], ["0,0", "each once"]), (["--devices", "0,,1"], ["0,,1"]),
])
def test_sharing_that_has_no_meaning_is_refused(capsys, argv, parts):
    with pytest.raises(SystemExit):
        demo.parse_args(argv)
    err = capsys.readouterr().err
    assert all(part in err for part in parts)


@pytest.mark.slow
def test_devices_do_every_image_once_and_as_one_process_does(tmp_path):
    shares = shares_of(tmp_path)
    outcomes = []
    with tqdm(total=1, file=io.StringIO()) as bar:
        run_on_devices(["0", "1"], nothing, shares, bar, outcomes.append)
        assert bar.n == pytest.approx(sum(sum(sizes) for (_, _, sizes), in shares))
    assert total(outcomes)[:2] == (12, 0)
    assert_all_done_as_by_one_process(tmp_path)


def test_a_killed_process_is_named_and_the_others_finish(tmp_path, capsys):
    shares = shares_of(tmp_path, words="die 13")
    (_, killed, _), = next(part for part in shares if any(job.name == "5.png" for job in part[0][1]))
    outcomes = []
    with tqdm(total=1, file=io.StringIO()) as bar:
        run_on_devices(["0", "1"], nothing, shares, bar, outcomes.append)
    device = [part[0][1] for part in shares].index(killed)
    assert f"failed: device {device}: its process was ended by SIGKILL, and " in capsys.readouterr().err
    outcome = total(outcomes)
    assert outcome.num_done + outcome.num_failed == 12
    assert 1 <= outcome.num_failed <= len(killed)
    names = {path.name for path in (tmp_path / "out").iterdir() if not path.name.startswith(".")}
    assert names >= {job.target.name for part in shares for job in part[0][1] if part[0][1] is not killed}


@pytest.mark.slow
def test_an_error_that_concerns_all_images_ends_all_processes(tmp_path):
    with tqdm(disable=True) as bar, pytest.raises(UserError, match="model: cannot be loaded"):
        run_on_devices(["0", "1"], nothing, shares_of(tmp_path, words="broken"), bar, None)
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_parts_and_devices_write_what_one_process_writes(run_main, tmp_path):
    weights.save(edsr(2, num_filters=4, num_res_blocks=1), tmp_path / "model.keras")
    for i in range(200):
        save_photo(tmp_path / "in" / f"{i}.png", make_photo(9 + i % 7, 12 + i % 5, seed=i))
    (tmp_path / "in" / "bad.png").write_text("no image")
    argv = ["-i", tmp_path / "in", "-m", tmp_path / "model.keras", "-o"]
    run_main(demo, *argv, tmp_path / "single")
    for i in range(4):
        run_main(demo, *argv, tmp_path / "parts", "--part", f"{i + 1}/4", "--skip-existing")
    code, out, err = run_main(demo, *argv, tmp_path / "devices", "--devices", "0,1")
    assert code == 1
    assert err.count(f"failed: {tmp_path / 'in' / 'bad.png'}: cannot be read") == 1
    assert "images: 200 super-resolved, 0 already there, 1 failed" in out
    assert len(contents(tmp_path / "single")) == 200
    assert contents(tmp_path / "parts") == contents(tmp_path / "devices") == contents(tmp_path / "single")


def test_devices_within_a_part_take_shares_of_it(run_main, tmp_path, monkeypatch):
    """A part's devices divide it, and together do just what the part alone does."""
    given = []

    def run_here(devices, prepare, shares, bar, take):
        given.append([[job.name for _, jobs, _ in share for job in jobs] for share in shares])

    monkeypatch.setattr(sharing, "run_on_devices", run_here)
    _, jobs, _ = nearest_jobs(tmp_path, count=40)
    for part in ("1/2", "2/2"):
        run_main(demo, "-i", tmp_path / "in", "-o", tmp_path / "out", "--devices", "0,1", "--part", part)
    assert [sorted(first + second) for first, second in given] == [
        sorted(job.name for job in share(jobs, i + 1, 2)) for i in range(2)]
    assert all(names for shares in given for names in shares)


RUN = """
import sys
from pathlib import Path
from tqdm import tqdm
from command_line import run
from sharing import run_on_devices
from tests.nearest import nothing, shares_of

def main(_):
    with tqdm(disable=True) as bar:
        run_on_devices(["0", "1"], nothing, shares_of(Path(sys.argv[1]), "wait 1"), bar, len)

if __name__ == "__main__":
    sys.exit(run(main, None))
"""


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_signal_stops_all_processes_and_leaves_no_half_written_file(tmp_path, number):
    (tmp_path / "script.py").write_text(RUN)
    started = Started(tmp_path / "script.py", tmp_path, PYTHONPATH=".")
    started.wait_until(lambda: (tmp_path / "out").exists() and len(started.workers()) == 2)
    if number == signal.SIGINT:
        started.signal_group(number)  # as a terminal does
    else:
        os.kill(started.process.pid, number)
    code, out = started.end()
    assert code == (-number if number == signal.SIGKILL else 128 + number)
    assert "Traceback" not in out
    assert started.left(10) == []
    assert {path.name for path in (tmp_path / "out").iterdir()} <= {f"{i}-sr.png" for i in range(12)}
