"""Builds the wheel: all rooms become parts of one package, `super_resolution`, and their imports are written anew.

As they are, the rooms would be installed as `model`, `data`, `datasets`, `files` ... side by side: they would overwrite
other projects' packages of these names, and a user's own `model.py` would hide ours. Only what the wheel holds is
changed, never a file of the tree. What belongs to the wheel is listed in pyproject.toml.
"""

import ast
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

PACKAGE = "super_resolution"


def within_package(source, rooms):
    """Returns the text of a module with each import of a room as one from the package: `model` is its part `model`.

    Raises:
        ValueError: a room is imported in a way that has no such form.
    """
    lines = source.splitlines(keepends=True)
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and not node.level and node.module.split(".")[0] in rooms:
            _replace(lines, node, f"from {node.module}", f"from {PACKAGE}.{node.module}")
        elif isinstance(node, ast.Import) and any(alias.name.split(".")[0] in rooms for alias in node.names):
            if len(node.names) > 1 or "." in node.names[0].name:
                raise ValueError(f"line {node.lineno}: import one room at a time, by its own name: {ast.unparse(node)}")
            _replace(lines, node, "import", f"from {PACKAGE} import")
    return "".join(lines)


def _replace(lines, node, old, new):
    line = lines[node.lineno - 1]
    before, rest = line[:node.col_offset], line[node.col_offset:]
    if not rest.startswith(old):
        raise ValueError(f"line {node.lineno}: cannot be read: {line}")
    lines[node.lineno - 1] = before + new + rest.removeprefix(old)


class OnePackage(build_py):
    """Puts the modules at the root into the package, and writes the imports of all modules anew."""

    def finalize_options(self):
        super().finalize_options()
        if getattr(self, "editable_mode", False):
            raise SystemExit("an editable installation is not possible: the tree runs as it is, with python demo.py")
        parts = {name.split(".")[1] for name in self.packages if "." in name}
        self.rooms = {*parts, *self.py_modules}

    def find_modules(self):
        return [(PACKAGE, name, f"{name}.py") for name in self.py_modules]

    def build_module(self, module, module_file, package):
        result = super().build_module(module, module_file, package)
        target = Path(self.get_module_outfile(self.build_lib, package.split("."), module))
        target.write_text(within_package(target.read_text(encoding="utf-8"), self.rooms), encoding="utf-8")
        return result


if __name__ == "__main__":
    setup(cmdclass={"build_py": OnePackage})
