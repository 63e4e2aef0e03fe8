import argparse
import subprocess
import sys

import pytest

from command_line import id_range, number
from tests.conftest import ROOT

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
