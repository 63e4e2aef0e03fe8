"""The house rules that a reader relies on."""

import ast

from tests.conftest import ROOT

SCRIPTS = {"train", "evaluate", "convert", "demo"}


def imports(path):
    """Returns the first parts of the modules that a file imports, with `model.x` kept whole."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add(node.module)
    return names


def modules():
    return [path for pattern in ("*.py", "model/*.py", "optimizer/*.py") for path in ROOT.glob(pattern)]


def test_no_file_imports_a_script():
    for path in modules():
        assert not imports(path) & SCRIPTS, path


def test_model_and_optimizer_do_not_import_each_other():
    for package, other in (("model", "optimizer"), ("optimizer", "model")):
        for path in (ROOT / package).glob("*.py"):
            assert other not in {name.split(".")[0] for name in imports(path)}, path


def test_there_is_no_circle_of_imports():
    names = {path: ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
             for path in modules()}
    graph = {names[path]: imports(path) & set(names.values()) - {names[path]} for path in names}
    while graph:
        leaves = {name for name, needed in graph.items() if not needed & set(graph)}
        assert leaves, f"circle in {sorted(graph)}"
        graph = {name: needed for name, needed in graph.items() if name not in leaves}
