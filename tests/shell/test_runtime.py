"""The runtime: what production imports, from files, working trees, and a server that fails in every way it can."""

from __future__ import annotations

import contextlib
import http.server
import json
import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import promptreg
from promptreg.core.bundle import MAX_BYTES, Bundle, Bundled, Shelf, packed
from promptreg.core.canonical import digest_bytes
from promptreg.core.identity import behaviour_digest
from promptreg.core.prompt import MessageTemplate, Parameters, Part, Prompt
from promptreg.core.semver import parse_version
from promptreg.errors import BundleError, DataError, PromptregError, UsageError
from promptreg.runtime import Registry
from promptreg.runtime.remote import Remote, checked_url, shown_url
from promptreg.testing import small_registry

PATIENCE_S = 30.0
TOOL = {"type": "function", "function": {"name": "look_up", "description": "Finds an order.", "parameters": {"type": "object"}}}
ANSWER = {"type": "object", "properties": {"reason": {"type": "string"}, "queue": {"type": "string"}}}


def prompt(text: str = "{{ ticket }}", **changes: Any) -> Prompt:
    messages = (MessageTemplate(role="system", content="Name the queue."), MessageTemplate(role="user", content=text))
    return Prompt(name="triage", messages=messages, inputs={"ticket": {"type": "string"}}, **changes)


def bundle(*versions: str, made: Prompt | None = None) -> bytes:
    kept = made or prompt()
    shelf = Shelf(
        versions=tuple(
            Bundled(prompt=kept, source=digest_bytes(b""), behaviour=behaviour_digest(kept), version=parse_version(each))
            for each in versions
        ),
        labels={"production": parse_version(versions[0])},
        deprecated=("too old", "sort@1.0.0"),
    )
    return packed(Bundle(registry="acme", shelves={"triage": shelf}))[0]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "prompts.json"
    file.write_bytes(bundle("1.0.0", "1.1.0"))
    return file


# --- a file -------------------------------------------------------------------------------------------------------------------


def test_a_bundle_answers_by_reference(path: Path) -> None:
    registry = Registry.open(path)
    assert registry.names() == ("triage",)
    found = registry.get("triage@production")
    assert (found.name, found.version, found.labels) == ("triage", "1.0.0", ("production",))
    assert registry.get("triage").version == registry.get("triage@^1.0").version == "1.1.0"
    assert registry.get("triage@1.0.0") is found
    assert found.deprecated == ("too old", "sort@1.0.0")
    assert [message.text for message in found.render(ticket="Charged twice").messages] == ["Name the queue.", "Charged twice"]
    assert found.render({"ticket": "a"}) == found.render(ticket="a")


def test_what_a_trace_is_told(path: Path) -> None:
    rendered = Registry.open(str(path)).get("triage@production").render(ticket="a")
    assert rendered.attributes == {
        "gen_ai.prompt.name": "triage",
        "gen_ai.prompt.version": "1.0.0",
        "promptreg.prompt.digest": behaviour_digest(prompt()),
    }


@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        ({}, "input 'ticket' is missing"),
        ({"tickets": "a"}, "unknown input 'tickets'; did you mean 'ticket'?"),
        ({"ticket": 3}, 'breaks its schema: $: 3 is not of type "string"'),
    ],
)
def test_wrong_inputs_are_told_with_the_prompt(path: Path, inputs: dict[str, Any], words: str) -> None:
    with pytest.raises(DataError) as caught:
        Registry.open(path).get("triage@production").render(inputs)
    assert words in caught.value.message
    assert str(caught.value.where) == "triage@1.0.0"


def test_what_is_not_in_the_bundle_is_told_with_what_is(path: Path) -> None:
    registry = Registry.open(path)
    with pytest.raises(UsageError, match="did you mean 'triage'"):
        registry.get("triag")
    with pytest.raises(UsageError, match="did you mean 'production'"):
        registry.get("triage@prod")


def test_a_pin_holds(path: Path) -> None:
    digest = Registry.open(path).digest
    assert Registry.open(path, digest=digest).digest == digest
    with pytest.raises(BundleError, match="the bundle's digest is"):
        Registry.open(path, digest=digest_bytes(b""))


def test_a_file_that_is_not_there_and_one_that_is_no_bundle(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="cannot be read"):
        Registry.open(tmp_path / "none.json")
    (tmp_path / "other.json").write_text("{}")
    with pytest.raises(BundleError, match="names no schema"):
        Registry.open(tmp_path / "other.json")


def test_references_that_somebody_makes_up_are_not_kept(path: Path) -> None:
    registry = Registry.open(path)
    for patch in range(6000):
        registry.get(f"triage@<{patch + 2}")
    assert len(registry._loaded._known) <= 4096


# --- for the clients ----------------------------------------------------------------------------------------------------------


def rendered(tmp_path: Path, made: Prompt) -> Any:
    file = tmp_path / "prompts.json"
    file.write_bytes(bundle("1.0.0", made=made))
    return Registry.open(file).get("triage").render(ticket="a")


FULL = prompt(
    params=Parameters(temperature=0, top_k=5, max_tokens=16, stop=("\n",), seed=7, extra={"user": "u"}),
    tools=(TOOL,),
    output_schema=ANSWER,
)


def test_openai_gets_arguments_that_its_client_knows(tmp_path: Path) -> None:
    arguments = rendered(tmp_path, FULL).openai()
    assert arguments["messages"] == [{"role": "system", "content": "Name the queue."}, {"role": "user", "content": "a"}]
    assert (arguments["temperature"], arguments["max_completion_tokens"], arguments["seed"]) == (0, 16, 7)
    assert (arguments["stop"], arguments["tools"]) == (["\n"], [TOOL])
    assert arguments["extra_body"] == {"top_k": 5, "user": "u"}
    schema = arguments["response_format"]["json_schema"]["schema"]
    assert list(schema["properties"]) == ["reason", "queue"]  # the order in which the model will answer
    assert schema["additionalProperties"] is False
    assert "max_tokens" in rendered(tmp_path, FULL).openai(max_tokens_key="max_tokens")


def test_anthropic_gets_arguments_that_every_version_of_its_client_knows(tmp_path: Path) -> None:
    arguments = rendered(tmp_path, FULL).anthropic()
    assert arguments["system"] == "Name the queue."
    assert arguments["messages"] == [{"role": "user", "content": "a"}]
    assert (arguments["max_tokens"], arguments["stop_sequences"]) == (16, ["\n"])
    assert arguments["tools"] == [{"name": "look_up", "description": "Finds an order.", "input_schema": {"type": "object"}}]
    assert arguments.keys() == {"max_tokens", "messages", "stop_sequences", "system", "tools", "extra_body"}
    assert arguments["extra_body"].keys() == {"temperature", "top_k", "output_config", "user"}


def test_the_bodies_are_those_that_were_measured(tmp_path: Path) -> None:
    """The same mapping as the providers', so that production says to the model what the suites said."""
    from promptreg.core.dialects import anthropic_body, openai_body

    said = rendered(tmp_path, FULL)
    given = (said.messages, FULL.params, FULL.tools, FULL.output_schema)
    for arguments, body in ((said.openai(), openai_body(*given)), (said.anthropic(), anthropic_body(*given))):
        flat = arguments | arguments["extra_body"]
        assert {key: flat[key] for key in body} == body


@pytest.mark.parametrize(
    ("made", "words"),
    [
        (prompt(params=Parameters(presence_penalty=1)), "has no presence_penalty"),
        (prompt(params=Parameters(extra={"model": "other"})), "params may not set 'model'"),
        (
            Prompt(
                name="triage",
                messages=(MessageTemplate(role="system", content=(Part(type="image", value="https://example.com/{{ ticket }}"),)),),
                inputs={"ticket": {}},
            ),
            "no image in a system message",
        ),
    ],
)
def test_what_an_api_cannot_say_is_refused(tmp_path: Path, made: Prompt, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        rendered(tmp_path, made).anthropic()


# --- a working tree -----------------------------------------------------------------------------------------------------------


def test_a_working_tree_opens_as_a_bundle(tmp_path: Path) -> None:
    built = small_registry(tmp_path / "registry")
    found = promptreg.open(built.root / "prompts").get("triage")
    assert (found.version, found.render(ticket="a").messages[1].text) == (None, "a")
    assert "gen_ai.prompt.version" not in found.attributes
    with pytest.raises(UsageError, match="no label 'production'"):
        promptreg.open(built.root).get("triage@production")


def test_opening_a_working_tree_starts_no_process(tmp_path: Path) -> None:
    built = small_registry(tmp_path / "registry")
    loaded, events = spy(f"import promptreg; promptreg.open({str(built.root)!r}).get('triage').render(ticket='a')")
    assert not loaded & {"git", "click", "urllib3"}
    assert "subprocess.Popen" not in events


# --- what it costs ------------------------------------------------------------------------------------------------------------

SPY = """
import json, sys
events = set()
sys.addaudithook(lambda event, arguments: events.add(event))
{work}
print(json.dumps([sorted(sys.modules), sorted(events)]))
"""
FOREIGN = {
    "git",
    "click",
    "msgspec",
    "yaml",
    "urllib3",
    "jsonschema_rs",
    "pluggy",
    "tabulate",
    "platformdirs",
    "regex",
    "xllamacpp",
}


def spy(work: str) -> tuple[set[str], set[str]]:
    """Top-level modules loaded, and events audited, by *work* in a process of its own."""
    done = subprocess.run([sys.executable, "-c", SPY.format(work=work)], capture_output=True, text=True, check=True)
    modules, events = json.loads(done.stdout)
    return {name.partition(".")[0] for name in modules}, set(events)


def test_production_needs_jinja_only(path: Path) -> None:
    get = f"from promptreg.runtime import Registry\np = Registry.open({str(path)!r}).get('triage@production')"
    loaded, events = spy(get)
    assert not loaded & {*FOREIGN, "jinja2", "urllib.request", "logging"}
    assert not {event for event in events if event.startswith(("socket.", "subprocess.", "os.system", "urllib."))}
    loaded, _ = spy(f"{get}\np.render(ticket='a').openai()\np.render(ticket='a').anthropic()")
    assert "jinja2" in loaded
    assert not loaded & FOREIGN


def test_production_works_where_nothing_else_is_installed(path: Path) -> None:
    barred = f"class Bar:\n def find_spec(self, name, *_):\n  if name.partition('.')[0] in {FOREIGN!r}: raise ImportError(name)\n"
    work = f"{barred}sys.meta_path.insert(0, Bar())\nfrom promptreg.runtime import Registry\nRegistry.open({str(path)!r})"
    spy(f"{work}.get('triage').render(ticket='a')")


# --- a server -----------------------------------------------------------------------------------------------------------------


class Server:
    """Serves `content`; `plan` may answer a request in its own way instead. `asked` holds the headers of every request."""

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.plan: Callable[[http.server.BaseHTTPRequestHandler], bool] = lambda _request: False
        self.asked: list[dict[str, str]] = []
        self.statuses: list[int] = []
        self.gate = threading.Event()
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.asked.append({key.lower(): value for key, value in self.headers.items()})
                with contextlib.suppress(OSError):
                    if not outer.plan(self):
                        outer.answer(self)

            def log_message(self, *_: Any) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}/prompts.json"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def answer(self, request: http.server.BaseHTTPRequestHandler) -> None:
        etag = f'"{digest_bytes(self.content)}"'
        status = 304 if request.headers.get("If-None-Match") == etag else 200
        self.statuses.append(status)
        send(request, status, b"" if status == 304 else self.content, ETag=etag)

    def close(self) -> None:
        self.gate.set()
        self._server.shutdown()
        self._server.server_close()


def send(request: http.server.BaseHTTPRequestHandler, status: int, body: bytes, **headers: str) -> bool:
    request.send_response(status)
    for name, value in {"Content_Length": str(len(body)), **headers}.items():
        request.send_header(name.replace("_", "-"), value)
    request.end_headers()
    request.wfile.write(body)
    return True


@pytest.fixture
def server() -> Iterator[Server]:
    running = Server(bundle("1.0.0"))
    yield running
    running.close()


def until(ready: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not ready():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.002)


def version(registry: Registry) -> str | None:
    return registry.get("triage@production").version


def eventually(registry: Registry, wanted: str) -> None:
    until(lambda: version(registry) == wanted)


def test_a_new_bundle_comes_behind_the_callers_back(server: Server) -> None:
    registry = Registry.open(server.url, max_age_s=0)
    assert version(registry) == "1.0.0"
    server.content = bundle("2.0.0")
    eventually(registry, "2.0.0")


def test_an_unchanged_bundle_is_not_sent_again(server: Server) -> None:
    registry = Registry.open(server.url, max_age_s=0)
    held = registry.get("triage")
    until(lambda: (version(registry), server.statuses.count(304) >= 2)[1])
    assert server.statuses.count(200) == 1
    assert registry.get("triage") is held


def test_a_fresh_bundle_is_not_asked_for(server: Server) -> None:
    registry = Registry.open(server.url, max_age_s=3600)
    assert {version(registry) for _ in range(100)} == {"1.0.0"}
    assert len(server.asked) == 1
    server.content = bundle("2.0.0")
    assert registry.refresh()
    assert version(registry) == "2.0.0"
    assert not registry.refresh()


def test_get_never_waits_for_the_network(server: Server) -> None:
    registry = Registry.open(server.url, max_age_s=0)
    server.plan = lambda _request: not server.gate.wait()  # the server holds its breath
    server.content = bundle("2.0.0")
    asked = len(server.asked)
    until(lambda: (version(registry), len(server.asked) > asked)[1])
    assert version(registry) == "1.0.0"  # answered, while the server still says nothing
    server.gate.set()
    eventually(registry, "2.0.0")


BAD: dict[str, tuple[Callable[[Any], bool], str]] = {
    "500": (lambda request: send(request, 500, b""), "the server says 500"),
    "404": (lambda request: send(request, 404, b""), "the server says 404"),
    "304 unasked": (lambda request: send(request, 304, b"") if not request.headers.get("If-None-Match") else False, "304"),
    "garbage": (lambda request: send(request, 200, b"<html>"), "not a bundle"),
    "changed": (lambda request: send(request, 200, bundle("9.0.0").replace(b"9.0.0", b"9.0.1")), "not what its digest says"),
    "schema": (lambda request: send(request, 200, bundle("9.0.0").replace(b"bundle/1", b"bundle/9")), "bundle/9"),
    "cut": (lambda request: send(request, 200, bundle("9.0.0")[:-9], Content_Length="9999"), "was cut"),
    "huge": (lambda request: send(request, 200, b"{}", Content_Length=str(MAX_BYTES + 1)), "larger than"),
    "dropped": (lambda request: bool(request.connection.close()) or True, "cannot be fetched"),
    "file": (lambda request: send(request, 302, b"", Location="file:///etc/passwd"), "is not allowed"),
    "http": (lambda request: send(request, 302, b"", Location="http://example.com/x?key=secret"), "http://example.com/x"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_bundle_never_replaces_a_good_one(server: Server, name: str, tmp_path: Path) -> None:
    plan, words = BAD[name]
    if name != "304 unasked":
        told: list[PromptregError] = []
        registry = Registry.open(server.url, max_age_s=0, on_error=told.append, cache=tmp_path / "cache.json")
        server.plan = plan
        until(lambda: (version(registry), told)[1])
        assert version(registry) == "1.0.0"
        assert words in told[0].message
        assert "secret" not in str(told[0])
        server.plan, server.content = lambda _request: False, bundle("2.0.0")
        eventually(registry, "2.0.0")
    server.plan = plan
    with pytest.raises(BundleError, match=words):
        Registry.open(server.url)


def test_without_a_callback_faults_are_logged(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    registry = Registry.open(server.url, max_age_s=0)
    server.plan = BAD["500"][0]
    with caplog.at_level(logging.WARNING, "promptreg.runtime"):
        until(lambda: (version(registry), caplog.records)[1])
    assert "the last good bundle stays" in caplog.text


def test_a_callback_that_fails_does_no_harm(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    failed: list[object] = []
    monkeypatch.setattr(threading, "excepthook", failed.append)

    def fail_once(_fault: PromptregError) -> None:
        if not failed:
            raise ValueError("the callback's own fault")

    registry = Registry.open(server.url, max_age_s=0, on_error=fail_once)
    server.plan = BAD["500"][0]
    until(lambda: (version(registry), failed)[1])
    server.plan, server.content = lambda _request: False, bundle("2.0.0")
    eventually(registry, "2.0.0")


def test_a_pinned_bundle_is_fetched_once_and_then_kept(server: Server, tmp_path: Path) -> None:
    digest = Registry.open(server.url).digest
    cache = tmp_path / "cache.json"
    assert version(Registry.open(server.url, digest=digest, cache=cache, max_age_s=0)) == "1.0.0"
    asked = len(server.asked)
    assert version(Registry.open(server.url, digest=digest, cache=cache, max_age_s=0)) == "1.0.0"
    assert len(server.asked) == asked
    with pytest.raises(BundleError, match="the bundle's digest is"):
        Registry.open(server.url, digest=digest_bytes(b""))


def test_a_cache_bridges_a_start_without_network(server: Server, tmp_path: Path) -> None:
    cache = tmp_path / "cache.json"
    Registry.open(server.url, cache=cache)
    assert cache.read_bytes() == server.content
    assert [entry.name for entry in tmp_path.iterdir()] == ["cache.json"]
    server.plan = BAD["500"][0]
    told: list[PromptregError] = []
    registry = Registry.open(server.url, cache=cache, max_age_s=0, on_error=told.append)
    assert version(registry) == "1.0.0"
    assert "the server says 500" in told[0].message
    server.plan, server.content = lambda _request: False, bundle("2.0.0")
    eventually(registry, "2.0.0")
    until(lambda: cache.read_bytes() == server.content)


def test_a_bad_cache_is_no_bundle_and_one_that_cannot_be_written_is_told(server: Server, tmp_path: Path) -> None:
    cache = tmp_path / "cache.json"
    cache.write_text("{}")
    server.plan = BAD["500"][0]
    told: list[PromptregError] = []
    with pytest.raises(BundleError, match="the server says 500"):
        Registry.open(server.url, cache=cache, on_error=told.append)
    assert "names no schema" in told[0].message
    server.plan = lambda _request: False
    assert version(Registry.open(server.url, cache=tmp_path / "none" / "cache.json", on_error=told.append)) == "1.0.0"
    assert "cannot be kept" in told[1].message


def test_a_silent_server_costs_no_more_than_the_timeout(server: Server) -> None:
    server.plan = lambda _request: not server.gate.wait()
    with pytest.raises(BundleError, match=r"within 0\.05 s|timed out"):
        Registry.open(server.url, timeout_s=0.05)


def test_a_server_that_trickles_is_given_up(server: Server) -> None:
    told: list[PromptregError] = []
    registry = Registry.open(server.url, max_age_s=0, timeout_s=0.05, on_error=told.append)

    def trickle(request: Any) -> bool:
        request.wfile.write(b"HTTP/1.1 200 OK\r\n")
        while not server.gate.wait(0.01):
            request.wfile.write(b"X: y\r\n")
        return True

    server.plan = trickle
    until(lambda: (version(registry), told)[1])
    assert version(registry) == "1.0.0"
    server.plan, server.content = lambda _request: False, bundle("2.0.0")
    eventually(registry, "2.0.0")


def test_headers_go_to_the_urls_own_host_only(server: Server) -> None:
    other = Server(server.content)
    try:
        server.plan = lambda request: send(request, 302, b"", Location=other.url)
        registry = Registry.open(server.url, headers={"Authorization": "Bearer key"})
        assert version(registry) == "1.0.0"
        assert server.asked[0]["authorization"] == "Bearer key"
        assert "authorization" not in other.asked[0]
    finally:
        other.close()


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://example.com/prompts.json", "not fetched from here"),
        ("http://127.0.0.1.example.com/prompts.json", "not fetched from here"),
        ("file:///etc/passwd", "not fetched from here"),
        ("ftp://example.com/x", "not fetched from here"),
        ("https://user:password@example.com/x", "holds a login"),
        ("https:///x", "names no host"),
        ("https://example.com/\r\nX: y", "names no host"),
    ],
)
def test_only_https_is_fetched(url: str, words: str) -> None:
    with pytest.raises(UsageError, match=words) as caught:
        Registry.open(url)
    assert "password" not in str(caught.value)


def test_http_to_this_machine_is_allowed() -> None:
    for url in ("http://localhost:1/x", "http://127.8.9.1/x", "http://[::1]:80/x", "https://example.com/x?key=1"):
        assert checked_url(url, shown_url(url)) == url
    assert shown_url("https://u:p@example.com:8443/a/b?key=1#f") == "https://example.com:8443/a/b"


# --- threads and forks --------------------------------------------------------------------------------------------------------


def test_many_threads_get_while_bundles_change(server: Server) -> None:
    registry = Registry.open(server.url, max_age_s=0)
    seen: list[set[str | None]] = []
    faults: list[BaseException] = []
    stop = threading.Event()

    def read() -> None:
        mine: set[str | None] = set()
        seen.append(mine)
        try:
            while not stop.is_set():
                found = registry.get("triage@production")
                mine.add(found.version)
                assert found.render(ticket="a").attributes["gen_ai.prompt.version"] == found.version
        except BaseException as fault:  # noqa: BLE001  a thread's failure is the test's
            faults.append(fault)

    threads = [threading.Thread(target=read) for _ in range(8)]
    for thread in threads:
        thread.start()
    for major in range(2, 8):
        server.content = bundle(f"{major}.0.0")
        eventually(registry, f"{major}.0.0")
    until(lambda: all("7.0.0" in mine for mine in seen))
    stop.set()
    for thread in threads:
        thread.join(PATIENCE_S)
    assert not faults
    assert set().union(*seen) <= {f"{major}.0.0" for major in range(1, 8)}


def test_threads_of_one_moment_ask_once(server: Server) -> None:
    registry = Registry.open(server.url, max_age_s=0)
    server.plan = lambda _request: not server.gate.wait()
    barrier = threading.Barrier(8)

    def read() -> None:
        barrier.wait(PATIENCE_S)
        for _ in range(50):
            registry.get("triage")

    threads = [threading.Thread(target=read) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_S)
    until(lambda: len(server.asked) == 2)
    assert len(server.asked) == 2


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_a_child_that_was_forked_in_mid_flight_refreshes_by_itself(server: Server) -> None:
    registry = Registry.open(server.url, max_age_s=0)
    server.plan = lambda _request: not server.gate.wait()
    until(lambda: (version(registry), len(server.asked) == 2)[1])  # the parent's thread hangs in its request
    assert registry._remote is not None
    registry._remote._lock.acquire()  # and another of its threads holds the lock at the very moment
    child = os.fork()
    if child == 0:
        code = 1
        with contextlib.suppress(BaseException):
            deadline = time.monotonic() + PATIENCE_S
            while version(registry) != "2.0.0" and time.monotonic() < deadline:
                time.sleep(0.002)
            code = 0 if registry.get("triage").render(ticket="a").attributes["gen_ai.prompt.version"] == "2.0.0" else 2
        os._exit(code)
    registry._remote._lock.release()
    until(lambda: (version(registry), len(server.asked) >= 3)[1])  # the child's own request
    server.content = bundle("2.0.0")
    server.gate.set()
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    eventually(registry, "2.0.0")


def test_failures_are_followed_by_longer_and_longer_pauses() -> None:
    remote = Remote(
        "http://127.0.0.1:9/x", expected=None, max_age_s=60, timeout_s=1, cache=None, headers={}, on_error=lambda _fault: None
    )
    pauses = []
    for failures in (1, 2, 3, 4, 5, 50, 0):
        remote._wait(failures)
        pauses.append(round(remote._due - time.monotonic()))
    assert pauses == [5, 10, 20, 40, 60, 60, 60]
