"""The house rules that a reader relies on."""

import ast
import re
import sys

from tests.conftest import ROOT

SCRIPTS = {"train", "train_gan", "evaluate", "convert", "demo"}


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
            if path.parent.name not in ("tests", "benchmarks") and not path.parent.name.startswith(".")]


def test_no_file_imports_a_script():
    for path in modules():
        assert not imports(path) & SCRIPTS, path


def test_the_scripts_alone_import_the_command_line():
    for path in modules():
        assert ("command_line" in imports(path)) == (path.parent == ROOT and path.stem in SCRIPTS), path


def test_the_command_line_ends_in_the_scripts():
    """No function of a library takes `args`."""
    for path in modules():
        if path.parent == ROOT and path.stem in SCRIPTS | {"command_line"}:
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


def test_the_ground_floor_imports_the_standard_library_and_itself():
    ground = {"errors", "choices", "files"}
    for name in ground:
        top = {imported.split(".")[0] for imported in imports(ROOT / f"{name}.py")}
        assert top - ground <= set(sys.stdlib_module_names), name


def test_networks_and_optimizer_import_nothing_else_of_ours():
    ours = {path.stem if path.parent == ROOT else path.parent.name for path in modules()}
    for package in ("model", "optimizer"):
        for path in (ROOT / package).glob("*.py"):
            assert not {name.split(".")[0] for name in imports(path)} & (ours - {package}), path


def test_model_and_optimizer_do_not_import_each_other():
    for package, other in (("model", "optimizer"), ("optimizer", "model")):
        for path in (ROOT / package).glob("*.py"):
            assert other not in {name.split(".")[0] for name in imports(path)}, path


def test_packages_import_no_package_above_them():
    above = {"datasets": {"model", "optimizer", "training", "data", "super_resolution"},
             "imaging": {"model", "training", "datasets", "super_resolution"},
             "model": {"training", "datasets", "data", "weights", "super_resolution"},
             "weights": {"training", "datasets", "data", "optimizer", "imaging", "evaluation", "super_resolution"},
             "comparison": {"training", "datasets", "data", "optimizer", "weights", "super_resolution"},
             "optimizer": {"training", "datasets", "data", "super_resolution"},
             "pretrained": {"keras", "numpy", "model", "imaging", "weights", "super_resolution"},
             "super_resolution": {"training", "datasets", "data", "optimizer", "evaluation"}}
    for package, forbidden in above.items():
        for path in (ROOT / package).glob("*.py"):
            assert not {name.split(".")[0] for name in imports(path)} & forbidden, path


def test_there_is_no_circle_of_imports():
    names = {path: ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
             for path in modules()}
    graph = {names[path]: imports(path) & set(names.values()) - {names[path]} for path in names}
    while graph:
        leaves = {name for name, needed in graph.items() if not needed & set(graph)}
        assert leaves, f"circle in {sorted(graph)}"
        graph = {name: needed for name, needed in graph.items() if name not in leaves}
