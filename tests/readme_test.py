import ast
import importlib
import re
import shlex

import pytest

from tests.conftest import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")
SCRIPTS = sorted([*ROOT.glob("*.py"), *(ROOT / "benchmarks").glob("*.py")])
PAGES = [README, *(path.read_text(encoding="utf-8") for path in sorted((ROOT / "docs").glob("*.md"))),
         *(ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) for path in SCRIPTS)]


def code_blocks(page):
    lines = "\n".join(line[4:] for line in page.splitlines() if line.startswith("    "))
    return re.sub(r"\\\n\s*", "", lines).splitlines()


def answers(page):
    """Returns the commands in the last column of tables."""
    return re.findall(r"\| `(python [^`]*)` \|$", page, re.MULTILINE)


COMMANDS = list(dict.fromkeys(line[line.index("python "):] for page in PAGES
                              for line in (*code_blocks(page), *answers(page))
                              if re.match(r"(KERAS_BACKEND=\w+ )?python ", line)))


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_of_the_readme_is_parsed(command):
    script, *argv = shlex.split(command)[1:]
    assert (ROOT / script).is_file()
    module = importlib.import_module(script.removesuffix(".py").replace("/", "."))
    if "--resume" in argv:  # its folder is not there: parse the words alone
        module.parser().parse_args(argv)
    else:
        getattr(module, "parse_args", lambda argv: module.parser().parse_args(argv))(argv)


def test_the_readme_shows_the_main_tasks():
    assert {shlex.split(command)[1] for command in COMMANDS} >= {"demo.py", "convert.py", "train.py", "evaluate.py"}


def test_every_command_among_the_answers_is_parsed():
    table = README.split("## What people ask")[1].split("\n## ")[0]
    assert len(answers(table)) == table.count("`python ") >= 30
    assert set(answers(table)) <= set(COMMANDS)


def test_every_file_at_the_top_is_in_the_map():
    for path in ROOT.glob("*.py"):
        assert f"`{path.name}`" in README


def test_every_profile_is_in_the_table():
    import train

    for profile in train.PROFILES:
        assert f"`{profile}`" in README
