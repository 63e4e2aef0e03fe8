import argparse
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from command_line import args_lines, id_range, number, run
from errors import UserError
from files import write_text
from tests.conftest import ROOT
from tests.processes import Started

SCRIPTS = ["convert", "demo", "evaluate", "train", "train_gan"]


@pytest.mark.parametrize("script", SCRIPTS)
def test_building_a_parser_loads_neither_keras_nor_numpy(script):
    code = (f"import sys, {script}; {script}.parser().format_help(); "
            "print({'keras', 'numpy', 'tensorflow', 'PIL'} & set(sys.modules))")
    output = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert output.stdout.strip() == "set()"


@pytest.mark.parametrize("script", SCRIPTS)
def test_help_shows_a_command_and_exits_with_0(script):
    output = subprocess.run([sys.executable, f"{script}.py", "-h"], cwd=ROOT, capture_output=True, text=True)
    assert output.returncode == 0
    assert f"python {script}.py" in output.stdout


def test_an_image_range_holds_both_ends():
    assert list(id_range("801-803")) == [801, 802, 803]
    assert list(id_range("7")) == [7]


@pytest.mark.parametrize("text", ["a-b", "5-", "9-3", "-4", "1,2", "1-100000000000", "99999999999999999999"])
def test_a_wrong_image_range_is_named(text):
    with pytest.raises(argparse.ArgumentTypeError, match=text):
        id_range(text)


@pytest.mark.parametrize(("parse", "text", "allowed"), [
    (number(int, 1), "0", "at least 1"),
    (number(int, 1, 100), "101", "at most 100"),
    (number(int, 1), "1.5", "a whole number"),
    (number(float, 0, exclusive=True), "0", "above 0"),
    (number(float, 0, 1), "nan", "at least 0"),
    (number(float, 0), "inf", "at least 0"),
    (number(int, 0), "12345678901234567890", "at most 2147483647"),
    (number(int, 0, 2**32 - 1), "4294967296", "at most 4294967295"),
])
def test_a_wrong_number_is_named_with_what_is_allowed(parse, text, allowed):
    with pytest.raises(argparse.ArgumentTypeError, match=f"{text} is not allowed.*{allowed}"):
        parse(text)


@pytest.mark.parametrize("argv", [["--profile", "wdsr-c-8"], ["--scale", "5"], ["--model", "srcnn"]])
def test_an_unknown_choice_is_named(argv, capsys):
    import train

    with pytest.raises(SystemExit) as error:
        train.parse_args(argv)
    message = capsys.readouterr().err
    assert error.value.code == 2
    assert argv[1] in message
    assert "choose from" in message


def test_debug_shows_the_traceback_of_an_error(run_main, tmp_path):
    import demo

    code, _, err = run_main(demo, "-i", tmp_path / "nowhere", "--debug")
    assert code == 1
    assert "Traceback" in err
    assert "nowhere: there is no such folder" in err


STOPPED = """
import signal, sys, time
from types import SimpleNamespace
from command_line import run

def main(args):
    try:
        if sys.argv[1] == "swallowed":
            try:
                print("ready", flush=True)
                time.sleep(30)
            except KeyboardInterrupt:
                raise ImportError("an error that a library makes of it")
        print("ready", flush=True)
        time.sleep(30)
    finally:
        time.sleep(0.5)
        print("cleaned up", flush=True)

code = run(main, SimpleNamespace(debug=False))
time.sleep(0.3)
sys.exit(code)
"""


def stopped(tmp_path, number, times, how="raised"):
    """Returns exit code and output of a script that got a signal so many times."""
    (tmp_path / "script.py").write_text(STOPPED)
    started = Started(tmp_path / "script.py", how, PYTHONPATH=".")
    assert started.process.stdout.readline() == "ready\n"
    started.signal_group(number, times)
    return started.end(seconds=60)


@pytest.mark.parametrize("times", [1, pytest.param(2, marks=pytest.mark.slow), 8])
@pytest.mark.parametrize(("number", "code", "text"), [
    (signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "terminated"),
    (signal.SIGHUP, 129, "the terminal was closed")])
def test_a_signal_unwinds_once_however_often_it_comes(tmp_path, number, times, code, text):
    assert stopped(tmp_path, number, times) == (code, f"cleaned up\nscript.py: {text}\n")


def test_a_signal_that_a_library_makes_an_error_of_is_still_the_cause(tmp_path):
    assert stopped(tmp_path, signal.SIGTERM, 1, "swallowed") == (143, "cleaned up\nscript.py: terminated\n")


def test_a_script_that_does_not_stop_in_time_is_ended_by_the_next_signal(tmp_path):
    hanging = STOPPED.replace("time.sleep(0.5)", "command_line.running.STOP_SECONDS = 0; time.sleep(60)")
    (tmp_path / "script.py").write_text(f"import command_line{hanging}")
    started = Started(tmp_path / "script.py", "raised", PYTHONPATH=".")
    assert started.process.stdout.readline() == "ready\n"
    started.signal_group(signal.SIGTERM, 3)
    assert started.end(seconds=60) == (143, "")


def test_a_signal_that_is_ignored_from_the_start_stays_so():
    code = ("import signal, os; from types import SimpleNamespace; from command_line import run; "
            "signal.signal(signal.SIGHUP, signal.SIG_IGN); "
            "run(lambda args: os.kill(os.getpid(), signal.SIGHUP), SimpleNamespace(debug=False)); print('went on')")
    assert Started("-c", code).end() == (0, "went on\n")


def test_handlers_are_as_before_after_a_script():
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]
    assert run(lambda args: 0, argparse.Namespace(debug=False)) == 0
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)] == before


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_any_name_can_be_shown(encoding):
    code = ("from types import SimpleNamespace; from command_line import run; from errors import UserError\n"
            r"def main(args):" "\n"
            r"    print('a\udcff\u4e2d')" "\n"
            r"    raise UserError('b\udcff\n\x1b')" "\n"
            "run(main, SimpleNamespace(debug=False))")
    code, out = Started("-c", code, PYTHONIOENCODING=encoding).end()
    assert (code, "Traceback" in out) == (0, False)
    assert r"a\udcff" in out
    assert r"error: b\udcff\n\x1b" in out


def write_args(folder, content):
    (folder / "args.txt").write_bytes(content)
    return folder


@pytest.mark.parametrize(("content", "cause"), [
    (b"", "it is empty"), (b"\xff\x00\xfe", "is no option"), (b"--help\n", "is no option"), (b"-h\n", "is no option"),
    (b"train.py --epochs 5\n", "is no option"), (b"--epochs=many\n", "--epochs: many is not allowed"),
    (b"--epochs\n", "--epochs: expected one argument"), (b"--model=\xff\n", "--model: invalid choice"),
    (b"--epochs=5\nnotes\n", "'notes' is no option"), (b"--epochs=" + b"9" * 5000, "--epochs: ")])
@pytest.mark.parametrize("script", ["train", "train_gan"])
def test_a_damaged_args_txt_is_named(tmp_path, capsys, content, cause, script):
    if script == "train_gan" and b"--model" in content:
        return
    with pytest.raises(SystemExit) as error:
        __import__(script).parse_args(["--resume", str(write_args(tmp_path, content))])
    message = capsys.readouterr().err.splitlines()[-1]
    assert error.value.code == 2
    assert f"error: {tmp_path / 'args.txt'}: is damaged or not of this script: " in message
    assert cause in message


def test_a_pipe_in_place_of_args_txt_is_not_opened(tmp_path, capsys):
    import train

    os.mkfifo(tmp_path / "args.txt")
    with pytest.raises(SystemExit):
        train.parse_args(["--resume", str(tmp_path)])
    assert f"{tmp_path / 'args.txt'}: is no regular file" in capsys.readouterr().err


@pytest.mark.parametrize("name", [os.fsdecode(b"\xff\xe9"), "a\x85b\u2028c\x0cd", " a=b # c"])
def test_args_txt_keeps_every_name(tmp_path, name):
    import train

    args = train.parse_args(["--dataset", name])
    write_text(tmp_path / "args.txt", "".join(f"{line}\n" for line in args_lines(train.parser(), args)))
    assert train.parse_args(["--resume", str(tmp_path)]).dataset == Path.cwd() / name


def test_args_txt_keeps_paths_that_work_from_another_folder(tmp_path, monkeypatch):
    import train_gan

    args = train_gan.parse_args(["-d", "bin", "--vgg-weights", "vgg.h5", "--pretrained-model", "a.keras"])
    lines = args_lines(train_gan.parser(), args)
    assert {f"--dataset={Path.cwd() / 'bin'}", f"--vgg-weights={Path.cwd() / 'vgg.h5'}",
            f"--pretrained-model={Path.cwd() / 'a.keras'}"} < set(lines)
    lines = args_lines(train_gan.parser(), train_gan.parse_args(["--pretrained-model", "wdsr-b-8-x4"]))
    assert {"--pretrained-model=wdsr-b-8-x4", "--vgg-weights=imagenet"} < set(lines)


@pytest.mark.parametrize(("script", "argv"), [
    ("train", ["--ephocs", "3"]), ("train_gan", ["--learning-rate", "1"]), ("demo", ["--modle", "a.keras"]),
    ("evaluate", ["-i", "models", "--benchmark"]), ("convert", ["numpi", "-i", "a", "-o", "b"])])
def test_a_mistyped_option_is_one_line_that_points_to_the_help(script, argv, capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", [f"{script}.py"])
    module = __import__(script)
    with pytest.raises(SystemExit) as error:
        module.parse_args(argv) if hasattr(module, "parse_args") else module.parser().parse_args(argv)
    (line,) = capsys.readouterr().err.splitlines()
    assert error.value.code == 2
    assert re.match(rf"{script}.py: error: .*{argv[-2] if script != 'convert' else argv[0]}", line) or argv[-1] in line
    assert line.endswith(f"(python {script}.py -h shows what there is)")


def test_a_line_break_in_a_name_is_refused_by_args_txt():
    import train

    with pytest.raises(UserError, match="cannot hold a line break"):
        args_lines(train.parser(), train.parse_args(["--dataset", "a\nb"]))


def test_one_filter_is_too_few_for_wdsr_b(capsys):
    import train

    with pytest.raises(SystemExit):
        train.parse_args(["--profile", "wdsr-b-8", "--num-filters", "1"])
    assert "--num-filters 1 is not allowed for wdsr-b" in capsys.readouterr().err
    assert train.parse_args(["--profile", "wdsr-a-8", "--num-filters", "1"]).num_filters == 1
