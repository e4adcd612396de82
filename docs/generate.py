"""Writes the generated parts of the documentation, from the code that they describe; `make docs` runs it.

A generated part stands between `<!-- generated: NAME -->` and `<!-- generated: end -->`. With --check nothing is written, and the
exit code is 1 when a page is stale.
"""

from __future__ import annotations

import ast
import importlib.util
import inspect
import io
import re
import sys
import tokenize
from collections.abc import Callable, Iterator, Mapping
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import click

from promptreg import documents, hookspecs, plugins
from promptreg.cli import cli
from promptreg.core import lint, manual
from promptreg.errors import PromptregError

DOCS = Path(__file__).parent
ROOT = DOCS.parent
PART = re.compile(r"(<!-- generated: (?!end)([^>]+?) -->\n).*?(<!-- generated: end -->)", re.DOTALL)
TYPES = {"string": "text", "integer": "whole number", "boolean": "true or false", "object": "mapping", "array": "list"}
OUTPUT = ("as_json", "quiet", "color")  # shared by nearly all commands, so described once
ORDER = ("errors", "core", "hookspecs", "documents", "http", "signatures")  # within a level: the map reads from the ground up


def main(arguments: list[str]) -> int:
    stale = [path for path in sorted(DOCS.glob("*.md")) if regenerated(text := path.read_text("utf-8")) != text]
    for path in stale:
        if "--check" in arguments:
            print(f"stale: docs/{path.name} (make docs mends it)")
        else:
            path.write_text(regenerated(path.read_text("utf-8")), "utf-8")
            print(f"wrote docs/{path.name}")
    return 1 if stale and "--check" in arguments else 0


def regenerated(text: str) -> str:
    """*text* with every generated part made anew. KeyError for a part that nobody makes."""
    return PART.sub(lambda found: f"{found[1]}\n{PARTS[found[2]]().strip()}\n\n{found[3]}", text)


def table(head: tuple[str, ...], rows: Iterator[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("\n", " ").replace("|", "\\|") for cell in line) + " |" for line in lines)


# --- commands -----------------------------------------------------------------------------------------------------------------


def commands() -> str:
    """Every command and subcommand: usage, help, options."""
    return "\n\n".join(_command(path, found) for path, found in walk(cli, ("promptreg",)) if len(path) > 1)


def walk(command: click.Command, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """*command* and all below it, with the words that call it."""
    yield path, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            found = command.get_command(context, name)
            assert found is not None
            yield from walk(found, (*path, name))


def _command(path: tuple[str, ...], command: click.Command) -> str:
    name = " ".join(path)
    words = [name]
    options = [each for each in command.params if isinstance(each, click.Option)]
    own = [each for each in options if each.name not in OUTPUT]
    words += ["[OPTIONS]"] if options else []
    words += [_argument(each) for each in command.params if isinstance(each, click.Argument)]
    words += ["COMMAND"] if isinstance(command, click.Group) else []
    lines = [f"## `{name}`", f"`{' '.join(words)}`", _help(command)]
    if own:
        lines.append(_options(own))
    if len(own) < len(options):
        lines.append("Takes the [output options](#output) too.")
    return "\n\n".join(lines)


def output() -> str:
    """The options that say how a command talks, once."""
    options = {each.name: each for _, command in walk(cli, ()) for each in command.params if isinstance(each, click.Option)}
    return _options([options[name] for name in OUTPUT])


def _options(options: list[click.Option]) -> str:
    return table(("Option", "Meaning"), ((_option(each), _meaning(each)) for each in options))


def _help(command: click.Command) -> str:
    paragraphs = inspect.cleandoc(command.help or "").split("\n\n")
    return "\n\n".join(_preformatted(each) if each.startswith("\b") else " ".join(each.split()) for each in paragraphs)


def _preformatted(paragraph: str) -> str:
    return "\n".join(f"    {line}" for line in paragraph.splitlines()[1:])


def _argument(argument: click.Argument) -> str:
    if argument.metavar:
        return argument.metavar
    name = (argument.name or "").upper()
    if isinstance(argument.type, click.Choice):
        name = "{" + ",".join(map(str, argument.type.choices)) + "}"
    return (name if argument.required else f"[{name}]") + ("..." if argument.nargs == -1 else "")


def _option(option: click.Option) -> str:
    value = ""
    if not option.is_flag:
        kind = option.type
        value = "|".join(map(str, kind.choices)) if isinstance(kind, click.Choice) else _metavar(option)
    return f"`{', '.join(option.opts)}{' ' + value if value else ''}`"


def _metavar(option: click.Option) -> str:
    if option.metavar:
        return option.metavar
    return {"integer range": "N", "path": "FILE", "text": "TEXT"}.get(option.type.name, option.type.name.upper())


def _meaning(option: click.Option) -> str:
    facts = [fact for fact, holds in (("needed", option.required), ("may be repeated", option.multiple)) if holds]
    if option.show_default and option.default is not None:
        facts.append(f"default: {option.default}")
    return (option.help or "") + (f" ({', '.join(facts)})" if facts else "")


# --- file formats -------------------------------------------------------------------------------------------------------------


def keys(kind: str) -> Callable[[], str]:
    """The keys of a file kind, from its JSON Schema, nested keys dotted."""
    return lambda: table(("Key", "Type", "Default", "Meaning"), _keys(documents.schema(kind), ""))


def _keys(schema: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, ...]]:
    needed = schema.get("required", ())
    for name, inner in schema.get("properties", {}).items():
        if not isinstance(inner, Mapping):
            continue
        key = prefix + name
        default = "needed" if name in needed else _default(inner)
        yield f"`{key}`", _type(inner), default, _first(inner.get("description", ""))
        yield from _below(inner, key)


def _below(schema: Mapping[str, Any], key: str) -> Iterator[tuple[str, ...]]:
    """The keys within a value, whichever way it nests."""
    seen: set[tuple[str, ...]] = set()
    for each in (schema, *schema.get("anyOf", ())):
        yield from _keys(each, f"{key}.")
        within = [each.get("items"), *(each.get("items") or {}).get("anyOf", ())]
        for item in within:
            for row in _keys(item or {}, f"{key}[]."):
                if row[0] not in {other[0] for other in seen}:
                    seen.add(row)
                    yield row
            if item and item.get("type") == "array":
                yield from _keys(item.get("items", {}), f"{key}[].")
        values = each.get("additionalProperties")
        if isinstance(values, Mapping):
            yield from _keys(values, f"{key}.NAME.")


def _default(schema: Mapping[str, Any]) -> str:
    value = schema.get("default", "")
    return "" if value in ("", None) else f"`{str(value).lower() if isinstance(value, bool) else value}`"


def _first(text: str) -> str:
    """A description without its capital and full stop, as table cells are written here."""
    short = text.rstrip(".") if text.count(". ") == 0 else text
    return short[:1].lower() + short[1:] if short[1:2].islower() else short


def _type(schema: Mapping[str, Any]) -> str:
    if "anyOf" in schema:
        return ", or ".join(dict.fromkeys(_type(each) for each in schema["anyOf"]))
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    kind = schema.get("type", "")
    if kind == "array":
        return f"list of {_type(schema.get('items', {}))}"
    if kind == "object" and isinstance(schema.get("additionalProperties"), Mapping):
        return f"mapping of name to {_type(schema['additionalProperties'])}"
    word = TYPES.get(kind, kind or "anything")
    return word + _range(schema)


def _range(schema: Mapping[str, Any]) -> str:
    limits = (("minimum", "≥"), ("exclusiveMinimum", ">"), ("maximum", "≤"), ("exclusiveMaximum", "<"))
    found = [f"{sign} {schema[name]:g}" for name, sign in limits if name in schema]
    return f" {', '.join(found)}" if found else ""


def checks() -> str:
    """The table of checks, from the metrics themselves."""
    found = plugins.load(strangers=False)
    return manual.describe({name: found.get("metric", name) for name in found.names("metric")})


def lint_rules() -> str:
    """What lint finds in prompts, by rule."""
    return table(("Rule", "Finding"), ((f"`{rule}`", meaning) for rule, meaning in lint.RULES.items()))


def providers() -> str:
    """The keys that each provider adds to a catalogue entry, from its Options and the comments beside them."""
    found = plugins.load(strangers=False)
    parts = []
    for name in found.names("provider"):
        provider = found.get("provider", name)
        rows = list(_provider_keys(provider.Options))
        shown = table(("Key", "Type", "Default", "Meaning"), iter(rows)) if rows else "No keys of its own."
        parts.append(f"### `provider: {name}`\n\n{_summary(sys.modules[provider.__module__].__doc__)}\n\n{shown}")
    return "\n\n".join(parts)


def _provider_keys(options: type, prefix: str = "") -> Iterator[tuple[str, ...]]:
    told, hints = comments(options), get_type_hints(options, localns={"Json": object})  # its alias names itself
    for item in fields(options):
        if item.init:
            yield f"`{prefix}{item.name}`", _hinted(hints[item.name]), _value(item), told.get(item.name, "")
            if isinstance(item.default_factory, type) and is_dataclass(item.default_factory):
                yield from _provider_keys(item.default_factory, f"{prefix}{item.name}.")


def _hinted(hint: Any) -> str:
    """A field's type in the words of the key tables."""
    origin, inner = get_origin(hint), [each for each in get_args(hint) if each is not type(None) and each is not ...]
    if origin is Literal:
        return ", ".join(f"`{value}`" for value in inner)
    if origin is tuple:
        return f"list of {_hinted(inner[0])}"
    if origin in (UnionType, Union):
        return ", or ".join(_hinted(each) for each in inner)
    words = {str: "text", int: "whole number", float: "number", bool: "true or false"}
    return words.get(hint, "mapping")


def _value(item: Any) -> str:
    if item.default is MISSING and item.default_factory is MISSING:
        return "needed"
    if item.default in (None, "", (), MISSING):
        return ""
    return f"`{str(item.default).lower() if isinstance(item.default, bool) else item.default}`"


def comments(cls: type) -> dict[str, str]:
    """Field name to the comment beside it."""
    source = inspect.cleandoc(inspect.getsource(cls)) + "\n"
    by_line = {
        token.start[0]: token.string.removeprefix("#").partition("# noqa")[0].strip()
        for token in tokenize.generate_tokens(io.StringIO(source).readline)
        if token.type == tokenize.COMMENT
    }
    body = next(node for node in ast.parse(source).body if isinstance(node, ast.ClassDef)).body
    found: dict[str, str] = {}
    for node in body:
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            said = [by_line[line] for line in range(node.lineno, (node.end_lineno or node.lineno) + 1) if line in by_line]
            found[node.target.id] = " ".join(said)
    return found


# --- architecture and plugins -------------------------------------------------------------------------------------------------


def rooms() -> str:
    """Every room, level by level, with the first line of what it says of itself."""
    return table(("Level", "Room", "What it is for"), _rooms())


def _rooms() -> Iterator[tuple[str, ...]]:
    found = {path.stem if path.is_file() else path.name: path for path in (ROOT / "promptreg").iterdir() if _is_room(path)}
    for number, names in enumerate(house().LEVELS):
        for name in sorted(names & found.keys(), key=lambda name: (name not in ORDER, name)):
            path = found[name]
            shown = f"`{name}/`" if path.is_dir() else f"`{path.name}`"
            yield str(number), shown, room_summary(path)


def heart() -> str:
    """The rooms of the heart."""
    paths = sorted(path for path in (ROOT / "promptreg" / "core").iterdir() if _is_room(path))
    shown = (f"`core/{path.name}{'/' if path.is_dir() else ''}`" for path in paths)
    return table(("Room", "What it is for"), zip(shown, map(room_summary, paths), strict=True))


def doors() -> str:
    """Which room may import which package."""
    return table(
        ("Package", "Door"),
        ((f"`{name}`", ", ".join(f"`{each}`" for each in sorted(places))) for name, places in sorted(house().DOORS.items())),
    )


def house() -> Any:
    """tests/test_architecture.py, which holds the house rules."""
    spec = importlib.util.spec_from_file_location("house", ROOT / "tests" / "test_architecture.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _is_room(path: Path) -> bool:
    return (path.is_dir() and (path / "__init__.py").exists()) or (path.suffix == ".py" and not path.stem.startswith("__"))


def room_summary(path: Path) -> str:
    """The first paragraph of a module's docstring, short."""
    source = (path / "__init__.py" if path.is_dir() else path).read_text("utf-8")
    return _summary(ast.get_docstring(ast.parse(source)))


def _summary(docstring: str | None) -> str:
    return " ".join(inspect.cleandoc(docstring or "").split("\n\n")[0].split())


def hooks() -> str:
    """The hooks, from hookspecs."""
    found = (value for name, value in vars(hookspecs).items() if name.startswith("promptreg_"))
    return table(("Hook", "What it offers"), ((f"`{hook.__name__}()`", inspect.getdoc(hook) or "") for hook in found))


def errors() -> str:
    """The error tree, from the classes."""
    return table(("Error", "Exit code", "What it means"), _errors(PromptregError, 0))


def _errors(error: type[PromptregError], depth: int) -> Iterator[tuple[str, ...]]:
    yield "&nbsp;" * 4 * depth + f"`{error.__name__}`", str(int(error.exit_code)), _summary(error.__doc__)
    for below in error.__subclasses__():
        if below.__module__ == error.__module__:
            yield from _errors(below, depth + 1)


PARTS: Mapping[str, Callable[[], str]] = {
    "commands": commands,
    "output": output,
    "prompt keys": keys("prompt"),
    "suite keys": keys("suite"),
    "settings keys": keys("settings"),
    "case keys": keys("case"),
    "checks": checks,
    "lint rules": lint_rules,
    "providers": providers,
    "rooms": rooms,
    "heart": heart,
    "doors": doors,
    "hooks": hooks,
    "errors": errors,
}

if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
