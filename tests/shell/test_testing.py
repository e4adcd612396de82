"""The testing kit itself: the server is honest, its faults are as planned, its repositories are always the same."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from promptreg.core.run import Completion, Failure
from promptreg.http import Http, Reply
from promptreg.testing import (
    FakeProvider,
    Fault,
    LoopbackServer,
    RepositoryBuilder,
    call_for,
    failure_contract,
    provider_contract,
    small_registry,
    some_faults,
)

ASK = b'{"model": "m", "messages": [{"role": "user", "content": "hello"}]}'


def test_two_thousand_requests_over_sixty_four_connections() -> None:
    with LoopbackServer() as server, closing(Http(64)) as http, ThreadPoolExecutor(64) as pool:
        url = server.url + "/chat/completions"
        replies = list(pool.map(lambda _: http.post_json(url, {}, ASK, 30), range(2000)))
        assert all(isinstance(reply, Reply) and reply.status == 200 for reply in replies)
        assert server.requests == 2000


def test_planned_faults_are_the_same_each_time_and_about_as_many_as_asked() -> None:
    plan, again = some_faults(0.2, seed=7), some_faults(0.2, seed=7)
    planned = [plan(number) for number in range(1000)]
    assert planned == [again(number) for number in range(1000)]
    faults = [fault for fault in planned if fault is not None]
    assert 150 < len(faults) < 250
    assert {(fault.kind, fault.status) for fault in faults} == {("status", 429), ("status", 500), ("drop", 500), ("truncate", 500)}


def test_a_server_that_died_answers_nobody() -> None:
    plan = {2: Fault(kind="die")}
    with LoopbackServer(faults=plan.get) as server, closing(Http(4)) as http:
        results = [http.post_json(server.url + "/messages", {}, ASK, 5) for _ in range(4)]
    assert [type(result) for result in results] == [Reply, Reply, Failure, Failure]
    assert server.requests == 3


def test_unknown_paths_and_whole_bodies() -> None:
    with LoopbackServer(lambda request: {"echoed": request["model"]}) as server, closing(Http(1)) as http:
        lost = http.post_json(server.url + "/embeddings", {}, ASK, 5)
        found = http.post_json(server.url + "/messages", {}, ASK, 5)
    assert isinstance(lost, Reply)
    assert lost.status == 404
    assert isinstance(found, Reply)
    assert found.body == b'{"echoed": "m"}'


def test_repositories_are_the_same_wherever_they_are_built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "elsewhere"))
    monkeypatch.setenv("GIT_AUTHOR_NAME", "Mallory")
    one, other = small_registry(tmp_path / "a"), small_registry(tmp_path / "b")
    assert one.git("rev-parse", "HEAD") == other.git("rev-parse", "HEAD")
    assert one.write("prompts/new.yaml", b"x").commit() == other.write("prompts/new.yaml", "x").commit()
    assert one.delete("prompts/new.yaml").tag("triage@v1.0.0") == other.delete("prompts/new.yaml").tag("triage@v1.0.0")
    assert one.git("status", "--porcelain").split() == ["D", "prompts/new.yaml"]
    assert one.git("log", "-1", "--format=%an <%ae> %ct") == "Ada Example <ada@example.org> 1767226020"
    assert not (tmp_path / "elsewhere").exists()


def test_an_empty_repository_has_no_commit(tmp_path: Path) -> None:
    assert RepositoryBuilder(tmp_path / "r").git("rev-list", "--all") == ""


class Leaky(FakeProvider):
    def __repr__(self) -> str:
        return "Leaky(key=sk-42)"


def test_the_contract_catches_what_it_is_for() -> None:
    with pytest.raises(AssertionError, match="key"):
        provider_contract(Leaky(), secrets=("sk-42",))
    with pytest.raises(AssertionError, match="down"):
        provider_contract(FakeProvider([Failure(kind="server", message="down")]))
    with pytest.raises(AssertionError, match="added by promptreg"):
        provider_contract(FakeProvider(identity={"model": "m"}))
    with pytest.raises(AssertionError, match="one line"):
        failure_contract(Failure(kind="server", message="two\nlines"))
    with pytest.raises(AssertionError, match="expected a failure"):
        failure_contract(Completion(text="fine"))


def test_a_provider_that_raises_breaks_the_contract() -> None:
    def faulty(_call: object) -> str:
        raise RuntimeError("oops")

    with pytest.raises(RuntimeError, match="oops"):
        provider_contract(FakeProvider(faulty))


def test_calls_follow_the_providers_key() -> None:
    assert call_for(FakeProvider(), case="c").case is None
    assert call_for(FakeProvider(keyed_by="case"), case="c").case == "c"
