"""The house rules, read from the syntax trees: imports point down, one door per package, and the heart touches nothing."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent / "promptreg"
MODULES = {
    ".".join(path.relative_to(ROOT.parent).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted(ROOT.rglob("*.py"))
}
LEVELS = (
    {"errors"},
    {"core"},
    {"hookspecs", "documents", "http", "signatures"},
    {"registry", "store", "weights", "datasets", "providers", "metrics", "reporters", "publishers"},
    {"plugins", "execute"},
    {"workflow"},
    {"cli", "pytest_plugin", "testing"},
)
DOORS = {
    "jinja2": {"promptreg.core.template", "promptreg.reporters.html"},
    "markupsafe": {"promptreg.core.template", "promptreg.reporters.html"},
    "jsonschema_rs": {"promptreg.core.schema"},
    "msgspec": {"promptreg.documents"},
    "yaml": {"promptreg.documents"},
    "urllib3": {"promptreg.http"},
    "xllamacpp": {"promptreg.providers.local"},
    "llm": {"promptreg.providers.llm_models"},
    "regex": {"promptreg.metrics.patterns"},
    "rapidfuzz": {"promptreg.metrics.levenshtein"},
    "sacrebleu": {"promptreg.metrics"},
    "platformdirs": {"promptreg.weights"},
    "git": {"promptreg.registry"},
    "pluggy": {"promptreg.hookspecs", "promptreg.plugins"},
    "click": {"promptreg.cli"},
    "pytest": {"promptreg.pytest_plugin"},
    "tabulate": {"promptreg.reporters.tables"},
}
WORLD = {
    "os",
    "io",
    "socket",
    "subprocess",
    "time",
    "datetime",
    "random",
    "secrets",
    "threading",
    "http",
    "urllib.request",
    "shutil",
    "tempfile",
    "sqlite3",
}
# threading.local holds a render's budget apart from other threads'; it reads nothing of the world. Resampling and simulating make a
# random.Random of their own out of a seed that they are given.
HEART_MAY = {
    ("promptreg.core.template", "threading"),
    ("promptreg.core.stats.resampling", "random"),
    ("promptreg.core.stats.power", "random"),
}
BROAD = {
    "promptreg.cli": "the error boundary",
    "promptreg.execute.workers": "the provider call",
    "promptreg.plugins": "a plugin's import and its hooks",
    "promptreg.core.grade": "the plugin call",
    "promptreg.pytest_plugin.batch": "what stopped the batch is raised on the thread that waits for it",
}


def imported(name: str, tree: ast.AST) -> Iterator[str]:
    """Absolute names of all imports of a module, those inside functions too, those under TYPE_CHECKING not."""
    package = name if MODULES[name].stem == "__init__" else name.rpartition(".")[0]
    for node in walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            source = ".".join([*above, *([node.module] if node.module else [])])
            for alias in node.names:
                full = f"{source}.{alias.name}"
                yield full if full in MODULES else source


def walk(tree: ast.AST) -> Iterator[ast.AST]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            continue
        yield node
        yield from walk(node)


TREES = {name: ast.parse(path.read_text("utf-8")) for name, path in MODULES.items()}
IMPORTS = {name: sorted(set(imported(name, tree))) for name, tree in TREES.items()}


def room(name: str) -> str:
    return name.split(".")[1] if "." in name else ""


def level(name: str) -> int | None:
    return next((number for number, rooms in enumerate(LEVELS) if room(name) in rooms), None)


@pytest.mark.parametrize("name", MODULES)
def test_imports_point_down_and_wings_do_not_know_each_other(name: str) -> None:
    for target in IMPORTS[name]:
        ours, theirs = level(name), level(target)
        if target.startswith("promptreg.") and None not in (ours, theirs) and room(name) != room(target):
            assert theirs < ours, f"{name} imports {target}"  # type: ignore[operator]


@pytest.mark.parametrize("name", MODULES)
def test_every_third_party_package_has_its_door(name: str) -> None:
    for target in IMPORTS[name]:
        top = target.partition(".")[0]
        if top == "promptreg" or top in sys.stdlib_module_names:
            continue
        assert top in DOORS, f"{name} imports {top}, which has no door"
        assert any(name == door or name.startswith(f"{door}.") for door in DOORS[top]), f"{top} is imported by {name}"


@pytest.mark.parametrize("name", [name for name in MODULES if name.startswith("promptreg.core")])
def test_the_heart_touches_nothing(name: str) -> None:
    for target in IMPORTS[name]:
        top = target.partition(".")[0]
        assert not {top, target} & WORLD or (name, top) in HEART_MAY, f"{name} imports {target}"
    called = {node.func.id for node in ast.walk(TREES[name]) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)}
    assert not called & {"open", "print", "input", "exec", "eval"}


@pytest.mark.parametrize("name", [name for name, may in sorted(HEART_MAY) if may == "random"])
def test_chance_in_the_heart_is_seeded(name: str) -> None:
    uses = [node for node in ast.walk(TREES[name]) if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "random"]
    assert {use.attr for use in uses} == {"Random"}
    made = [node for node in ast.walk(TREES[name]) if isinstance(node, ast.Call) and ast.unparse(node.func) == "random.Random"]
    assert made
    assert all(call.args for call in made)


@pytest.mark.parametrize("name", MODULES)
def test_no_import_cycle_starts_here(name: str) -> None:
    seen, todo = set(), [target for target in IMPORTS[name] if target in MODULES and target != "promptreg"]
    while todo:
        target = todo.pop()
        assert target != name, f"{name} is in an import cycle"
        if target not in seen:
            seen.add(target)
            todo.extend(other for other in IMPORTS[target] if other in MODULES and other != "promptreg")


def swallows_all(handler: ast.ExceptHandler) -> bool:
    """Whether it catches every exception and does not simply pass it on."""
    last = handler.body[-1]
    if isinstance(last, ast.Raise) and last.exc is None:
        return False
    names = {part.id for part in ast.walk(handler.type) if isinstance(part, ast.Name)} if handler.type else {"Exception"}
    return bool(names & {"Exception", "BaseException"})


@pytest.mark.parametrize("name", MODULES)
def test_broad_excepts_stand_only_where_the_house_allows(name: str) -> None:
    broad = [node.lineno for node in ast.walk(TREES[name]) if isinstance(node, ast.ExceptHandler) and swallows_all(node)]
    assert not broad or name in BROAD, f"{name} lines {broad}"
    assert len(broad) <= 1, f"{name} has {len(broad)} broad excepts"


@pytest.mark.parametrize("name", [name for name in MODULES if not name.startswith("promptreg.cli")])
def test_the_library_is_silent(name: str) -> None:
    called = {node.func.id for node in ast.walk(TREES[name]) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)}
    assert "print" not in called


@pytest.mark.parametrize("name", MODULES)
def test_every_module_says_what_it_is_for(name: str) -> None:
    assert ast.get_docstring(TREES[name])
