"""What `pip install .` brings: five commands and one package, with the shipped models."""

import ast
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import venv
from pathlib import Path

import pytest

import setup
from tests.conftest import ROOT, make_photo, save_photo

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
SETUPTOOLS = PROJECT["tool"]["setuptools"]
SCRIPTS = {"train", "train_gan", "evaluate", "convert", "demo"}
NOT_INSTALLED = {"tests", "benchmarks", "build"}
ROOMS = {path.parent.name for path in ROOT.glob("*/__init__.py")} - NOT_INSTALLED
MODULES = {path.stem for path in ROOT.glob("*.py")} - {"setup"}
FILES = [*(ROOT / f"{name}.py" for name in MODULES), *(path for room in ROOMS for path in (ROOT / room).glob("*.py"))]


def test_every_room_and_every_module_is_in_the_wheel():
    packages = {f"{setup.PACKAGE}.{room}": room for room in ROOMS - {setup.PACKAGE}} | {setup.PACKAGE: setup.PACKAGE}
    assert SETUPTOOLS["package-dir"] == packages
    assert set(SETUPTOOLS["packages"]) == set(packages)
    assert set(SETUPTOOLS["py-modules"]) == MODULES


def test_every_file_beside_the_modules_is_in_the_wheel():
    for room in ROOMS:
        package = setup.PACKAGE if room == setup.PACKAGE else f"{setup.PACKAGE}.{room}"
        patterns = SETUPTOOLS["package-data"].get(package, [])
        files = {path for path in (ROOT / room).rglob("*") if path.is_file() and path.suffix not in (".py", ".pyc")}
        assert files == {path for pattern in patterns for path in (ROOT / room).glob(pattern)}, room


def test_the_parts_of_the_package_have_names_of_their_own():
    own = {path.stem for path in (ROOT / setup.PACKAGE).glob("*.py")}
    assert not own & (ROOMS | MODULES)


def test_each_script_is_a_command():
    assert PROJECT["project"]["scripts"] == {
        f"sr-{script.replace('_', '-')}": f"{setup.PACKAGE}.{script}:command" for script in SCRIPTS}
    for script in SCRIPTS:
        assert "def command():" in (ROOT / f"{script}.py").read_text(encoding="utf-8")


def test_what_is_installed_are_the_packages_of_the_requirements():
    lines = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    names = [line.removeprefix("-r ") for line in lines if not line.startswith("#")]
    assert SETUPTOOLS["dynamic"]["dependencies"] == {"file": names}


@pytest.mark.parametrize(("before", "after"), [
    ("import weights\n", "from super_resolution import weights\n"),
    ("    import weights as w  # why\n", "    from super_resolution import weights as w  # why\n"),
    ("from model import (\n    edsr,\n)\n", "from super_resolution.model import (\n    edsr,\n)\n"),
    ("from model.edsr import edsr\n", "from super_resolution.model.edsr import edsr\n"),
    ("import modelling, keras\n", "import modelling, keras\n"),
    ('"""from model import edsr"""\n', '"""from model import edsr"""\n'),
])
def test_imports_of_rooms_become_imports_from_the_package(before, after):
    source = f"if True:\n{before}" if before.startswith(" ") else before
    assert setup.within_package(source, {"model", "weights"}) == source.replace(before, after)


@pytest.mark.parametrize("source", ["import weights.hub\n", "import model, weights\n"])
def test_an_import_that_has_no_form_in_the_package_is_refused(source):
    with pytest.raises(ValueError, match="line 1"):
        setup.within_package(source, {"model", "weights"})


def test_no_module_of_the_package_imports_a_room_by_its_bare_name():
    rooms = (ROOMS | MODULES) - {setup.PACKAGE}
    for path in FILES:
        for node in ast.walk(ast.parse(setup.within_package(path.read_text(encoding="utf-8"), rooms))):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [node.module]
            elif isinstance(node, ast.Constant) and re.fullmatch(r"[\w.]+:\w+", str(node.value)):  # for `resolve_name`
                names = [node.value.split(":")[0]]
            assert not {name.split(".")[0] for name in names} & rooms, (path, names)


def test_help_and_the_interface_load_no_keras_before_it_is_asked_for():
    code = "import sys, super_resolution, demo; demo.parser(); assert 'keras' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """An environment outside the tree with the wheel, which takes the packages that it needs from this one."""
    folder = tmp_path_factory.mktemp("installed")
    shutil.copytree(ROOT, folder / "tree", ignore=shutil.ignore_patterns(".*", "build", "docs", "tests", "*.egg-info"))
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "wheel", "--no-deps", "-w", folder / "wheels", folder / "tree"], check=True)
    shutil.rmtree(folder / "tree")
    venv.create(folder / "venv", symlinks=True)
    python = folder / "venv" / "bin" / "python"
    site = Path(subprocess.run([python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"], check=True,
                               stdout=subprocess.PIPE, text=True).stdout.strip())
    (site / "needed.pth").write_text(f"{sysconfig.get_path('purelib')}\n", encoding="utf-8")
    subprocess.run([*pip, "--python", python, "install", "--no-deps", *(folder / "wheels").glob("*.whl")], check=True)
    return site, python


@pytest.fixture
def outside(installed, tmp_path):
    """A function that runs a command of the environment in a folder with modules that are called like our rooms."""
    _, python = installed
    for name in ("model", "files", "datasets", "weights"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('a module of the user')\n", encoding="utf-8")
    env = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"} | {"TF_CPP_MIN_LOG_LEVEL": "3"}

    def run(*words):
        return subprocess.run([python.parent / words[0], *words[1:]], cwd=tmp_path, env=env, capture_output=True,
                              text=True, check=False)

    return run


@pytest.mark.slow
def test_the_wheel_is_one_package(installed):
    site, _ = installed
    ours = {path.name for path in site.iterdir() if path.suffix != ".pth"}
    assert {name for name in ours if not name.endswith(".dist-info")} == {setup.PACKAGE}


@pytest.mark.slow
def test_every_command_says_what_it_does_without_the_tree(outside):
    for script in sorted(SCRIPTS):
        name = f"sr-{script.replace('_', '-')}"
        result = outside(name, "-h")
        assert result.returncode == 0, result.stderr
        assert result.stdout.startswith(f"usage: {name} ")
    assert "(sr-demo -h shows what there is)" in outside("sr-demo", "--nothing").stderr


@pytest.mark.slow
def test_a_photo_is_enlarged_without_the_tree(outside, tmp_path):
    result = outside("sr-demo", "-i", ROOT / "demo" / "nuthatch.jpg", "-o", "out.png", "--compare")
    assert result.returncode == 0, result.stdout + result.stderr
    assert (tmp_path / "out.png").is_file()
    assert (tmp_path / "index.html").is_file()


@pytest.mark.slow
def test_the_interface_takes_shipped_models_without_the_tree(outside):
    code = ("import numpy as np\nfrom super_resolution import SuperResolver, load\n"
            "sr = load('wdsr-b-8-x2').enlarge(np.zeros((9, 7, 3), np.uint8))\nassert sr.shape == (18, 14, 3)")
    result = outside("python", "-P", "-c", code)
    assert result.returncode == 0, result.stderr


@pytest.mark.slow
def test_a_data_set_is_made_and_trained_on_without_the_tree(outside, tmp_path):
    for i in range(4):
        save_photo(tmp_path / "photos" / f"{i}.png", make_photo(96, 96, seed=i))
    commands = [
        "sr-convert dataset -i photos -o BIN --scales 2 --validation-fraction 0.3",
        "sr-train --dataset BIN --profile wdsr-b-8 --scale 2 --num-res-blocks 1 --epochs 1 --iterations-per-epoch 1 "
        "--batch-size 1 --patch-size 16 --validation-steps 1",
        "sr-evaluate --images photos -i output"]
    for command in commands:
        result = outside(*command.split())
        assert result.returncode == 0, command + result.stdout + result.stderr
        if command.startswith("sr-train "):
            assert "\n    sr-demo -i ./photos -m " in result.stdout
    assert "Best PSNR = " in result.stdout
