"""Models are evaluated by several processes, with the figures and the order of one."""

import csv
import json

import keras
import pytest

import evaluate
import weights
from evaluation import Collected, Evaluator, Failures, Model, Part, Plan, Protocol, image_sets, shares_of
from imaging.image_files import read_image
from model import edsr, wdsr_b
from tests.conftest import make_photo, save_photo


@pytest.fixture
def photos(tmp_path):
    """Two folders of images, one of which has a file that is no image."""
    for name, count in (("first", 5), ("second", 2)):
        for i in range(count):
            save_photo(tmp_path / name / f"{i}.png", make_photo(24 + 2 * i, 30, seed=i))
    (tmp_path / "first" / "bad.png").write_text("no image")
    return [tmp_path / "first", tmp_path / "second"]


@pytest.fixture
def indir(tmp_path):
    """Two models for x2 and one for x3, and a file that is no model."""
    for name, network in (("a", wdsr_b(2, num_filters=4, num_res_blocks=1)), ("c", edsr(3, 4, 1)),
                          ("d", wdsr_b(2, num_filters=4, num_res_blocks=1))):
        weights.save(network, tmp_path / "models" / f"{name}.keras")
    (tmp_path / "models" / "b.keras").write_text("no model")
    return tmp_path / "models"


def evaluated(plan, paths, num_parts):
    """Returns the results of models that are evaluated in parts, the last parts first, each by a process of its own;
    and what was reported."""
    models = [Model(path, number, plan) for path in paths for number in range(plan.num_sets)]
    failures, whole = Failures(), []
    collected = Collected(failures, whole.append)
    for i in reversed(range(num_parts)):
        evaluator = Evaluator(plan)
        for model in models:
            collected.add([evaluator.piece(model, Part(i + 1, num_parts))])
    assert len(whole) == len(collected.results(models))
    return collected.results(models), failures.lines


def figures(results):
    """Returns what does not depend on the speed."""
    return [(result.name, result.images, result.num_parameters, result.scores.images, result.scores.num_failed)
            for result in results]


@pytest.mark.parametrize("num_parts", [2, pytest.param(7, marks=pytest.mark.slow)])  # with 7 some are empty
def test_parts_of_the_images_are_put_together(photos, indir, num_parts):
    plan = Plan(Protocol.named("benchmark"), sets=image_sets(photos), metrics=["ssim"])
    paths = sorted(indir.iterdir())
    single, single_lines = evaluated(plan, paths, 1)
    parts, lines = evaluated(plan, paths, num_parts)
    assert len(single) == 6
    assert figures(parts) == figures(single)
    assert sorted(lines) == sorted(single_lines)
    assert len(lines) == 2


def test_a_model_that_no_part_could_apply_has_one_fault_and_no_result(photos, indir, monkeypatch):
    def refusing(self, lr):
        raise MemoryError

    monkeypatch.setattr("super_resolution.SuperResolver.__call__", refusing)
    plan = Plan(Protocol.named("benchmark"), sets=image_sets(photos[1:]))
    results, lines = evaluated(plan, [indir / "a.keras"], 2)
    assert results == []
    assert lines == [f"failed: {indir / 'a.keras'}: there is not enough memory"]


def test_a_model_whose_process_has_ended_has_no_result(photos, indir):
    plan = Plan(Protocol.named("benchmark"), sets=image_sets(photos[1:]))
    model, failures = Model(indir / "a.keras", 0, plan), Failures()
    collected = Collected(failures, None)
    collected.add([Evaluator(plan).piece(model, Part(1, 2))])
    number, pieces = model.lost([Part(2, 2)])
    collected.add(pieces)
    assert number == 1
    assert collected.results([model]) == []
    assert failures.lines == [f"failed: {model.path}: the process that evaluated it has ended"]


def test_few_models_are_shared_by_images_and_many_whole():
    plan = Plan(Protocol.named("benchmark"), sets=["first", "second"])
    few = [Model(i, number, plan) for i in range(3) for number in range(2)]
    shares = shares_of(few, 2)
    assert [[(model, part) for model, (part,), _ in share] for share in shares] == [
        [(model, Part(i + 1, 2)) for model in few] for i in range(2)]
    many = [Model(i, number, plan) for i in range(9) for number in range(2)]
    first, second = shares_of(many, 2)
    assert {part for _, (part,), _ in first + second} == {Part(1, 1)}
    assert [model.path for model, _, _ in first] == [0, 0, 2, 2, 4, 4, 6, 6, 8, 8]
    assert [model for model, _, _ in first + second if model.path % 2] == [model for model in many if model.path % 2]
    assert sum(size for share in shares for _, _, (size,) in share) == pytest.approx(6)


def test_bicubic_interpolation_takes_the_images_and_the_backend_that_are_there(run_main, photos, indir, tmp_path,
                                                                              monkeypatch):
    read = []
    monkeypatch.setattr("evaluation.plan.read_image", lambda path, **options: read.append(path) or read_image(path))
    code, out, _ = run_main(evaluate, "--images", photos[1], "-i", indir / "a.keras", "--bicubic", "-o",
                            tmp_path / "eval.json")
    assert code == 0
    assert "bicubic x2" in out
    assert out.count(f"{keras.backend.backend()}: ") == 1
    assert len(read) == len(set(read)) == 2


def assert_as_one_process(run_main, photos, indir, tmp_path, *options):
    """Asserts that `evaluate.py` with the options writes and prints what it does without them."""
    found = []
    for name, more in (("single", ()), ("shared", options)):
        argv = ["--images", *photos, "-i", indir, "--bicubic", "--ssim", "-o", tmp_path / f"{name}.json", "--details",
                tmp_path / f"{name}.csv", "--save-images", tmp_path / name, *more]
        code, out, err = run_main(evaluate, *argv)
        assert code == 1
        assert err.count("failed: ") == 2
        with open(tmp_path / f"{name}.csv", newline="") as file:
            rows = [{key: value for key, value in row.items() if "second" not in key} for row in csv.DictReader(file)]
        images = {path.relative_to(tmp_path / name): path.read_bytes() for path in (tmp_path / name).rglob("*.png")}
        found.append((list(json.loads((tmp_path / f"{name}.json").read_text()).items()), rows, images,
                      out.splitlines()[-1]))
    assert len(found[0][2]) == 35  # with those of bicubic interpolation at two scales
    assert found[0] == found[1]


@pytest.mark.slow
def test_devices_evaluate_as_one_process_does(run_main, photos, indir, tmp_path):
    assert_as_one_process(run_main, photos, indir, tmp_path, "--devices", "0,1")


@pytest.mark.slow
def test_a_cluster_evaluates_as_one_process_does(run_main, photos, indir, tmp_path):
    pytest.importorskip("ray", reason="requirements/ray.txt is not installed")
    assert_as_one_process(run_main, photos, indir, tmp_path, "--ray")
