"""log, diff, blame and at, as somebody types them on a real repository."""

from __future__ import annotations

import datetime
import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from conftest import User

from promptreg.testing import RepositoryBuilder
from promptreg.testing.repository import small_registry


def prompt(text: str, description: str = "Sorts.") -> str:
    return (
        f"description: {description}\n"
        "inputs:\n  ticket: {type: string}\n"
        "messages:\n"
        "  - role: system\n"
        "    content: |\n"
        '      {% include "_tone.jinja" %}\n'
        f"      {text}\n"
        '  - {role: user, content: "{{ ticket }}"}\n'
    )


@pytest.fixture
def built(user: User) -> RepositoryBuilder:
    """Each commit a minute apart; the subject says what it does to the rendering."""
    shutil.rmtree(user.root)
    made = small_registry(user.root)  # minute 3
    made.write("prompts/_tone.jinja", "Be polite.\n").write("prompts/triage.yaml", prompt("Sort."))
    made.commit("changed: includes a partial")
    made.tag("triage@v1.0.0", "The first one")
    made.tag("triage#production#1", "go")
    made.write("prompts/triage.yaml", prompt("Sort.", "Sorts tickets.")).commit("same: description")
    made.write("prompts/_tone.jinja", "Be polite.{# always #}\n").commit("same: a comment")
    made.write("prompts/_tone.jinja", "Be very polite.\n").commit("changed: the partial")
    made.tag("triage@v1.1.0", "Politer")
    made.tag("triage#production#2", "go on")
    made.write("prompts/_unused.jinja", "x\n").commit("same: another partial")
    made.write("prompts/triage.yaml", prompt("Sort them.", "Sorts tickets.")).commit("changed: the text")
    return made


def moments(user: User, *arguments: str) -> list[dict[str, Any]]:
    said = user("log", *arguments, "--json")
    assert said.code == 0, said.err
    found: list[dict[str, Any]] = said.json["moments"]
    return found


def told(user: User, *arguments: str) -> list[str]:
    return [f"{each['kind']} {each['version'] or each['subject']}" for each in moments(user, *arguments)]


# --- log ----------------------------------------------------------------------------------------------------------------------


def test_log_tells_what_changed_the_rendering_and_no_more(user: User, built: RepositoryBuilder) -> None:
    assert told(user, "triage") == [
        "changed changed: the text",
        "label 1.1.0",
        "release 1.1.0",
        "changed 1.1.0",
        "label 1.0.0",
        "release 1.0.0",
        "changed 1.0.0",
        "added A small registry",
    ]


def test_log_for_people(user: User, built: RepositoryBuilder) -> None:
    lines = user("log", "triage").out.splitlines()
    assert len(lines) == 8
    assert lines[0].split("  ")[-1].strip() == "Ada Example: changed: the text"
    assert "production → 1.1.0" in lines[1]
    assert lines[2].startswith("2026-01-01 00:")
    assert "released 1.1.0" in lines[2]
    said = user("log", "triage", "-n", "2")
    assert said.out.splitlines() == lines[:2]
    assert "-n 4 shows twice as much" in said.err
    assert user("log", "triage", "-n", "0").out.splitlines() == lines


def test_log_up_to_a_version(user: User, built: RepositoryBuilder) -> None:
    assert told(user, "triage@1.0.0") == ["label 1.0.0", "release 1.0.0", "changed 1.0.0", "added A small registry"]
    assert told(user, "triage@git:HEAD~2")[0] == "label 1.1.0"


def test_log_shows_a_working_copy_that_differs(user: User, built: RepositoryBuilder) -> None:
    user.edit("prompts/_tone.jinja", "very", "most")
    first = moments(user, "triage")[0]
    assert (first["kind"], first["time"], first["subject"]) == ("working", None, "changed, not committed")
    user.edit("prompts/_tone.jinja", "most polite.", "very polite.{# a comment #}")
    assert moments(user, "triage")[0]["kind"] == "changed"


def test_log_knows_prompts_that_broke_came_back_or_are_gone(user: User, built: RepositoryBuilder) -> None:
    built.write("prompts/triage.yaml", "messages: [").commit("break")
    built.write("prompts/triage.yaml", prompt("Sort them.")).commit("mend")
    built.delete("prompts/triage.yaml").commit("remove")
    assert told(user, "triage", "-n", "3") == ["removed remove", "changed mend", "broken break"]
    said = user("log", "nobody")
    assert (said.code, "unknown prompt 'nobody'" in said.err) == (2, True)


def test_log_before_the_first_commit(user: User, built: RepositoryBuilder) -> None:
    user.write("prompts/new.yaml", "messages: [{role: user, content: hi}]\n")
    said = user("log", "new")
    assert (said.code, "git add prompts/new.yaml" in said.err) == (2, True)


def test_log_takes_a_merge_for_a_change_only_when_it_makes_one(user: User, built: RepositoryBuilder) -> None:
    built.git("checkout", "--quiet", "-b", "side", "HEAD~1")
    built.write("prompts/_tone.jinja", "Be kind.\n").commit("changed: side")
    built.git("checkout", "--quiet", "main")
    built.git("merge", "--quiet", "--no-edit", "-m", "changed: both", "side")
    assert told(user, "triage", "-n", "3") == ["changed changed: both", "changed changed: side", "changed changed: the text"]
    built.git("checkout", "--quiet", "-b", "other", "HEAD")
    built.write("prompts/triage.yaml", prompt("Sort all.")).commit("changed: other")
    built.git("checkout", "--quiet", "main")
    built.write("readme", "x").commit("unrelated")
    built.git("merge", "--quiet", "--no-edit", "-m", "merged", "other")
    assert told(user, "triage", "-n", "1") == ["changed changed: other"]


def test_log_asks_git_little_on_a_long_history(user: User, built: RepositoryBuilder, tmp_path: Path) -> None:
    """A thousand commits, every second of which touches the partial: a handful of processes."""
    blobs = "".join(
        f"commit refs/heads/main\ncommitter A <a@b> {1_800_000_000 + n} +0000\ndata 1\nx"
        + ("\nfrom refs/heads/main^0\n" if n == 0 else "\n")
        + f"M 644 inline prompts/{'_tone.jinja' if n % 2 else 'other.txt'}\ndata {len(str(n // 4)) + 1}\n{n // 4}\n\n"
        for n in range(1000)
    )
    subprocess.run(["git", "fast-import", "--quiet", "--force"], cwd=user.root, input=blobs.encode(), check=True)
    built.git("reset", "--quiet", "--hard")
    counter, shim = tmp_path / "count", tmp_path / "bin" / "git"
    shim.parent.mkdir()
    shim.write_text(f'#!/bin/sh\necho "$@" >> {counter}\nPATH={os.environ["PATH"]} exec git "$@"\n')
    shim.chmod(0o755)
    said = user.process("log", "triage", "-n", "0", "--json", env={"PATH": f"{shim.parent}:{os.environ['PATH']}"})
    assert len(json.loads(said.out)["moments"]) == 250 + 8
    assert len(counter.read_text().splitlines()) < 10


def test_what_a_stranger_wrote_does_not_drive_the_terminal(user: User, built: RepositoryBuilder) -> None:
    built.write("prompts/triage.yaml", prompt("Sort all."))
    built.git("add", "-A")
    built.git("-c", "user.name=Eve\x1b[31m", "commit", "--quiet", "-m", "x\x1b]0;y\x07 ::error::z")
    for command in ("log", "blame"):
        said = user(command, "triage", "--color", "always")
        assert "\x1b]0;" not in said.out
        assert "Eve\x1b" not in said.out


# --- diff ---------------------------------------------------------------------------------------------------------------------


def test_diff_of_two_versions(user: User, built: RepositoryBuilder) -> None:
    said = user("diff", "triage@1.0.0", "@production")
    assert said.code == 1
    assert said.out.splitlines() == [
        "triage@1.0.0 → triage@production",
        "behaviour: different (patch)",
        "",
        "about",
        '  ~ description: "Sorts." → "Sorts tickets."',
        "",
        "message 1 system",
        "  Be {+very +}polite.",
        "  Sort.",
    ]


def test_diff_as_json(user: User, built: RepositoryBuilder) -> None:
    value = user("diff", "triage@1.0.0", "triage@1.1.0", "--json").json
    assert (value["schema"], value["different"], value["behaviour"], value["step"]) == (
        "promptreg/diff/1",
        True,
        "different",
        "patch",
    )
    assert value["about"] == [{"kind": "changed", "key": "description", "before": "Sorts.", "after": "Sorts tickets."}]
    assert [piece["kind"] for piece in value["messages"][0]["pieces"]] == ["same", "new", "same"]


def test_diff_exits_like_diff(user: User, built: RepositoryBuilder) -> None:
    same = user("diff", "triage")
    assert (same.code, same.out) == (0, "")
    assert "triage@git:HEAD and triage are the same" in same.err
    user.edit("prompts/_tone.jinja", "very polite.", "very polite.{# a comment #}")
    assert user("diff", "triage").code == 0
    user.edit("prompts/_tone.jinja", "very", "most")
    assert user("diff", "triage").code == 1
    for wrong in (("diff", "nobody"), ("diff", "triage@9.9.9"), ("diff", "triage", "@git:nowhere"), ("diff",)):
        assert user(*wrong).code == 2


def test_diff_of_inputs_params_and_schema(user: User, built: RepositoryBuilder) -> None:
    user.edit(
        "prompts/triage.yaml", "ticket: {type: string}", "ticket: {type: [string, integer]}\n  tone: {type: string, default: kind}"
    )
    user.edit("prompts/triage.yaml", "{{ ticket }}", "{{ ticket }} {{ tone }}")
    user.write(
        "prompts/triage.yaml", user.read("prompts/triage.yaml") + "params: {temperature: 1}\noutput: {schema: {type: object}}\n"
    )
    out = user("diff", "triage").out
    assert "behaviour: different (major)" in out  # the answer was text, and is JSON now
    assert '\ninputs\n  ~ ticket.type: "string" → ["string", "integer"]\n  + tone: {"type": "string", "default": "kind"}\n' in out
    assert "\nparams\n  + temperature: 1.0\n" in out
    assert '\noutput\n  + schema.type: "object"\n' in out


def test_diff_in_colours(user: User, built: RepositoryBuilder) -> None:
    said = user("diff", "triage@1.0.0", "@1.1.0", "--color", "always")
    assert "\x1b[32m{+very +}\x1b[0m" in said.out


def test_diff_over_a_suite_shows_what_models_would_see(user: User, built: RepositoryBuilder) -> None:
    user.edit("prompts/triage.yaml", '"{{ ticket }}"', "\"{% if 'crash' in ticket %}BUG {% endif %}{{ ticket }}\"")
    value = user("diff", "triage", "--rendered", "triage", "--json").json["rendered"]
    assert {key: value[key] for key in ("cases", "same", "different", "one_side", "neither")} == {
        "cases": 2,
        "same": 1,
        "different": 1,
        "one_side": 0,
        "neither": 0,
    }
    assert value["shown"][0]["case"] == "crash"
    out = user("diff", "triage", "--rendered", "triage").out
    assert "2 cases: 1 differ, 1 are the same" in out
    assert "crash  suites/triage.jsonl:2\n\nmessage 2 user\n  {+BUG +}bug: the app crashes\n" in out


def test_diff_over_a_suite_that_one_side_cannot_render(user: User, built: RepositoryBuilder) -> None:
    user.edit("prompts/triage.yaml", "ticket: {type: string}", "ticket: {type: string}\n  tone: {type: string}")
    user.edit("prompts/triage.yaml", "{{ ticket }}", "{{ ticket }} {{ tone }}")
    said = user("diff", "triage", "--rendered", "triage", "-n", "1")
    assert said.code == 1
    assert "2 cases only one of the two can render" in said.out
    assert "only the old one renders it; the new one: input 'tone' is missing" in said.out
    assert "1 more case: -n 2 shows all" in said.out


# --- blame --------------------------------------------------------------------------------------------------------------------


def test_blame_goes_through_the_prompt_and_its_partials(user: User, built: RepositoryBuilder) -> None:
    value = user("blame", "triage", "--json").json
    files = {file["path"]: file["lines"] for file in value["files"]}
    assert list(files) == ["prompts/triage.yaml", "prompts/_tone.jinja"]
    lines = files["prompts/triage.yaml"]
    assert [line["line"] for line in lines] == list(range(1, len(lines) + 1))
    assert "\n".join(line["text"] for line in lines) + "\n" == user.read("prompts/triage.yaml")
    subjects = {line["text"].strip(): line["subject"] for line in lines}
    assert subjects["Sort them."] == "changed: the text"
    assert subjects["description: Sorts tickets."] == "same: description"
    assert subjects["inputs:"] == "A small registry"
    assert [(line["text"], line["subject"]) for line in files["prompts/_tone.jinja"]] == [
        ("Be very polite.", "changed: the partial")
    ]


def test_blame_at_a_version_and_of_the_working_copy(user: User, built: RepositoryBuilder) -> None:
    old = user("blame", "triage@1.0.0", "--json").json["files"]
    assert old[1]["lines"][0]["text"] == "Be polite."
    user.edit("prompts/triage.yaml", "Sort them.", "Sort them.\n      And be quick.")
    lines = user("blame", "triage", "--json").json["files"][0]["lines"]
    (fresh,) = [line for line in lines if line["commit"] is None]
    assert (fresh["text"].strip(), fresh["line"], fresh["subject"]) == ("And be quick.", 9, "not committed yet")
    out = user("blame", "triage").out
    assert "prompts/_tone.jinja\n" in out
    assert next(line for line in out.splitlines() if line.startswith("not committed")).endswith("9        And be quick.")


def test_blame_runs_no_converter_and_ignores_no_commit(user: User, built: RepositoryBuilder, tmp_path: Path) -> None:
    trap = tmp_path / "trap"
    built.git("config", "diff.evil.textconv", f"touch {trap}; cat")
    built.git("config", "filter.evil.clean", f"touch {trap}; cat")
    built.write(".gitattributes", "*.yaml diff=evil filter=evil\n")
    built.git("config", "blame.ignoreRevsFile", ".ignored")
    built.write(".ignored", built.git("rev-parse", "HEAD") + "\n")
    user.edit("prompts/triage.yaml", "Sort them.", "Sort all of them.")
    assert user("blame", "triage").code == 0
    assert user("log", "triage").code == 0
    value = user("blame", "triage@git:HEAD", "--json").json
    assert not trap.exists()
    assert "changed: the text" in {line["subject"] for line in value["files"][0]["lines"]}


def test_blame_of_a_link_says_so(user: User, built: RepositoryBuilder) -> None:
    (user.root / "prompts" / "linked.yaml").symlink_to("triage.yaml")
    built.commit("a link")
    said = user("blame", "linked")
    assert (said.code, "is it a symbolic link?" in said.err) == (2, True)
    assert told(user, "linked")[0] == "added a link"


# --- at -----------------------------------------------------------------------------------------------------------------------


def test_at_tells_what_labels_meant(user: User, built: RepositoryBuilder) -> None:
    commit = built.git("rev-parse", "triage@v1.0.0^{commit}")
    dates = built.git("for-each-ref", "--format=%(taggerdate:unix)", "refs/tags").split()
    between = (int(sorted(dates)[1]) + int(sorted(dates)[2])) // 2
    when = datetime.datetime.fromtimestamp(between, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%S")
    value = user("at", when, "--json").json
    assert value["time"] == f"{when}Z"
    first = value["labels"][0]
    assert (first["prompt"], first["label"], first["version"]) == ("triage", "production", "1.0.0")
    assert (first["commit"], first["tag"]) == (commit, "triage@v1.0.0")
    assert [label["label"] for label in value["labels"]] == ["production", "latest", "greatest"]
    assert ["triage", "production", "1.0.0", commit[:10], "triage@v1.0.0"] in [
        line.split()[:5] for line in user("at", when, "tri*").out.splitlines()
    ]
    assert user("at", "2030-01-01", "--json").json["labels"][0]["version"] == "1.1.0"
    assert "nothing was released before" in user("at", "2020-01-01").out


@pytest.mark.parametrize("when", ["yesterday", "2026-13-01", "2026-01-01T25:00", ""])
def test_at_no_date(user: User, built: RepositoryBuilder, when: str) -> None:
    said = user("at", when)
    assert (said.code, "hint:" in said.err) == (2, True)


def test_at_understands_zones(user: User, built: RepositoryBuilder) -> None:
    assert user("at", "2026-01-01T02:00+02:00", "--json").json["time"] == "2026-01-01T00:00:00Z"
    assert user("at", "0001-01-01T00:00+23:00").code == 0  # before any calendar, and before any tag
    assert user("at", "2026-01-01", "nobody").code == 2


# --- references ---------------------------------------------------------------------------------------------------------------


def test_show_and_render_take_references(user: User, built: RepositoryBuilder) -> None:
    shown = user("show", "triage@^1.0", "--json").json
    assert (shown["version"], shown["description"]) == ("1.1.0", "Sorts tickets.")
    assert shown["commit"] == built.git("rev-parse", "triage@v1.1.0^{commit}")
    assert user("show", "triage@production").out.startswith("triage@1.1.0  ")
    assert user("show", "triage", "--json").json["version"] is None
    rendered = user("render", "triage@1.0.0", "-i", "ticket=hi", "--json").json
    assert rendered["messages"][0]["content"] == "Be polite.\nSort."
    assert user("render", "triage@git:HEAD", "-i", "ticket=hi").out.startswith("system\nBe very polite.\nSort them.")


@pytest.mark.parametrize("command", ["log", "blame"])
def test_what_happened_elsewhere_is_not_told_here(command: str, user: User, built: RepositoryBuilder) -> None:
    said = user(command, "acme:triage")
    assert (said.code, "the history of acme:triage is not in this repository" in said.err) == (2, True)
