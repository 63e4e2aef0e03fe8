import os

import keras
import pytest

import train
from command_line import choose_tf32, prepare_backend, report_devices


@pytest.fixture
def nvidia_smi(tmp_path, monkeypatch):
    """Puts an nvidia-smi on the path that answers with one GPU."""
    script = tmp_path / "nvidia-smi"
    script.write_text("#!/bin/sh\necho NVIDIA T4\n")
    script.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


def test_the_devices_in_use_are_named(capsys):
    report_devices()
    assert capsys.readouterr().out == f"{keras.backend.backend()}: CPU\n"


def test_a_gpu_that_is_there_and_not_used_is_warned_of(nvidia_smi, capsys, monkeypatch):
    report_devices()
    assert "warning: NVIDIA T4 is there but" in capsys.readouterr().err
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")  # hidden on purpose
    report_devices()
    assert capsys.readouterr().err == ""


def test_training_lets_tensorflow_use_onednn_unless_the_user_says_otherwise(monkeypatch):
    monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", "0")
    prepare_backend(0.8, trains=True)
    assert os.environ["TF_ENABLE_ONEDNN_OPTS"] == "0"
    monkeypatch.delenv("TF_ENABLE_ONEDNN_OPTS")
    prepare_backend(0.8)
    assert "TF_ENABLE_ONEDNN_OPTS" not in os.environ
    prepare_backend(0.8, trains=True)
    assert os.environ["TF_ENABLE_ONEDNN_OPTS"] == "1"


def test_what_a_training_sets_does_not_reach_the_processes_of_other_tests(run_main, tmp_path, monkeypatch):
    monkeypatch.delenv("TF_ENABLE_ONEDNN_OPTS", raising=False)
    assert run_main(train, "-d", tmp_path / "none", "-o", tmp_path)[0] == 1
    assert "TF_ENABLE_ONEDNN_OPTS" not in os.environ


def is_tf32_allowed():
    """Asks the backend itself."""
    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        return tf.config.experimental.tensor_float_32_execution_enabled()
    if backend == "jax":
        import jax

        return jax.config.jax_default_matmul_precision != "float32"
    import torch

    return torch.backends.cuda.matmul.allow_tf32 and torch.backends.cudnn.allow_tf32


def test_float32_is_rounded_to_tf32_on_request_alone():
    choose_tf32(True)
    assert is_tf32_allowed()
    prepare_backend(0.8)
    assert not is_tf32_allowed()
    prepare_backend(0.8, tf32=True)
    assert is_tf32_allowed()
    choose_tf32(False)
    assert not is_tf32_allowed()
