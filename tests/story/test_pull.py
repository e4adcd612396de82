"""Somebody pulls prompts of another registry: from folders and servers, offline, again, at once with somebody else, and killed."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import HOUSE, TICKET, Said, User
from gitserver import GitServer, certificate

from promptreg.core.lock import read_lock
from promptreg.testing import RepositoryBuilder


def pulled(said: Said) -> dict[str, str]:
    assert said.code == 0, said.err
    return {f"{each['source']}:{each['prompt']}": each["version"] for each in said.json["prompts"]}


def files(user: User) -> dict[str, bytes]:
    """Everything that pulling may write."""
    found = {path: path.read_bytes() for path in (user.root / "prompts").rglob("*") if path.is_file()}
    lock = user.root / "promptreg.lock"
    return {str(path.relative_to(user.root)): each for path, each in found.items()} | (
        {"promptreg.lock": lock.read_bytes()} if lock.exists() else {}
    )


@pytest.mark.parametrize(
    ("selector", "version"),
    [
        ("@1.0.0", "1.0.0"),
        ("@^1.0", "1.1.0"),
        ("@~1.0", "1.0.0"),
        ("@latest", "1.1.0"),
        ("@greatest", "1.1.0"),
        ("@production", "1.0.0"),
        ("", "1.1.0"),
    ],
)
def test_every_selector_pulls(selector: str, version: str, acme: RepositoryBuilder, consumer: User) -> None:
    assert pulled(consumer("pull", "../acme", f"support/triage{selector}", "--json")) == {"acme:support/triage": version}
    lock = read_lock((consumer.root / "promptreg.lock").read_bytes())
    each = lock.sources["acme"].prompts["support/triage"]
    assert (lock.sources["acme"].url, each.selector) == ("../acme", selector.removeprefix("@") or "latest")
    assert each.tag_object == acme.git("rev-parse", f"refs/tags/support/triage@v{version}")
    assert each.commit == acme.git("rev-parse", f"support/triage@v{version}^{{commit}}")
    assert set(each.files) == {"support/triage.yaml", "support/_tone.jinja"}
    tone = "Be kind." if version == "1.0.0" else "Be brief."
    assert tone in consumer("render", "acme:support/triage", "-i", "ticket=x").out


def test_a_pulled_prompt_is_no_prompt_of_ones_own_and_suites_can_name_it(acme: RepositoryBuilder, consumer: User) -> None:
    pulled(consumer("pull", str(acme.root), "support/triage", "greet", "--as", "them", "--json"))
    consumer.write(
        "suites/s.yaml",
        "prompts: ['own', 'them:support/*']\ncases: [{inputs: {ticket: 'a bug'}}]\nchecks: [{contains: bug}]\n",
    )
    assert [each["prompt"] for each in consumer("list", "--json").json["prompts"]] == ["own"]
    run = consumer("run", "--json")
    assert {each["prompt"] for each in run.json["suites"]} == {"own", "them:support/triage"}
    assert consumer("lint").code == 0
    assert consumer("show", "them:support/triage@^1.0", "--json").json["prompt"] == "them:support/triage"


def test_two_versions_of_one_partial_live_side_by_side(acme: RepositoryBuilder, consumer: User) -> None:
    acme.write("prompts/other.yaml", TICKET).commit()
    acme.tag("other@v1.0.0")
    pulled(consumer("pull", "../acme", "support/triage@1.0.0", "other", "--json"))
    assert "Be kind." in consumer("render", "acme:support/triage", "-i", "ticket=x").out
    assert "Be brief." in consumer("render", "acme:other", "-i", "ticket=x").out


def test_only_what_is_needed_is_fetched(acme: RepositoryBuilder, consumer: User, tmp_path: Path) -> None:
    acme.git("config", "uploadpack.allowFilter", "true")
    acme.git("config", "uploadpack.allowAnySHA1InWant", "true")
    for _ in range(5):
        acme.write("noise.txt", os.urandom(50_000)).commit()
    pulled(consumer("pull", "../acme", "support/triage@1.0.0", "--json"))
    (cache,) = (tmp_path / "cache" / "sources").glob("*.git")
    have = subprocess.run(
        ["git", "-C", cache, "cat-file", "--batch-all-objects", "--batch-check"], capture_output=True, text=True
    ).stdout
    kinds = [line.split()[1] for line in have.splitlines()]
    assert (kinds.count("commit"), kinds.count("tag"), kinds.count("blob")) == (1, 1, 3)


def test_update_follows_selectors_and_removes_what_is_left_behind(acme: RepositoryBuilder, consumer: User) -> None:
    pulled(consumer("pull", "../acme", "support/triage@^1", "greet@1.0.0", "--json"))
    acme.tag("support/triage@v1.2.0")
    ages = {each["prompt"]: each for each in consumer("outdated", "--json").json["prompts"]}
    assert (ages["support/triage"]["wanted"], ages["support/triage"]["outdated"], ages["greet"]["outdated"]) == (
        "1.2.0",
        True,
        False,
    )
    assert pulled(consumer("pull", "--json"))["acme:support/triage"] == "1.1.0"
    assert pulled(consumer("update", "support/triage", "--json")) == {"acme:support/triage": "1.2.0"}
    assert sorted(path.name for path in (consumer.root / "prompts/vendor/acme/support").iterdir()) == ["triage@1.2.0"]
    assert consumer("verify").code == 0


def test_what_became_of_a_release_is_told(acme: RepositoryBuilder, consumer: User) -> None:
    pulled(consumer("pull", "../acme", "support/triage@1.1.0", "--json"))
    acme.tag("support/triage@v1.1.0!", "it leaks")
    acme.tag("support/triage@deprecated", "going\n---\nreplacement: greet\n")
    (age,) = consumer("outdated", "--json").json["prompts"]
    assert (age["withdrawn"], age["deprecated"], age["wanted"]) == (True, "greet", None)
    assert "it leaks" in age["problem"]
    assert consumer("pull", "--locked").code == 0


def test_dropping_leaves_nothing(acme: RepositoryBuilder, consumer: User) -> None:
    before = files(consumer)
    pulled(consumer("pull", "../acme", "support/triage", "greet", "--json"))
    assert pulled(consumer("drop", "greet", "acme:support/*", "--json")) == {"acme:greet": "1.0.0", "acme:support/triage": "1.1.0"}
    after = files(consumer)
    assert after.keys() - before.keys() == {"promptreg.lock", "prompts/vendor/.gitattributes"}
    assert read_lock(after["promptreg.lock"]).sources == {}


def test_offline_with_a_warm_cache(acme: RepositoryBuilder, consumer: User) -> None:
    pulled(consumer("pull", "../acme", "support/triage", "--json"))
    lock = files(consumer)
    shutil.rmtree(consumer.root / "prompts" / "vendor")
    shutil.rmtree(acme.root)
    said = consumer("pull", "--locked")
    assert said.code == 0
    assert "used what was fetched before" in said.err
    assert files(consumer) == lock
    assert consumer("verify", "--offline").code == 0
    assert consumer("pull", "--offline").code == 0


def test_offline_with_a_cold_cache(acme: RepositoryBuilder, consumer: User, tmp_path: Path) -> None:
    pulled(consumer("pull", "../acme", "support/triage", "--json"))
    shutil.rmtree(acme.root)
    shutil.rmtree(tmp_path / "cache")
    said = consumer("verify", "--json")
    assert said.code == 0
    assert said.json["prompts"][0]["tag_checked"] is False
    assert "its tags are not checked" in said.err
    assert consumer("pull", "--locked").code == 2


@pytest.mark.parametrize("line", [("pull", "../acme", "support/triage@^1"), ("update",), ("pull",)])
def test_nothing_is_written_when_anything_fails(line: tuple[str, ...], acme: RepositoryBuilder, consumer: User) -> None:
    pulled(consumer("pull", "../acme", "support/triage@^1", "greet", "--json"))
    acme.write("prompts/greet.yaml", "no prompt at all\n").write("prompts/support/_tone.jinja", "New.\n").commit()
    acme.tag("greet@v1.1.0")
    acme.tag("support/triage@v1.2.0")
    acme.git("tag", "-f", "-a", "-m", "moved", "greet@v1.0.0")
    before = files(consumer)
    assert consumer(*line, *(["greet"] if line[0] == "pull" and len(line) > 1 else [])).code == 2
    assert files(consumer) == before


def test_locked_is_exact(acme: RepositoryBuilder, consumer: User) -> None:
    pulled(consumer("pull", "../acme", "support/triage@^1", "--json"))
    acme.tag("support/triage@v1.9.0")
    before = files(consumer)
    assert consumer("pull", "--locked").code == 0
    assert files(consumer) == before
    consumer.write("promptreg.yaml", HOUSE + "sources: {acme: {url: ../elsewhere}}\n")
    assert "the lock has acme at ../acme" in consumer("pull", "--locked").err
    consumer.write("promptreg.yaml", HOUSE)
    vendored = consumer.root / "prompts/vendor/acme/support/triage@1.1.0/support/_tone.jinja"
    vendored.write_text("Be evil.\n")
    said = consumer("pull", "--locked", "--json")
    assert (said.code, said.json["reason"]) == (2, "file_changed")
    assert vendored.read_text() == "Be evil.\n"
    assert consumer("pull").code == 0
    assert files(consumer) == before


def test_settings_name_sources(acme: RepositoryBuilder, consumer: User) -> None:
    consumer.write("promptreg.yaml", HOUSE + "sources: {house: {url: ../acme}}\n")
    assert pulled(consumer("pull", "house", "greet", "--json")) == {"house:greet": "1.0.0"}
    assert pulled(consumer("pull", "../acme", "support/triage", "--json")) == {"house:support/triage": "1.1.0"}
    acme.root.rename(acme.root.parent / "moved")
    consumer.write("promptreg.yaml", HOUSE + "sources: {house: {url: ../moved}}\n")
    assert consumer("pull").code == 0
    assert '"../moved"' in consumer.read("promptreg.lock")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (("pull", "../acme"), "which prompt?"),
        (("pull", "../acme", "support/triagee"), "support/triagee has no releases"),
        (("pull", "../acme", "support/triage@9"), "has no release 9"),
        (("pull", "../acme", "support/triage@git:HEAD"), "is not a release"),
        (("pull", "../nowhere", "greet"), "cannot be fetched from"),
        (("pull", "../acme", "greet", "--as", "../x"), "cannot be the name of a source"),
        (("pull", "../acme", "acme:greet"), "names a source twice"),
        (("pull", "--as", "x"), "--as names a new source"),
        (("pull", "../acme", "greet", "--locked"), "--locked is for everything"),
        (("pull", "promptreg.yaml", "greet"), "is not a folder"),
        (("update", "nothing"), "unknown pulled prompt"),
        (("drop", "nothing"), "unknown pulled prompt"),
        (("show", "acme:greet"), "no source 'acme' has been pulled"),
    ],
)
def test_mistakes(line: tuple[str, ...], message: str, acme: RepositoryBuilder, consumer: User) -> None:
    before = files(consumer)
    said = consumer(*line)
    assert said.code == 2
    assert message in said.err
    assert "hint:" in said.err
    assert files(consumer) == before


def test_other_versions_must_be_pulled_first(acme: RepositoryBuilder, consumer: User) -> None:
    pulled(consumer("pull", "../acme", "support/triage@1.0.0", "--json"))
    assert consumer("show", "acme:support/triage@v1.0.0").code == 0
    said = consumer("show", "acme:support/triage@1.1.0")
    assert said.code == 2
    assert "pulled at 1.0.0" in said.err
    assert "did you mean 'support/triage'" in consumer("show", "acme:support/triag").err


def test_a_bundle_holds_pulled_prompts(acme: RepositoryBuilder, consumer: User) -> None:
    pulled(consumer("pull", "../acme", "support/triage@1.0.0", "--json"))
    said = consumer("bundle", "acme:support/triage", "-o", "b.json", "--json")
    assert said.code == 0, said.err
    assert said.json["prompts"][0]["version"] == "1.0.0"


# servers ----------------------------------------------------------------------------------------------------------------------


@pytest.fixture
def https(acme: RepositoryBuilder, tmp_path: Path) -> Iterator[GitServer]:
    key = certificate(tmp_path)
    with GitServer(acme.root, key) as server:
        yield server


def test_https(https: GitServer, acme: RepositoryBuilder, consumer: User) -> None:
    acme.git("config", "uploadpack.allowFilter", "true")
    trust_server(https)
    try:
        assert pulled(consumer("pull", f"{https.url}/smart", "support/triage@production", "--json")) == {
            "smart:support/triage": "1.0.0"
        }
        assert consumer("verify").code == 0
        assert "outdated" in consumer("outdated", "--json").out
    finally:
        distrust_server()


def test_dumb_https(https: GitServer, acme: RepositoryBuilder, consumer: User) -> None:
    acme.git("update-server-info")
    trust_server(https)
    try:
        assert pulled(consumer("pull", f"{https.url}/dumb", "support/triage@1.0.0", "--json")) == {"dumb:support/triage": "1.0.0"}
        assert consumer("verify").code == 0
    finally:
        distrust_server()


def test_a_server_that_nobody_vouches_for(https: GitServer, consumer: User) -> None:
    said = consumer("pull", f"{https.url}/smart", "greet")
    assert said.code == 2
    assert "certificate" in said.err


def trust_server(server: GitServer) -> None:
    git_config("http.sslCAInfo", str(server.certificate))


def distrust_server() -> None:
    git_config("--unset", "http.sslCAInfo")


def git_config(*arguments: str) -> None:
    subprocess.run(["git", "config", "--global", *arguments], check=True)


@pytest.mark.parametrize("form", ["bare", "file", "sha256", "subfolder", "packed"])
def test_kinds_of_repositories(form: str, acme: RepositoryBuilder, consumer: User, tmp_path: Path) -> None:
    url = "../acme"
    if form == "bare":
        subprocess.run(["git", "clone", "-q", "--bare", str(acme.root), str(tmp_path / "acme.git")], check=True)
        url = "../acme.git"
    elif form == "file":
        url = f"file://{acme.root}"
    elif form == "packed":
        acme.git("gc", "--quiet", "--prune=now")
    elif form == "sha256":
        shutil.rmtree(acme.root / ".git")
        acme.git("init", "--quiet", "--object-format=sha256")
        acme.commit()
        acme.tag("support/triage@v1.1.0")
    elif form == "subfolder":
        (acme.root / "deep").mkdir()
        acme.git("mv", "promptreg.yaml", "prompts", "deep/")
        acme.commit()
        acme.tag("support/triage@v1.2.0")
    assert consumer("pull", url, "support/triage", "--as", "acme").code == 0
    assert "Be brief." in consumer("render", "acme:support/triage", "-i", "ticket=x").out
    assert consumer("verify").code == 0


# at once, and killed ----------------------------------------------------------------------------------------------------------


def test_two_processes_pull_at_once(acme: RepositoryBuilder, consumer: User) -> None:
    started = [
        consumer.start("pull", "../acme", name, "--json") for name in ("support/triage", "greet", "support/triage@^1", "greet@1")
    ]
    assert [consumer.end(each).code for each in started] == [0, 0, 0, 0]
    assert set(json.loads(consumer("verify", "--json").out)["prompts"][0]) >= {"source", "prompt", "version"}
    assert len(consumer("verify", "--json").json["prompts"]) == 2


def test_killed_in_the_middle(acme: RepositoryBuilder, consumer: User, tmp_path: Path) -> None:
    """A pull is killed before each system call that changes something in turn; then the old state or the new one stands, whole."""
    pulled(consumer("pull", "../acme", "support/triage@1.0.0", "--json"))
    old = files(consumer)
    seen = set()
    for moment in range(1, 40):
        process = consumer.start(
            "pull", "../acme", "support/triage@1.1.0", env={"KILL_AT": str(moment), "PYTHONPATH": str(killer(tmp_path))}
        )
        said = consumer.end(process)
        versions = [each["version"] for each in consumer("verify", "--offline", "--json").json.get("prompts", [])]
        state = consumer("show", "acme:support/triage")
        assert state.code == 0, f"killed at {moment}: {state.err}"
        seen.add((said.code, tuple(versions)))
        if said.code == 0:
            break
        assert consumer("pull", "../acme", "support/triage@1.0.0").code == 0
        assert {path: content for path, content in files(consumer).items() if "@1.1.0" not in path} == old
    assert said.code == 0
    assert (-signal.SIGKILL) in {code for code, _ in seen}
    assert consumer("verify").code == 0


def killer(folder: Path) -> Path:
    """A folder for PYTHONPATH: what is started with it kills itself before its KILL_AT-th rename or unlink."""
    path = folder / "killer"
    path.mkdir(exist_ok=True)
    (path / "sitecustomize.py").write_text(
        "import os, signal\n"
        "count = int(os.environ.get('KILL_AT', 0))\n"
        "def wrapped(real):\n"
        "    def call(*arguments, **options):\n"
        "        global count\n"
        "        count -= 1\n"
        "        if count == 0:\n"
        "            os.kill(os.getpid(), signal.SIGKILL)\n"
        "        return real(*arguments, **options)\n"
        "    return call\n"
        "if count:\n"
        "    for name in ('rename', 'replace', 'unlink', 'rmdir'):\n"
        "        setattr(os, name, wrapped(getattr(os, name)))\n"
    )
    return path
