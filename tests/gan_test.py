"""Adversarial training: who learns in which step, what is logged, exact resume, and VGG weights."""

import contextlib
import csv
import functools
import http.server
import os
import shutil
import signal
import subprocess
import sys
import threading

import h5py
import keras
import numpy as np
import pytest

import demo
import evaluate
import train_gan
import weights
from datasets.patches import PatchStream
from model import discriminator, edsr, sr_resnet
from tests.conftest import ROOT, assert_one_line_error, make_photo, run_quietly, save_photo, to_numpy
from tests.golden_cases import adversarial_steps, set_weights, small_features
from tests.runs import assert_same_outcome, only_run, start, wait_for
from training.adversarial import DiscriminatorStep, GeneratorStep, cross_entropy, frozen_statistics
from training.distribution import Devices
from training.gan import GANTraining, label_entropy
from training.workspace import Workspace, read_state
from weights.vgg import load_features

GENERATORS = {"sr-resnet": functools.partial(sr_resnet, 4, 4, 1),
              "edsr-gen": functools.partial(edsr, 4, 4, 1, tanh_activation=True)}

once = pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="the same on every backend, and takes long")


@pytest.fixture(scope="module", params=["edsr-gen", pytest.param("sr-resnet", marks=pytest.mark.slow)])
def steps(request):
    """A compiled step of the generator and one of the discriminator, of small networks, which the tests train on."""
    return adversarial_steps(GENERATORS[request.param]())


def batch(size, seed=0):
    hr = np.stack([make_photo(16, 16, seed=seed + i) for i in range(size)]).astype("float32")
    return hr.reshape(size, 4, 4, 4, 4, 3).mean(axis=(2, 4)), hr


def labels(hr, real=1.0, fake=0.0):
    return {"hr": hr, "real": np.full((len(hr), 1), real, "float32"), "fake": np.full((len(hr), 1), fake, "float32")}


def values(variables):
    return [to_numpy(variable).copy() for variable in variables]


def changed(before, variables):
    """Returns for each variable whether it differs from `before` in any bit."""
    return [not np.array_equal(old, to_numpy(variable)) for old, variable in zip(before, variables, strict=True)]


def test_the_discriminators_step_changes_the_discriminator_alone(steps):
    generator_step, step = steps
    generator, judge, features = generator_step.generator, step.discriminator, generator_step.features
    others = values(generator.variables + features.variables)
    own = values(judge.trainable_variables)
    lr, hr = batch(3)
    for _ in range(2):
        step.train_on_batch(lr, labels(hr))
    assert not any(changed(others, generator.variables + features.variables))
    assert all(changed(own, judge.trainable_variables))


def test_the_generators_step_changes_the_generator_with_its_statistics_alone(steps):
    step, discriminator_step = steps
    generator, judge = step.generator, step.discriminator
    others = judge.trainable_variables + step.features.variables + discriminator_step.optimizer.variables
    before, own = values(others), values(generator.variables)
    lr, hr = batch(3)
    step.train_on_batch(lr, hr)
    assert not any(changed(before, others))
    assert all(changed(own, generator.variables))


@pytest.mark.slow
def test_both_steps_take_turns_on_shared_networks(steps):
    generator_step, discriminator_step = steps
    lr, hr = batch(4)
    first = generator_step.train_on_batch(lr, hr, return_dict=True)
    for _ in range(10):
        discriminator_step.train_on_batch(lr, labels(hr))
    after = generator_step.train_on_batch(lr, hr, return_dict=True)
    assert after["adversarial_loss"] > first["adversarial_loss"]  # the discriminator has learned
    for _ in range(10):
        last = generator_step.train_on_batch(lr, hr, return_dict=True)
    assert last["generator_loss"] < after["generator_loss"]  # and so does the generator


@pytest.mark.slow
def test_a_partial_batch_is_a_batch(steps):
    for step, target in ((steps[0], lambda hr: hr), (steps[1], labels)):
        for size in (4, 3):
            lr, hr = batch(size)
            logs = step.train_on_batch(lr, target(hr), return_dict=True)
            assert all(np.isfinite(value) for value in logs.values())


def test_fakes_are_made_as_in_the_generators_own_training():
    generator = GENERATORS["sr-resnet"]()
    set_weights(generator)
    lr, _ = batch(3)
    fakes = to_numpy(DiscriminatorStep(generator, discriminator(16, 2))(lr))
    assert np.abs(fakes - to_numpy(generator(lr, training=False))).max() > 1
    with frozen_statistics(generator):
        statistics = values(generator.non_trainable_variables)
        assert fakes == pytest.approx(to_numpy(generator(lr, training=True)), abs=1e-3)
        assert not any(changed(statistics, generator.non_trainable_variables))
    assert {layer.momentum for layer in generator.layers
            if isinstance(layer, keras.layers.BatchNormalization)} == {0.8}


def test_the_figures_are_those_of_the_paper(steps):
    step, discriminator_step = steps
    lr, hr = batch(3)
    sr = discriminator_step(lr)
    logits_real, logits_fake = (to_numpy(step.discriminator(images, training=True))[:, 0] for images in (hr, sr))
    features = [to_numpy(step.features(images)) / 12.75 for images in (hr, sr)]
    content = np.mean((features[0] - features[1]) ** 2)
    adversarial = np.mean(np.log1p(np.exp(-logits_fake)))
    logs = step.train_on_batch(lr, hr, return_dict=True)
    assert logs["content_loss"] == pytest.approx(content, rel=1e-3)
    assert logs["adversarial_loss"] == pytest.approx(adversarial, rel=1e-3)
    assert logs["generator_loss"] == pytest.approx(content + 0.001 * adversarial, rel=1e-3)

    logs = discriminator_step.train_on_batch(lr, labels(hr, real=0.9), return_dict=True)
    real = np.mean(0.9 * np.log1p(np.exp(-logits_real)) + 0.1 * np.log1p(np.exp(logits_real)))
    assert logs["discriminator_loss_real"] == pytest.approx(real, rel=1e-3)


def test_the_cross_entropy_is_finite_for_logits_of_any_size():
    logits = np.array([[-1e4], [0.0], [1e4]], "float32")
    assert to_numpy(cross_entropy(np.ones((3, 1), "float32"), logits)) == pytest.approx([1e4, np.log(2), 0])
    assert to_numpy(cross_entropy(1.0, logits)) == pytest.approx([1e4, np.log(2), 0])


# -- the script

TINY = ["--generator", "sr-resnet", "--num-filters", 4, "--num-res-blocks", 1, "--hr-patch-size", 32,
        "--discriminator-filters", 2, "--batch-size", 2, "--iterations-per-epoch", 3, "--epochs", 2]


@pytest.fixture(scope="session")
def vgg_file(tmp_path_factory):
    """A file of VGG19 weights with Keras' names and shapes and random values."""
    path = tmp_path_factory.mktemp("vgg") / "vgg19.h5"
    vgg = keras.applications.VGG19(include_top=False, weights=None, input_shape=(32, 32, 3))
    rng = np.random.default_rng(0)
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [layer.name.encode() for layer in vgg.layers]
        for layer in vgg.layers:
            group = file.create_group(layer.name)
            names = [f"{layer.name}_{letter}_1:0" for letter in "Wb"[:len(layer.weights)]]
            group.attrs["weight_names"] = np.array([name.encode() for name in names])
            for name, weight in zip(names, layer.weights, strict=True):
                scale = np.sqrt(2 / np.prod(weight.shape[:-1])) if len(weight.shape) > 1 else 0
                group[name] = scale * rng.standard_normal(tuple(weight.shape), dtype="float32")
    return path


@pytest.fixture
def train_on_vgg(run_main, dataset, tmp_path, vgg_file):
    """Trains tiny networks in this process: train_on_vgg(*argv) -> (result of run_main, run folder or None)."""
    def train_on_vgg(*argv):
        outdir = tmp_path / f"output-{len(list(tmp_path.iterdir()))}"
        result = run_main(train_gan, "-d", dataset, "-o", outdir, "--vgg-weights", vgg_file, *TINY, *argv)
        return result, next(iter(outdir.glob("*")), None)

    return train_on_vgg


def use_small_features(monkeypatch):
    """Puts a network of one layer in place of VGG19, which takes most of the time of a tiny training."""
    monkeypatch.setattr("weights.vgg.load_features", lambda *_, **__: small_features())


@pytest.fixture
def train_tiny(run_main, dataset, tmp_path, monkeypatch):
    """As `train_on_vgg`, without VGG19."""
    use_small_features(monkeypatch)

    def train_tiny(*argv):
        outdir = tmp_path / f"output-{len(list(tmp_path.iterdir()))}"
        result = run_main(train_gan, "-d", dataset, "-o", outdir, *TINY, *argv)
        return result, next(iter(outdir.glob("*")), None)

    return train_tiny


def losses(run):
    with open(run / "losses.csv", encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def command(dataset, outdir, vgg_file, *argv):
    return [sys.executable, "train_gan.py", "-d", str(dataset), "-o", str(outdir), "--vgg-weights", str(vgg_file),
            *map(str, [*TINY, "--iterations-per-epoch", 10, *argv])]


@pytest.fixture(scope="module")
def whole(dataset, tmp_path_factory):
    """The folder of a run of two epochs of 3 steps in one go, without VGG19."""
    outdir = tmp_path_factory.mktemp("whole")
    with pytest.MonkeyPatch.context() as monkeypatch:
        use_small_features(monkeypatch)
        run_quietly(train_gan, "-d", dataset, "-o", outdir, *TINY)
    return only_run(outdir)


def test_a_run_writes_generators_losses_and_its_state(whole):
    run = whole
    assert sorted(path.name for path in run.iterdir()) == ["args.txt", "logs", "losses.csv", "models", "state"]
    assert sorted(path.name for path in (run / "models").iterdir()) == [
        "generator-epoch-001.keras", "generator-epoch-002.keras"]
    assert list(losses(run)[0]) == [
        "epoch", "content_loss", "adversarial_loss", "generator_loss", "discriminator_loss_real",
        "discriminator_loss_fake", "discriminator_accuracy", "val_psnr", "val_vgg54", "generator_learning_rate",
        "discriminator_learning_rate"]
    assert all(np.isfinite(float(value)) for row in losses(run) for value in row.values())


def test_tensorboard_gets_the_losses_and_sample_images(whole):
    content = b"".join(path.read_bytes() for path in (whole / "logs").iterdir())
    for name in (*GeneratorStep.FIGURES, *DiscriminatorStep.FIGURES, "val_psnr", "val_vgg54"):
        assert content.count(name.encode()) == 2  # epochs
    assert content.count(b"/sr") == 4  # 2 validation images in 2 epochs


def test_generators_are_taken_by_evaluate_and_demo(whole, run_main, dataset, tmp_path):
    models = whole / "models"
    code, out, _ = run_main(evaluate, "-d", dataset, "-s", 4, "-i", models, "-o", tmp_path / "eval.json")
    assert code == 0
    assert "generator-epoch-002.keras" in out
    save_photo(tmp_path / "in" / "a.png", make_photo(6, 7))
    assert run_main(demo, "-i", tmp_path / "in", "-o", tmp_path / "out",
                    "-m", models / "generator-epoch-002.keras")[0] == 0
    assert (tmp_path / "out" / "a-sr.png").exists()


@pytest.mark.slow
def test_a_killed_run_is_resumed_exactly(dataset, tmp_path, vgg_file):
    killed, expected = tmp_path / "killed", tmp_path / "expected"
    done = subprocess.run(command(dataset, expected, vgg_file), cwd=ROOT, check=True, capture_output=True, text=True)
    assert f"VGG54 distance = {float(losses(only_run(expected))[-1]['val_vgg54']):.4f}" in done.stdout
    process = start(command(dataset, killed, vgg_file))
    wait_for(lambda: list(killed.glob("*/losses.csv")), process)
    process.kill()
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    subprocess.run([sys.executable, "train_gan.py", "--resume", only_run(killed)], cwd=ROOT, check=True,
                   capture_output=True)
    assert_same_outcome(only_run(killed), only_run(expected), "losses.csv")


def skip_steps(monkeypatch, **figures):
    """Lets steps return these figures, 0.3 for the others, and do nothing."""
    names = GeneratorStep.FIGURES + DiscriminatorStep.FIGURES
    monkeypatch.setattr(GANTraining, "step", lambda *_: dict.fromkeys(names, 0.3) | figures)


@pytest.mark.slow
@once
def test_a_run_starts_with_the_pretrained_generator(train_tiny, tmp_path, monkeypatch):
    skip_steps(monkeypatch)
    pretrained = sr_resnet(4, 4, 1)
    weights.save(pretrained, tmp_path / "pretrained.keras")
    (_, out, _), run = train_tiny("--pretrained-model", tmp_path / "pretrained.keras", "--epochs", 1)
    assert "copied the weights of" in out
    assert "not copied" not in out
    trained = weights.load(run / "models" / "generator-epoch-001.keras")
    for ours, theirs in zip(trained.trainable_variables, pretrained.trainable_variables, strict=True):
        assert to_numpy(ours) == pytest.approx(to_numpy(theirs), abs=1e-6)


@pytest.mark.parametrize("argv", [
    pytest.param(["--generator", "edsr-gen", "--scale", 2, "--content-loss", "vgg22"], marks=[once, pytest.mark.slow]),
    pytest.param(["--generator", "edsr-gen", "--scale", 3, "--hr-patch-size", 48], marks=[once, pytest.mark.slow]),
    pytest.param(["--precision", "bfloat16", "--iterations-per-epoch", 1], marks=pytest.mark.slow)])
def test_every_scale_content_loss_and_precision_trains(train_on_vgg, argv):
    (code, out, err), run = train_on_vgg("--epochs", 1, *argv)
    assert code == 0, err
    assert f"VGG54 distance = {float(losses(run)[-1]['val_vgg54']):.4f}" in out
    (path,) = (run / "models").glob("*.keras")
    assert {variable.dtype for variable in weights.load(path).variables} == {"float32"}


@pytest.mark.parametrize(("argv", "message"), [
    (["--generator", "sr-resnet", "--scale", "2"], "scale 2 is not supported by sr-resnet: choose 4"),
    (["--scale", "3", "--hr-patch-size", "64"], "--hr-patch-size 64 is not allowed: give a multiple of 16 and of the"),
    (["--hr-patch-size", "40"], "--hr-patch-size 40 is not allowed"),
    (["--label-noise", "0.6"], "at most 0.5")])
def test_a_wrong_option_is_named(argv, message, capsys):
    with pytest.raises(SystemExit):
        train_gan.parse_args(argv)
    assert message in capsys.readouterr().err


def test_labels_follow_from_the_step_and_never_exceed_1():
    class Recorder:
        def __init__(self, figures):
            self.figures, self.targets = figures, []

        def train_on_batch(self, _, target, return_dict):
            self.targets.append(target)
            return dict.fromkeys(self.figures, 0.0)

    def labels_of(seed, number):
        training = GANTraining.__new__(GANTraining)
        training.devices = Devices()
        recorders = Recorder(GeneratorStep.FIGURES), Recorder(DiscriminatorStep.FIGURES)
        training.generator_step, training.discriminator_step = recorders
        training.label_noise, training.seed = 0.3, seed
        training.step(*batch(50), number)
        return recorders[1].targets[0]["real"], recorders[1].targets[0]["fake"]

    real, fake = labels_of(0, 7)
    assert real.min() >= 0.7
    assert 0.95 < real.max() <= 1
    assert fake.min() >= 0
    assert 0.25 < fake.max() <= 0.3
    assert np.array_equal(labels_of(0, 7), (real, fake))
    assert not np.array_equal(labels_of(0, 8), (real, fake))
    assert not np.array_equal(labels_of(1, 7), (real, fake))


@pytest.mark.slow
@once
def test_a_discriminator_that_has_won_is_warned_of(train_tiny, monkeypatch):
    skip_steps(monkeypatch, discriminator_loss_real=0.004, discriminator_loss_fake=0.004)
    (_, _, err), _ = train_tiny("--epochs", 1)
    assert "warning: the discriminator has won (its loss is 0.0080)" in err
    assert "try a lower --discriminator-learning-rate or more --label-noise" in err
    skip_steps(monkeypatch)
    assert "warning: the discriminator" not in train_tiny("--epochs", 1)[0][2]
    assert label_entropy(0.0) == pytest.approx(0)
    assert label_entropy(0.5) == pytest.approx(0.5, abs=0.01)  # of the numbers to the entropy's integral


def test_a_loss_that_is_not_finite_is_named_with_its_step(train_tiny, monkeypatch):
    skip_steps(monkeypatch, content_loss=float("nan"))
    result, _ = train_tiny("--generator-learning-rate", 0.5)
    assert_one_line_error(result, "the loss is nan at step 1 of epoch 1, with learning rate 0.5", "no checkpoint yet",
                          "a lower --generator-learning-rate or --discriminator-learning-rate may help")


@pytest.mark.slow
def test_a_loss_that_is_not_finite_ends_the_run(train_tiny):
    result, _ = train_tiny("--generator-learning-rate", 1e30, "--iterations-per-epoch", 20)
    assert_one_line_error(result, "the loss is", "of epoch 1, with learning rate 1e+30",
                          "a lower --generator-learning-rate or --discriminator-learning-rate may help")


@pytest.mark.slow
def test_a_run_stopped_by_a_signal_is_resumed_exactly(train_tiny, whole, run_main, monkeypatch):
    original, steps = GANTraining.step, []

    def step(self, *batch):
        steps.append(batch)
        if len(steps) == 5:
            os.kill(os.getpid(), signal.SIGTERM)
        return original(self, *batch)

    monkeypatch.setattr(GANTraining, "step", step)
    (code, out, _), run = train_tiny()
    assert code == 143
    assert f"stopped after step 2 of epoch 2; go on with\n    python train_gan.py --resume {run}" in out
    assert run_main(train_gan, "--resume", run)[0] == 0
    assert_same_outcome(run, whole, "losses.csv")


@pytest.mark.slow
def test_a_run_whose_array_is_replaced_saves_its_state_and_is_resumed_exactly(dataset, train_tiny, whole, run_main,
                                                                              monkeypatch, tmp_path):
    copy = shutil.copytree(dataset, tmp_path / "copy")  # with the times
    arrays, sample = sorted(copy.glob("DIV2K_train_HR/*.npy")), PatchStream._sample

    def replaced_in_batch_4(stream, number, *patches):
        if number == 8:
            for path in arrays:
                os.utime(path)
        return sample(stream, number, *patches)

    monkeypatch.setattr(PatchStream, "_sample", replaced_in_batch_4)
    result, run = train_tiny("--dataset", copy, "--num-workers", 1)
    monkeypatch.undo()
    assert_one_line_error(result, arrays[0].parent, ".npy: was replaced or changed since it was found", run,
                          "the state after step 1 of epoch 2 is saved")
    for path in arrays:
        shutil.copystat(dataset / path.relative_to(copy), path)
    use_small_features(monkeypatch)
    assert run_main(train_gan, "--resume", run)[0] == 0
    assert_same_outcome(run, whole, "losses.csv")


@pytest.mark.slow
def test_the_moving_average_of_the_generator_is_saved_and_the_best_model_named(train_tiny):
    (_, out, _), run = train_tiny("--ema", 0.5, "--log-steps", 2, "--keep-last", 1)
    distances = {int(row["epoch"]): float(row["val_vgg54"]) for row in losses(run)}
    best = run / "models" / f"generator-epoch-{min(distances, key=distances.get):03d}.keras"
    assert f"best model by VGG54 distance: {best}\n" in out
    assert sorted((run / "models").iterdir()) == sorted({best, run / "models" / "generator-epoch-002.keras"})
    arrays, _ = read_state(Workspace(run).state_path)
    averages = [array for name, array in sorted(arrays.items())
                if name.startswith("generator_optimizer/") and name.endswith("average")]
    saved = weights.load(run / "models" / "generator-epoch-002.keras").trainable_variables
    trained = [array for name, array in sorted(arrays.items())
               if name.startswith("generator/") and "moving" not in name and "seed" not in name]
    assert len(saved) == len(averages) == len(trained)
    assert all(np.array_equal(to_numpy(variable), average) for variable, average in zip(saved, averages, strict=True))
    assert not any(np.array_equal(*arrays) for arrays in zip(averages, trained, strict=True))
    assert (run / "history-steps.csv").read_text().splitlines()[3].startswith("6,2,")


# -- VGG weights

def test_features_have_the_weights_of_a_file(vgg_file):
    (vgg,) = (layer for layer in load_features("vgg54", vgg_file).layers if isinstance(layer, keras.Model))
    with h5py.File(vgg_file) as file:
        for layer in vgg.layers[1:]:
            for letter, weight in zip("Wb", layer.weights, strict=False):
                saved = file[layer.name][f"{layer.name}_{letter}_1:0"][()]
                assert np.array_equal(saved.astype("float32"), to_numpy(weight))


@once
@pytest.mark.parametrize(("make", "cause"), [
    (None, "is no HDF5 file"),
    (lambda path: path.write_text("weights"), "is no HDF5 file"),
    pytest.param(lambda path: h5py.File(path, "w").close(), "is no Keras 2 file", marks=pytest.mark.slow),
    (lambda path: path.write_bytes((ROOT / "tests" / "fixtures" / "keras2-edsr.h5").read_bytes()),
     "is no file of VGG19 weights: block1_conv1 has nothing")])
def test_a_bad_file_of_vgg_weights_is_named(train_on_vgg, tmp_path, make, cause):
    path = tmp_path / "bad.h5"
    if make:
        make(path)
    assert_one_line_error(train_on_vgg("--vgg-weights", path)[0], path, cause)


@contextlib.contextmanager
def server(folder):
    """Serves a folder on this machine; yields its address."""
    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    handler = functools.partial(Handler, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as httpd:
        threading.Thread(target=httpd.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{httpd.server_address[1]}"
        finally:
            httpd.shutdown()


@once
@pytest.mark.slow
def test_imagenet_weights_are_downloaded_by_keras(train_on_vgg, vgg_file, monkeypatch):
    _, expected = train_on_vgg("--epochs", 1)
    with server(vgg_file.parent) as address:
        monkeypatch.setattr("keras.src.applications.vgg19.WEIGHTS_PATH_NO_TOP", f"{address}/{vgg_file.name}")
        monkeypatch.setattr("keras.src.utils.file_utils.validate_file", lambda *_, **__: True)  # other than ImageNet's
        _, run = train_on_vgg("--epochs", 1, "--vgg-weights", "imagenet")
    assert losses(run) == losses(expected)


@pytest.mark.slow
@once
def test_weights_that_cannot_be_downloaded_are_explained(train_on_vgg, tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setattr("keras.src.backend.config._KERAS_DIR", str(tmp_path), raising=False)
    with server(tmp_path) as address:
        for url in (f"{address}/gone.h5", "http://127.0.0.1:1/refused.h5"):
            monkeypatch.setattr("keras.src.applications.vgg19.WEIGHTS_PATH_NO_TOP", url)
            assert_one_line_error(train_on_vgg("--vgg-weights", "imagenet")[0], "cannot be downloaded", url,
                                  "https://storage.googleapis.com/", "--vgg-weights")
