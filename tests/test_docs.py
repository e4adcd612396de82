"""The public face is true: every block of it is executed, generated parts are fresh, links lead somewhere."""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import jsonschema
import pytest
import yaml
from blocks import Bench, Block, agrees, blocks, steps

from promptreg import documents, plugins
from promptreg.core.canonical import Json
from promptreg.core.check import resolve
from promptreg.core.recording import Format, recorded
from promptreg.errors import ExitCode, Where
from promptreg.workflow.preparation import build_metric

ROOT = Path(__file__).parent.parent
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
NAMES = [str(path.relative_to(ROOT)) for path in DOCUMENTS]
TEXTS = {name: path.read_text("utf-8") for name, path in zip(NAMES, DOCUMENTS, strict=True)}
REAL = {"README.md", "docs/tutorial.md"}  # these run the embedded model
MACHINE = ("git clone", "make demo", "make test", "make check", "make docs", "make bench", "pip install", "promptreg models pull")
NOT_RUN = 4  # blocks that set up the machine; a further one needs a reason
KINDS = {"prompts": "prompt", "suites": "suite"}
SKELETONS: Mapping[str, Mapping[str, Json]] = {
    "prompt": {"messages": [{"role": "user", "content": "Hello."}]},
    "suite": {"prompts": "greeting", "dataset": "greeting.jsonl", "checks": ["json"]},
    "settings": {},
}
PLUGINS = plugins.load(strangers=False)


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.model) if name in REAL else name for name in NAMES if "```" in TEXTS[name]]
)
def test_every_block_does_what_the_document_says(name: str, tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    bench = Bench(tmp_path / "home", tmp_path / "state")
    for block in blocks(TEXTS[name]):
        if not block.not_run:
            run(block, bench, f"{name}:{block.line}")


def run(block: Block, bench: Bench, place: str) -> None:
    if block.language == "console":
        type_console(block, bench, place)
    elif block.language == "sh":
        code, printed = bench.type("set -e\n" + block.text + "set +e")
        assert code == 0, f"{place}: exit code {code}\n{printed}"
    elif block.language == "diff":
        change = bench.here / ".change.diff"
        change.write_text(block.text, "utf-8")
        code, printed = bench.type("git apply --recount .change.diff && rm .change.diff")
        assert code == 0, f"{place}: the change does not apply\n{printed}"
    elif block.file:
        write(block, bench.here / block.file, place)
    elif block.part:
        read_part(block, place)
    elif block.language == "python":
        done = subprocess.run([sys.executable, "-"], input=block.text, cwd=bench.here, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{place}: {done.stderr}"
    else:
        pytest.fail(
            f"{place}: nobody runs this `{block.language}` block: name its file in the line above, or say what it is part of"
        )


def type_console(block: Block, bench: Bench, place: str) -> None:
    typed = steps(block)
    assert typed, f"{place}: no command"
    for step, following in zip(typed, [*typed[1:], None], strict=True):
        code, printed = bench.type(step.command)
        told = following is not None and following.command == "echo $?"
        assert code == 0 or told, f"{place}: $ {step.command}\nexit code {code} is not shown\n{printed}"
        assert agrees(step.shown, printed, vary=block.vary), (
            f"{place}: $ {step.command}\nshown:\n{step.shown}\n\nprinted:\n{printed}"
        )


# --- files and parts of files -------------------------------------------------------------------------------------------------


def write(block: Block, path: Path, place: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(block.text, "utf-8")
    kind = "settings" if path.name == "promptreg.yaml" else KINDS.get(block.file.split("/")[0])
    if kind is not None and block.language == "yaml" and not isinstance(yaml.safe_load(block.text), list):
        read(kind, block.text, place)
    elif block.language in ("yaml", "jsonl"):
        for row in rows(block):
            jsonschema.Draft202012Validator(documents.schema("case")).validate(row)


def read(kind: str, text: str, place: str) -> None:
    """Reads *text* as promptreg does and as an editor with the published schema does; both must accept it."""
    if kind == "prompt":
        documents.prompt(text.encode(), place, "example", Partials())
    elif kind == "suite":
        known = PLUGINS.names("metric")  # a page's own plugin is known only to the run that follows
        for check in (each for each in documents.suite(text.encode(), f"suites/{place}", "example").checks if each.metric in known):
            resolve(check, PLUGINS.get("metric", check.metric), build_metric)
    else:
        for model in documents.settings(text.encode(), place).models.values():
            documents.convert(model.options, PLUGINS.get("provider", model.provider).Options, lambda key: Where(place, key=key))
    written = yaml.safe_load(text)
    jsonschema.Draft202012Validator(documents.schema(kind)).validate(json.loads(json.dumps(written, default=str)))


class Partials(dict[str, str]):
    """Any partial a document speaks of."""

    def __missing__(self, path: str) -> str:
        return f"The text of {path}."

    def __contains__(self, path: object) -> bool:
        return True


def read_part(block: Block, place: str) -> None:
    if block.part in SKELETONS:
        given = yaml.safe_load(block.text)
        skeleton = {key: value for key, value in SKELETONS[block.part].items() if key not in given}
        if "cases" in given:
            skeleton.pop("dataset", None)
        read(block.part, block.text + "\n" + "".join(f"{key}: {json.dumps(value)}\n" for key, value in skeleton.items()), place)
    elif block.part == "recording":
        for row in rows(block):
            Format().check_columns(row)
            assert Format().row_key(row)
            recorded(row)
    else:
        pytest.fail(f"{place}: nothing is known of a part of a {block.part}")


def rows(block: Block) -> list[dict[str, Any]]:
    return list(yaml.safe_load(block.text)) if block.language == "yaml" else [json.loads(line) for line in block.text.splitlines()]


# --- the rest of the face -----------------------------------------------------------------------------------------------------


def test_few_blocks_are_not_run_and_each_sets_up_the_machine() -> None:
    spared = [(name, block) for name in NAMES for block in blocks(TEXTS[name]) if block.not_run]
    for name, block in spared:
        lines = [line.removeprefix("$ ") for line in block.text.splitlines() if line and not line.startswith(("#", "cd "))]
        assert all(line.startswith(MACHINE) for line in lines), f"{name}:{block.line} sets up no machine: {lines}"
    assert len(spared) == NOT_RUN


def test_the_bench_can_fail() -> None:
    """What keeps the pages honest: shown and printed text must agree word for word, `...` and marked figures aside."""
    assert agrees("a ... c", "a  b\nc")
    assert agrees("...\nb", "b")
    assert not agrees("a c", "a b c")
    assert not agrees("3 calls", "4 calls")
    assert agrees("3 calls · 2.4 s", "1,204 calls · 1 min 3 s", vary=True)
    assert not agrees("3 calls", "3 answers", vary=True)


def test_a_block_that_nobody_runs_is_refused(tmp_path: Path) -> None:
    bench = Bench(tmp_path, tmp_path / "state")
    (toml,) = blocks("Set this:\n\n```toml\nkey = 1\n```\n")
    with pytest.raises(pytest.fail.Exception, match="nobody runs this `toml` block"):
        run(toml, bench, "page.md:3")


@pytest.mark.parametrize(
    ("console", "complaint"),
    [
        ("$ false", "exit code 1 is not shown"),
        ("$ echo one\ntwo", "$ echo one\n  shown:\n  two"),
        ("$ (exit 3)\n$ echo $?\n4", "$ echo $?\n  shown:\n  4"),
    ],
)
def test_a_console_that_lies_is_refused(console: str, complaint: str, tmp_path: Path) -> None:
    (block,) = blocks(f"```console\n{console}\n```\n")
    with pytest.raises(AssertionError, match=re.escape(complaint)):
        run(block, Bench(tmp_path, tmp_path / "state"), "page.md:1")


def test_a_bench_keeps_folder_variables_and_exit_code(tmp_path: Path) -> None:
    bench = Bench(tmp_path, tmp_path / "state")
    for command in ("mkdir 'a b' && cd 'a b'", "export COLOUR='deep blue'", "(exit 7)"):
        bench.type(command)
    assert bench.type('echo "$? $COLOUR $(basename "$PWD")"') == (0, "7 deep blue a b\n")


@pytest.mark.parametrize(
    "target", sorted({found for text in TEXTS.values() for found in re.findall(r"\bmake (\w+)\b(?=`|\n)", text)})
)
def test_every_make_target_that_is_named_resolves(target: str) -> None:
    done = subprocess.run(["make", "-n", target], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_readme_leads_with_the_two_commands_and_the_picture() -> None:
    head = TEXTS["README.md"].partition("\n## ")[0]
    assert head.index("make demo") < head.index("make test") < head.index("docs/table.svg")


def test_generated_parts_are_fresh() -> None:
    generate = docs_script("generate")
    stale = [name for name in NAMES if name.startswith("docs/") and generate.regenerated(TEXTS[name]) != TEXTS[name]]
    assert not stale, f"make docs mends {stale}"


def docs_script(name: str) -> Any:
    spec = importlib.util.spec_from_file_location(f"docs_{name}", ROOT / "docs" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_generated_part_is_used_once() -> None:
    used = [part for text in TEXTS.values() for part in re.findall(r"<!-- generated: (?!end)([^>]+?) -->", text)]
    assert sorted(used) == sorted(docs_script("generate").PARTS)


@pytest.mark.parametrize("name", NAMES)
def test_links_lead_somewhere(name: str) -> None:
    text = re.sub(r"```.*?```", "", TEXTS[name], flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)]+)\)", text):
        if target.startswith(("https://", "http://")):
            continue
        path, _, anchor = target.partition("#")
        there = (ROOT / name).parent / path if path else ROOT / name
        assert there.exists(), f"{name} links to {target}"
        if anchor:
            assert anchor in anchors(there.read_text("utf-8")), f"{name} links to {target}"


def anchors(text: str) -> set[str]:
    """The anchors that GitHub gives to headings."""
    headings = re.findall(r"^#+ (.+)$", re.sub(r"```.*?```", "", text, flags=re.DOTALL), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_exit_codes_in_readme_are_those_of_the_code() -> None:
    shown = {int(code) for code in re.findall(r"^\| (\d+) \|", TEXTS["README.md"], re.MULTILINE)}
    assert shown == {int(code) for code in ExitCode}


def test_every_key_of_a_recording_is_documented() -> None:
    from promptreg.core.recording import KNOWN

    section = TEXTS["docs/formats.md"].partition("## Recordings")[2].partition("\n## ")[0]
    assert not [key for key in KNOWN if f"`{key}`" not in section]


def test_the_picture_is_of_the_shipped_prompts() -> None:
    drawn = "".join(ElementTree.parse(ROOT / "docs" / "table.svg").getroot().itertext()).replace("\xa0", " ")
    prompts = [str(path.relative_to(ROOT / "prompts").with_suffix("")) for path in sorted((ROOT / "prompts").rglob("*.yaml"))]
    assert not [prompt for prompt in prompts if prompt not in drawn], "docs/picture.py draws it anew"


def test_no_page_names_a_place_of_one_machine() -> None:
    for name, text in TEXTS.items():
        assert not re.search(r"/(work|home|root|Users)/|localhost/", text), name
