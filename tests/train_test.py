import csv
import math
import re
import shlex
import shutil
from pathlib import Path

import keras
import numpy as np
import pytest

import evaluate
import train
import train_gan
from command_line import args_lines, evaluation_options
from data import find_training_pairs
from evaluation import dataset_samples
from model import wdsr_b
from tests.conftest import assert_one_line_error, make_photo, run_quietly, to_numpy
from training.checkpoints import Checkpoints
from training.distribution import Devices
from training.logs import StepLog
from training.loop import Training
from training.workspace import Progress, Workspace

TINY = ["--num-filters", 5, "--num-res-blocks", 1, "--patch-size", 12, "--batch-size", 4, "--iterations-per-epoch", 3,
        "--validation-steps", 2, "--epochs", 2]


@pytest.fixture
def train_tiny(run_main, dataset, tmp_path):
    """Trains a tiny network in this process: train_tiny(*argv) -> (result of run_main, run folder or None)."""
    def train_tiny(*argv):
        outdir = tmp_path / "output"
        before = set(outdir.glob("*"))
        result = run_main(train, "-d", dataset, "-o", outdir, *TINY, *argv)
        return result, next(iter(set(outdir.glob("*")) - before), None)

    return train_tiny


@pytest.fixture(scope="module")
def tiny_run(dataset, tmp_path_factory):
    """The folder of a run of two epochs, for tests that only look at it."""
    outdir = tmp_path_factory.mktemp("tiny")
    run_quietly(train, "-d", dataset, "-o", outdir, *TINY)
    return next(iter(outdir.glob("*")))


def history(run):
    return rows_of(run / "history.csv")


def rows_of(path):
    with open(path, encoding="utf-8", newline="") as file:
        return [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]


def checkpoints(run):
    return sorted((run / "models").glob("*.keras"))


PAPERS = {  # model, filters, blocks, expansion, weight normalization, learning rate, loss, residual scaling
    **{f"wdsr-b-{n}": ("wdsr-b", 32, n, 6, True, 1e-3, "mae", None) for n in (8, 16, 32)},
    **{f"wdsr-a-{n}": ("wdsr-a", 32, n, 4, True, 1e-3, "mae", None) for n in (8, 16, 32)},
    **{f"edsr-{n}": ("edsr", 64, n, None, False, 1e-4, "mae", None) for n in (8, 16)},
    "edsr": ("edsr", 256, 32, None, False, 1e-4, "mae", 0.1),
    "edsr-gen": ("edsr-gen", 64, 8, None, False, 1e-4, "mse", None),
    "sr-resnet": ("sr-resnet", 64, 16, None, False, 1e-4, "mse", None),
}


@pytest.mark.parametrize("profile", PAPERS)
def test_a_profile_sets_the_defaults_of_the_paper(profile):
    args = train.parse_args(["--profile", profile])
    expansion = None if PAPERS[profile][3] is None else args.res_expansion
    assert (args.model, args.num_filters, args.num_res_blocks, expansion, args.weightnorm, args.learning_rate,
            args.loss, args.res_scaling) == PAPERS[profile]


@pytest.mark.parametrize("profile", train.PROFILES)
def test_a_profile_sets_options_that_there_are(profile):
    args = vars(train.parse_args(["--profile", profile]))
    assert {name: args[name] for name in train.PROFILES[profile]} == train.PROFILES[profile]


def test_what_is_typed_beats_the_profile():
    typed = ["--num-res-blocks", "3", "--learning-rate", "0.5", "--no-weightnorm", "--loss", "mse", "--model", "wdsr-a"]
    for argv in (["--profile", "wdsr-b-32", *typed], [*typed, "--profile", "wdsr-b-32"]):
        args = train.parse_args(argv)
        assert (args.num_res_blocks, args.learning_rate, args.weightnorm, args.loss, args.model) == (
            3, 0.5, False, "mse", "wdsr-a")
        assert (args.num_filters, args.res_expansion) == (32, 6)


def test_defaults_without_a_profile_are_those_of_the_original():
    args = train.parse_args([])
    assert (args.model, args.num_filters, args.num_res_blocks, args.res_expansion, args.res_scaling, args.scale,
            args.downgrade, args.learning_rate, args.weightnorm, args.epochs, args.iterations_per_epoch,
            args.validation_steps, args.batch_size, args.learning_rate_step_size, args.learning_rate_decay,
            args.num_workers, args.max_queue_size, args.gpu_memory_fraction, str(args.outdir), str(args.dataset)) == (
        "wdsr-b", 32, 8, 4, None, 2, "bicubic", 1e-3, False, 300, 1000, 100, 16, 200, 0.5, 1, 16, 0.8,
        "output", "DIV2K_BIN")


@pytest.mark.parametrize(("argv", "message"), [
    (["--profile", "sr-resnet", "--scale", "2"], "scale 2 is not supported by sr-resnet: choose 4"),
    (["--num-init-batches", "2"], "add --weightnorm"),
    (["--weightnorm", "--num-init-batches", "2", "--pretrained-model", "a.keras"], "give only one"),
    (["--initial-epoch", "300"], "leaves nothing to do"),
    (["--no-validation", "--benchmark"], "--no-validation leaves nothing for --benchmark"),
    (["--no-validation", "--save-best-models-only"], "--no-validation leaves nothing for --save-best-models-only"),
    (["--no-validation", "--early-stopping", "3"], "--no-validation leaves nothing for --early-stopping"),
    (["--profile", "wdsr-b-8", "--optimizer", "adamw"], "--optimizer adamw has no weight normalization"),
    (["--save-every", "5", "--benchmark"], "--save-every does not go with"),
    (["--gradient-accumulation", "3"], "--gradient-accumulation 3 is not allowed: give a divisor of"),
    (["--steps-per-execution", "3"], "3 is not allowed: give a divisor of --iterations-per-epoch, which is 1000"),
    (["--steps-per-execution", "8"], "8 is not allowed: give a divisor of --log-steps, which is 100"),
])
def test_options_that_contradict_each_other_are_refused(argv, message, capsys):
    with pytest.raises(SystemExit) as error:
        train.parse_args(argv)
    assert error.value.code == 2
    assert message in capsys.readouterr().err


def test_a_run_leaves_its_arguments_models_history_logs_and_state(train_tiny):
    (code, out, _), run = train_tiny("--profile", "wdsr-b-8")
    assert code == 0
    assert sorted(path.name for path in run.iterdir()) == ["args.txt", "history.csv", "logs", "models", "state"]
    assert [path.name for path in (run / "state").iterdir()] == ["state.npz"]
    assert list((run / "logs").glob("events.out.tfevents.*"))
    rows = history(run)
    assert [row["epoch"] for row in rows] == [1, 2]
    assert [path.name for path in checkpoints(run)] == [
        f"epoch-{row['epoch']:03.0f}-psnr-{row['val_psnr']:.4f}.keras" for row in rows]
    assert f"{max(row['val_psnr'] for row in rows):.4f}" in out


def test_tensorboard_logs_hold_every_figure_and_validation_images(tiny_run):
    from tensorboardX.proto.event_pb2 import Event

    content = next((tiny_run / "logs").iterdir()).read_bytes()
    found, position = {}, 0
    while position < len(content):  # each record: length (8 bytes), its checksum (4), the event, its checksum (4)
        length = int.from_bytes(content[position:position + 8], "little")
        event = Event.FromString(content[position + 12:position + 12 + length])
        found |= {(value.tag, event.step): value.simple_value for value in event.summary.value}
        position += 16 + length
    for row in history(tiny_run):
        for name in ("loss", "psnr", "val_loss", "val_psnr", "learning_rate"):
            assert found[name, int(row["epoch"])] == pytest.approx(row[name])
    assert {("0007/hr", 0), ("0007/bicubic", 0), ("0007/sr", 1), ("0007/sr", 2), ("0008/sr", 2)} <= set(found)


def test_args_txt_reads_back_as_the_same_arguments(train_tiny):
    argv = ["--profile", "wdsr-a-8", "--no-weightnorm", "--training-images", "2-5", "--benchmark",
            "--res-scaling", "0.5"]
    _, run = train_tiny(*argv)
    lines = (run / "args.txt").read_text().splitlines()
    args = train.parse_args(lines)
    assert args_lines(train.parser(), args) == lines
    assert (list(args.training_images), args.weightnorm, args.benchmark, args.res_scaling, args.model) == (
        [2, 3, 4, 5], False, True, 0.5, "wdsr-a")


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_checkpoints_are_float32_inference_models(train_tiny, precision):
    _, run = train_tiny("--precision", precision, "--scale", 3)
    model = keras.saving.load_model(checkpoints(run)[-1])
    assert not model.compiled
    assert {layer.dtype_policy.name for layer in model.layers} == {"float32"}
    assert model(make_photo(7, 9)[None].astype("float32")).shape == (1, 21, 27, 3)


@pytest.mark.slow
@pytest.mark.skipif(keras.backend.backend() == "torch", reason="torch.compile takes minutes")
def test_compiled_steps_have_the_losses_of_others(train_tiny):
    runs = [train_tiny("--jit-compile", choice)[1] for choice in ("yes", "no")]
    for compiled, other in zip(*map(history, runs), strict=True):
        assert compiled == pytest.approx(other, rel=1e-3)


@pytest.mark.slow
def test_training_lowers_the_loss(train_tiny):
    _, run = train_tiny("--iterations-per-epoch", 20, "--epochs", 3)
    losses = [row["loss"] for row in history(run)]
    assert losses[2] < 0.7 * losses[0]


@pytest.mark.slow
@pytest.mark.parametrize("argv", [
    pytest.param(["--profile", "sr-resnet"], marks=pytest.mark.slow),
    ["--profile", "wdsr-a-8", "--padding", "same", "--loss", "charbonnier"],
    ["--profile", "wdsr-b-8", "--loss", "fourier", "--precision", "bfloat16"],
    pytest.param(["--profile", "edsr-gen"], marks=pytest.mark.slow),
    pytest.param(["--profile", "edsr"], marks=pytest.mark.slow)])
def test_every_network_and_loss_trains(train_tiny, argv):
    (code, _, _), run = train_tiny(*argv, "--epochs", 1)
    assert code == 0
    assert np.isfinite(history(run)[0]["loss"])


@pytest.mark.slow
def test_the_stream_does_not_depend_on_the_workers(train_tiny):
    runs = [train_tiny(*argv)[1] for argv in ([], ["--num-workers", 3, "--max-queue-size", 2],
                                              ["--num-workers", 2, "--use-multiprocessing"])]
    texts = [(run / "history.csv").read_text() for run in runs]
    assert texts[0] == texts[1] == texts[2]


@pytest.mark.slow
def test_a_run_repeats_with_its_seed(train_tiny, tiny_run):
    _, run = train_tiny("--num-workers", 3, "--max-queue-size", 2)
    assert (run / "history.csv").read_text() == (tiny_run / "history.csv").read_text()


@pytest.mark.slow
def test_seeds_differ_and_repeat(train_tiny):
    texts = [(train_tiny("--seed", seed)[1] / "history.csv").read_text() for seed in (1, 1, 2)]
    assert texts[0] == texts[1] != texts[2]


@pytest.mark.slow
def test_save_best_models_only(train_tiny):
    _, run = train_tiny("--save-best-models-only", "--epochs", 4, "--learning-rate", 0.05)
    best, expected = -math.inf, []
    for row in history(run):
        if row["val_psnr"] > best:
            best = row["val_psnr"]
            expected.append(int(row["epoch"]))
    assert [int(path.name[6:9]) for path in checkpoints(run)] == expected
    assert len(expected) < 4


@pytest.mark.slow
def test_save_models_after_epoch(train_tiny):
    _, run = train_tiny("--save-models-after-epoch", 1, "--epochs", 3)
    assert [path.name[:9] for path in checkpoints(run)] == ["epoch-002", "epoch-003"]


@pytest.mark.slow
def test_benchmark_validates_as_evaluate_does_and_saves_the_best(train_tiny, run_main, dataset, tmp_path):
    import evaluate

    _, run = train_tiny("--benchmark")
    _, out, _ = run_main(evaluate, "-d", dataset, "-i", run / "models", "-o", tmp_path / "eval.json")
    best = max(row["val_psnr"] for row in history(run))
    assert f"Best PSNR = {best:.4f} for model {checkpoints(run)[-1]}" in out


@pytest.mark.slow
def test_a_run_without_validation_has_no_figures_of_it_and_names_the_last_model(train_tiny):
    (code, out, _), run = train_tiny("--no-validation", "--optimizer", "lamb", "--no-augmentation")
    assert code == 0
    assert [path.name for path in checkpoints(run)] == ["epoch-001.keras", "epoch-002.keras"]
    assert list(history(run)[0]) == ["epoch", "loss", "psnr", "learning_rate"]
    assert "images: 6 for training, none for validation" in out
    assert f"last model: {checkpoints(run)[-1]}\n" in out
    assert "best" not in out


@pytest.mark.slow
def test_a_run_says_what_it_does_and_what_can_be_done_next(train_tiny, dataset):
    (_, out, _), run = train_tiny("--log-interval", 0, "--log-steps", 2)
    assert f"images: 6 for training, 2 for validation\nfigures: tensorboard --logdir {run / 'logs'}\n" in out
    lines = [line for line in out.splitlines() if re.fullmatch(
        r"epoch [12]/2, step [123]/3 - loss: [0-9.]+ - [0-9]+ images/s, [0-9]+h[0-9]{2}m left", line)]
    assert len(lines) == 6
    assert [row["step"] for row in rows_of(run / "history-steps.csv")] == [2, 4, 6]
    assert sum(row["loss"] for row in rows_of(run / "history-steps.csv")) / 3 == pytest.approx(
        sum(row["loss"] for row in history(run)) / 2, rel=1e-4)
    best = max(history(run), key=lambda row: row["val_psnr"])
    model = checkpoints(run)[int(best["epoch"]) - 1]
    assert out.splitlines()[-2:] == [f"    python evaluate.py --dataset={dataset} -i {model}",
                                     f"    python demo.py -i ./photos -m {model}"]
    assert f"best model by PSNR: {model}\n" in out


def merged(dataset, tmp_path):
    """Returns a copy of a data set without its folders of validation images."""
    for folder in dataset.glob("DIV2K_train_*"):
        shutil.copytree(folder, tmp_path / "merged" / folder.name)
    return tmp_path / "merged"


def test_a_data_set_without_validation_images_is_told_with_the_options_that_help(run_main, dataset, tmp_path):
    argv = ["-d", merged(dataset, tmp_path), "-o", tmp_path / "output"]
    result = run_main(train, *argv)
    assert_one_line_error(result, "DIV2K_valid_HR: there is no such folder", "--validation-images A-B",
                          "--validation-dataset DIR", "--no-validation")
    result = run_main(train_gan, *argv, "--generator", "edsr-gen", "--scale", 2)
    assert_one_line_error(result, "--validation-images A-B", "--validation-dataset DIR")
    assert "--no-validation" not in result[2]


def test_validation_images_of_the_training_folder_are_evaluated_by_the_command_that_is_printed(dataset, tmp_path):
    folder = merged(dataset, tmp_path)
    args = train.parse_args(["-d", str(folder), "--validation-images", "5-6"])
    _, valid_pairs = find_training_pairs(args.dataset, args.scale, args.downgrade, None, args.validation_images)
    words = evaluation_options(train.parser(), args)
    args = evaluate.parse_args([*words, "-i", "a.keras"])
    samples = dataset_samples(args.dataset, args.downgrade, 2, args.validation_images)
    assert [sample.name for sample in samples] == [pair.name for pair in valid_pairs] == ["0005", "0006"]


def test_figures_of_every_n_steps_are_means_over_these_steps(tmp_path):
    run = Training.__new__(Training)  # what keeps these figures, without networks
    run.devices = Devices()
    run.iterations_per_epoch, run.schedule, run.progress = 3, lambda step: 0.1 * step, Progress()
    losses = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0]

    def run_steps(epoch):
        for step in range(1, 4):
            if run.is_row_due(epoch, step):
                run.record(epoch, step, {"loss": sum(losses[3 * epoch:3 * epoch + step])})
        run.end_steps({"loss": sum(losses[3 * epoch:3 * epoch + 3])})

    for epoch in (0, 1, 1):  # the state after the first epoch is gone on with
        run.step_log = StepLog(Workspace(tmp_path), 2)
        run.step_log.begin(3 * epoch)
        if epoch == 0:
            run_steps(0)
            after_first = dict(run.progress.logged)
        else:
            run.progress.logged = after_first
            run_steps(1)
        rows = rows_of(tmp_path / "history-steps.csv")
        expected = [(2, 1, 1.5, 0.1), (4, 2, 6.0, 0.3), (6, 2, 24.0, 0.5)][:3 if epoch else 1]
        assert [tuple(row.values()) for row in rows] == [pytest.approx(row) for row in expected]
    contents = {path.read_bytes().count(b"steps/loss") for path in (tmp_path / "logs" / "steps").iterdir()}
    assert contents == {1, 2}


@pytest.mark.slow
def test_early_stopping_keeps_the_best_model_and_is_resumed(train_tiny, run_main, monkeypatch):
    psnrs = [20.0, 22.0, 21.0, 21.5, 21.0, 20.0, 20.0]
    monkeypatch.setattr("training.pixelwise.PatchValidation.__call__",
                        lambda self, run: {"val_psnr": psnrs[run.progress.epoch]})
    (code, out, _), run = train_tiny("--iterations-per-epoch", 1, "--early-stopping", 2, "--keep-last", 1,
                                     "--epochs", 9)
    assert code == 0
    assert "stopped early: no better PSNR in the last 2 epochs" in out
    assert [path.name for path in checkpoints(run)] == ["epoch-002-psnr-22.0000.keras", "epoch-004-psnr-21.5000.keras"]
    assert f"best model by PSNR: {checkpoints(run)[0]}\nlast model: {checkpoints(run)[1]}\n" in out
    assert len(history(run)) == 4
    code, out, _ = run_main(train, "--resume", run)
    assert (code, len(history(run))) == (0, 4)
    code, out, _ = run_main(train, "--resume", run, "--early-stopping", 3)
    assert (code, len(history(run))) == (0, 5)


@pytest.mark.parametrize(("options", "kept"), [
    ({}, [1, 2, 3, 4, 5, 6, 7]), ({"keep_last": 2}, [3, 6, 7]), ({"every": 3}, [3, 6, 7]),
    ({"every": 2}, [2, 3, 4, 6, 7]), ({"every": 2, "keep_last": 1}, [3, 7]),
    ({"best_only": True}, [1, 3]), ({"best_only": True, "keep_last": 1}, [3]),
    ({"after_epoch": 5}, [6, 7]), ({"best_only": True, "after_epoch": 1}, [3])])
@pytest.mark.parametrize("lower", [False, True])
def test_which_models_are_kept_follows_from_the_history(tmp_path, monkeypatch, options, kept, lower):
    monkeypatch.setattr("training.checkpoints.weights.save", lambda model, path: path.write_text(""))
    checkpoints = Checkpoints(tmp_path, lambda row: f"{row['epoch']}", "figure", last_epoch=7, lower_is_better=lower,
                              **options)
    rows = [{"epoch": i + 1, "figure": -value if lower else value} for i, value in enumerate((4, 3, 9, 5, 9, 6, 7))]
    for i in range(7):
        checkpoints.save(None, rows[:i + 1])
    assert sorted(int(path.name) for path in tmp_path.iterdir()) == kept
    assert checkpoints.best(rows).name == ("3" if 3 in kept else "7")
    assert checkpoints.last(rows).name == str(kept[-1])


def test_the_schedule_is_what_the_options_say():
    def rates(*argv):
        argv = ["--num-filters", "4", "--num-res-blocks", "1", "--iterations-per-epoch", "3", "--learning-rate", "0.01",
                *argv]
        schedule = train.build(train.parse_args(argv))[2]
        return [float(to_numpy(schedule(3 * epoch))) for epoch in range(4)]

    falling = rates("--learning-rate-step-size", "2", "--learning-rate-decay", "0.1")
    assert falling == pytest.approx([0.01, 0.01, 0.001, 0.001])
    assert rates("--learning-rate-schedule", "cosine", "--epochs", "2")[:3] == pytest.approx([0.01, 0.005, 0.0])
    assert rates("--warmup-steps", "6") == pytest.approx([0.01 / 6, 0.04 / 6, 0.01, 0.01])


@pytest.mark.slow
def test_the_learning_rate_falls_as_asked(train_tiny):
    _, run = train_tiny("--learning-rate", 0.01, "--learning-rate-step-size", 2, "--learning-rate-decay", 0.1,
                        "--epochs", 4)
    assert [row["learning_rate"] for row in history(run)] == pytest.approx([0.01, 0.01, 0.001, 0.001])
    _, run = train_tiny("--learning-rate", 0.01, "--learning-rate-schedule", "cosine", "--epochs", 2)
    assert [row["learning_rate"] for row in history(run)] == pytest.approx([0.01, 0.005])
    _, run = train_tiny("--learning-rate", 0.01, "--learning-rate-step-size", 1, "--initial-epoch", 1)
    assert [(row["epoch"], row["learning_rate"]) for row in history(run)] == [(2, pytest.approx(0.005))]


@pytest.mark.slow
@pytest.mark.parametrize("argv", [["--weightnorm"], ["--no-weightnorm"]])
def test_accumulated_gradients_train_as_a_batch_of_all(train_tiny, argv):
    """Two batches of 2 are the patches of one of 4, and the learning rate is the same function of epochs."""
    argv = [*argv, "--learning-rate-step-size", 1, "--learning-rate", 0.01]
    _, large = train_tiny(*argv, "--batch-size", 4, "--iterations-per-epoch", 3)
    _, small = train_tiny(*argv, "--batch-size", 2, "--iterations-per-epoch", 6, "--gradient-accumulation", 2)
    for one, other in zip(history(large), history(small), strict=True):
        assert one["learning_rate"] == other["learning_rate"]
        assert one["loss"] == pytest.approx(other["loss"], rel=1e-3)
    for one, other in zip(*(keras.saving.load_model(checkpoints(run)[-1]).get_weights() for run in (large, small)),
                          strict=True):
        assert one == pytest.approx(other, abs=1e-4)


@pytest.mark.slow
def test_initialization_batches_and_the_summary_do_something(train_tiny):
    (_, out, _), run = train_tiny("--profile", "wdsr-b-8", "--num-init-batches", 2, "--print-model-summary")
    assert "initialized 6 layers from 2 batches" in out
    assert "block_1_expand" in out
    assert run is not None


@pytest.mark.slow
def test_a_pretrained_model_of_another_scale_hands_on_its_weights(train_tiny, tmp_path):
    source = wdsr_b(2, num_filters=5, num_res_blocks=1, res_block_expansion=4)
    source.save(tmp_path / "x2.keras")
    (code, out, _), run = train_tiny("--scale", 4, "--pretrained-model", tmp_path / "x2.keras", "--epochs", 1,
                                     "--iterations-per-epoch", 1, "--learning-rate", 1e-9)
    assert code == 0
    assert "copied the weights of 4 layers; not copied: tail, skip" in out
    trained = keras.saving.load_model(checkpoints(run)[0])
    for name in ("head", "block_1_expand", "block_1_reduce", "block_1_conv"):
        ours, theirs = (model.get_layer(name).get_weights()[0] for model in (trained, source))
        assert ours == pytest.approx(theirs, abs=1e-6)


@pytest.mark.slow
def test_the_name_of_a_shipped_model_is_a_pretrained_model(train_tiny, monkeypatch):
    monkeypatch.setattr(Training, "to_the_end", lambda *_: 1)
    argv = ["--profile", "wdsr-b-8", "--num-filters", 32, "--num-res-blocks", 8, "--pretrained-model"]
    (_, out, _), _ = train_tiny(*argv, "wdsr-b-8-x2")
    assert re.search(r"wdsr-b-8-x2.keras: copied the weights of \d+ layers\n", out)
    (_, out, _), _ = train_tiny(*argv, "wdsr-b-8-x2", "--num-res-blocks", 12)
    assert re.search(r"wdsr-b-8-x2.keras: copied the weights of \d+ layers; its 8 blocks stand for 12, each", out)
    assert_one_line_error(train_tiny(*argv, "wdsr-c")[0], "wdsr-c is none of the shipped models: choose ")


@pytest.mark.slow
def test_small_images_are_left_out_with_a_line_and_named_when_typed(train_tiny):
    (code, out, _), _ = train_tiny("--patch-size", 30, "--epochs", 1)  # one LR image is 27 pixels wide
    assert code == 0
    assert "1 training images are smaller than a patch of 60 x 60 pixels and are left out; 5 are used" in out
    result, run = train_tiny("--patch-size", 30, "--training-images", "1-6")
    assert_one_line_error(result, "1 training images are smaller", "--training-images")
    assert run is None


@pytest.mark.parametrize("typed", [["--learning-rate", "1"], ["--profile", "edsr-8"], ["--seed", "3"]])
def test_resume_takes_no_option_that_would_change_the_run(tmp_path, typed, capsys):
    with pytest.raises(SystemExit):
        train.parse_args(["--resume", str(tmp_path), *typed])
    message = capsys.readouterr().err
    assert f"{typed[0]} cannot be changed with --resume" in message
    assert all(words in message for words in ("--pretrained-model FILE", "--initial-epoch N", " ".join(typed)))


def test_resume_with_another_learning_rate_names_the_way_that_works(tiny_run, capsys):
    def way(*typed):
        with pytest.raises(SystemExit):
            train.parse_args(["--resume", str(tiny_run), *typed])
        return shlex.split(re.search(r"a new run: python \S+ (.*) \(python", capsys.readouterr().err)[1])

    own = train.parse_args(["--resume", str(tiny_run)])
    begin = {"resume": None, "profile": None, "outdir": Path("output"), "pretrained_model": checkpoints(tiny_run)[-1],
             "initial_epoch": 2}
    for typed, changed in ((["--learning-rate", "0.01"], {"learning_rate": 0.01, "epochs": 4}),
                           (["--batch-size", "2", "--epochs", "9"], {"batch_size": 2, "epochs": 9}),
                           (["--scale", "4", "--training-images", "2-5"],
                            {"scale": 4, "training_images": range(2, 6), "epochs": 4})):
        words = way(*typed)
        assert vars(train.parse_args(words)) == {**vars(own), **begin, **changed}
        assert " ".join(typed[:2]) in " ".join(words)
    assert f"--pretrained-model {checkpoints(tiny_run)[-1]}" in " ".join(words)


def test_resume_names_what_is_missing(tiny_run, run_main, tmp_path, capsys):
    with pytest.raises(SystemExit):
        train.parse_args(["--resume", str(tmp_path)])
    assert f"{tmp_path / 'args.txt'}: No such file" in capsys.readouterr().err
    run = shutil.copytree(tiny_run, tmp_path / "run")
    assert_one_line_error(run_main(train, "--resume", run), run, "has done its 2 epochs: give more with --epochs")
    (run / "state" / "state.npz").write_bytes((run / "state" / "state.npz").read_bytes()[:1000])
    assert_one_line_error(run_main(train, "--resume", run, "--epochs", 3), "state.npz", "cannot be read as the state")
    (run / "state" / "state.npz").unlink()
    assert_one_line_error(run_main(train, "--resume", run, "--epochs", 3), "state.npz", "there is no such file")


def test_bad_input_is_named_and_no_run_is_made(run_main, dataset, tmp_path):
    result = run_main(train, "-d", tmp_path / "gone", "-o", tmp_path / "output")
    assert_one_line_error(result, tmp_path / "gone", "there is no such folder")
    result = run_main(train, "-d", dataset, "-o", tmp_path / "output", "--training-images", "1-9")
    assert_one_line_error(result, "0007.npy", "there is no such array")
    tiny = ["-d", dataset, "-o", tmp_path / "output", *TINY]
    result = run_main(train, *tiny, "--pretrained-model", tmp_path / "a.keras")
    assert_one_line_error(result, tmp_path / "a.keras", "there is no such model file")
    (tmp_path / "file").write_text("")
    result = run_main(train, "-d", dataset, "-o", tmp_path / "file", *TINY)
    assert_one_line_error(result, tmp_path / "file", "cannot be a folder")
    assert not list((tmp_path / "output").glob("*"))
