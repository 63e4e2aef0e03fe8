"""The house rules that a reader relies on."""

import ast
import re
import sys

from tests.conftest import ROOT

SCRIPTS = {"train", "train_gan", "evaluate", "convert", "demo"}
GROUND = {"errors", "choices", "files"}
MAY_IMPORT = {  # of the rooms; the scripts may import all of them
    "errors": set(), "choices": set(), "files": {"errors"},
    "command_line": GROUND | {"data", "datasets", "training"},  # which the scripts that train share: in functions only
    "model": set(), "optimizer": set(),
    "imaging": GROUND,
    "datasets": GROUND | {"imaging"},
    "pretrained": GROUND,
    "sharing": GROUND,
    "weights": GROUND | {"model"},
    "data": GROUND | {"datasets"},
    "super_resolution": GROUND | {"imaging", "weights", "model", "pretrained"},
    "evaluation": GROUND | {"model", "imaging", "datasets", "weights", "super_resolution"},
    "comparison": GROUND | {"imaging", "datasets", "evaluation"},
    "training": GROUND | {"model", "optimizer", "imaging", "datasets", "data", "weights", "super_resolution",
                          "evaluation"},
}


def imports(path):
    """Returns the first parts of the modules that a file imports, with `model.x` kept whole."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names


def modules():
    return [path for pattern in ("*.py", "*/*.py") for path in ROOT.glob(pattern)
            if path.parent.name not in ("tests", "benchmarks") and not path.parent.name.startswith(".")
            and path.name != "setup.py"]


def test_no_file_imports_a_script():
    for path in modules():
        assert not imports(path) & SCRIPTS, path


def test_the_scripts_alone_import_the_command_line():
    for path in modules():
        if rooms_of(path)[0] != "command_line":
            takes_it = "command_line" in {name.split(".")[0] for name in imports(path)}
            assert takes_it == (path.parent == ROOT and path.stem in SCRIPTS), path


def test_the_command_line_ends_in_the_scripts():
    """No function of a library takes `args`."""
    for path in modules():
        if rooms_of(path)[0] in SCRIPTS | {"command_line"}:
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef):
                taken = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
                assert "args" not in {argument.arg for argument in taken}, (path, node.name)


def test_training_names_no_option():
    for path in (ROOT / "data.py", *(ROOT / "training").glob("*.py"), ROOT / "datasets" / "patches.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                assert not re.search(r"--[a-z]", node.value), (path, node.value)


def test_no_test_imports_another_test_file():
    for path in (ROOT / "tests").glob("*.py"):
        assert not {name for name in imports(path) if name.endswith("_test")}, path


def rooms_of(path):
    """Returns the room of a file, and those of the project's rooms that it imports."""
    room = path.stem if path.parent == ROOT else path.parent.name
    return room, {name.split(".")[0] for name in imports(path)} & set(MAY_IMPORT) - {room}


def test_the_command_line_loads_nothing_but_the_ground_floor_with_it():
    for path in (ROOT / "command_line").glob("*.py"):
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.ImportFrom):
                assert node.module.split(".")[0] not in set(MAY_IMPORT) - GROUND - {"command_line"}, path


def test_every_room_is_on_the_plan():
    assert {rooms_of(path)[0] for path in modules()} == set(MAY_IMPORT) | SCRIPTS


def test_no_room_imports_one_above_it():
    for path in modules():
        room, imported = rooms_of(path)
        if room not in SCRIPTS:
            assert imported <= MAY_IMPORT[room], path


def test_the_ground_floor_imports_the_standard_library_and_itself():
    for name in GROUND:
        top = {imported.split(".")[0] for imported in imports(ROOT / f"{name}.py")}
        assert top - GROUND <= set(sys.stdlib_module_names), name


def test_model_and_optimizer_import_keras_alone():
    for package in ("model", "optimizer"):
        for path in (ROOT / package).glob("*.py"):
            top = {name.split(".")[0] for name in imports(path)} - {package}
            assert top <= {"keras", "numpy"} | set(sys.stdlib_module_names), path


def test_benchmarks_use_nothing_private():
    for path in (ROOT / "benchmarks").glob("*.py"):
        names = {node.attr for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Attribute)}
        assert not {name for name in names if name.startswith("_") and not name.startswith("__")}, path
        assert not imports(path) & {"evaluate"}, path


def test_there_is_no_circle_of_imports():
    names = {path: ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
             for path in modules()}
    graph = {names[path]: imports(path) & set(names.values()) - {names[path]} for path in names}
    while graph:
        leaves = {name for name, needed in graph.items() if not needed & set(graph)}
        assert leaves, f"circle in {sorted(graph)}"
        graph = {name: needed for name, needed in graph.items() if name not in leaves}
