"""The HTTP door against a server that really fails: every fault becomes the right Failure, and no key is ever shown."""

from __future__ import annotations

import base64
import json
import re
import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from promptreg.core.run import Failure
from promptreg.errors import UsageError, Where
from promptreg.http import Address, Endpoint, Http, Reply, complaint, endpoint
from promptreg.http.proxies import proxy_for, proxy_login
from promptreg.http.replies import retry_after_s
from promptreg.testing import Fault, LoopbackServer, failure_contract

KEY = "sk-live-4242424242424242"
WHERE = Where("promptreg.yaml", 3)
BODY = json.dumps({"model": "m", "messages": [{"role": "user", "content": "hello"}]}).encode()
HEADERS = {"Content-Type": "application/json"}


def post(server: LoopbackServer, timeout_s: float = 10.0, path: str = "/chat/completions") -> Reply | Failure:
    with closing(Http(4)) as http:
        return http.post_json(server.url + path, HEADERS, BODY, timeout_s)


def test_a_call_comes_back_with_status_headers_body_and_time() -> None:
    with LoopbackServer() as server:
        reply = post(server)
    assert isinstance(reply, Reply)
    assert reply.status == 200
    assert reply.headers["CONTENT-TYPE"] == "application/json"
    assert json.loads(reply.body)["choices"][0]["message"]["content"] == "hello"
    assert reply.elapsed_s > 0
    assert server.received[0].headers["host"] == f"127.0.0.1:{server.port}"


@pytest.mark.parametrize(
    ("fault", "timeout_s", "kind"),
    [
        (Fault(kind="drop"), 10, "connection"),
        (Fault(kind="die"), 10, "connection"),
        (Fault(kind="truncate"), 10, "garbled"),
        (Fault(kind="hang"), 0.2, "timeout"),
    ],
)
def test_network_faults_are_retryable_failures_and_the_next_call_works(fault: Fault, timeout_s: float, kind: str) -> None:
    with LoopbackServer(faults=lambda number: fault if number == 0 else None) as server, closing(Http(1)) as http:
        result = failure_contract(http.post_json(server.url + "/chat/completions", HEADERS, BODY, timeout_s))
        assert (result.kind, result.retryable) == (kind, True)
        if fault.kind != "die":
            assert isinstance(http.post_json(server.url + "/chat/completions", HEADERS, BODY, 10), Reply)
        assert server.requests == (1 if fault.kind == "die" else 2), "the door itself retries nothing"


def test_nobody_listening() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    result = failure_contract(Http(1).post_json(f"http://127.0.0.1:{port}/v1", HEADERS, BODY, 5))
    assert (result.kind, result.retryable) == ("connection", True)
    assert "0x" not in result.message


def test_an_unknown_host() -> None:
    result = failure_contract(Http(1).post_json("http://nowhere.invalid/v1", HEADERS, BODY, 5))
    assert (result.kind, result.retryable) == ("connection", True)
    assert "resolved" in result.message


@contextmanager
def raw_server(speak: Callable[[socket.socket], object]) -> Iterator[str]:
    """A server that says exactly the bytes *speak* sends."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(65536)
                speak(connection)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
        thread.join(5)


@pytest.mark.parametrize(
    ("sent", "kind"),
    [
        (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", "garbled"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", "garbled"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nhello\r\n0\r\n\r\n", "garbled"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Encoding: gzip\r\n\r\nabc", "garbled"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{}", "garbled"),
        (b"", "connection"),
    ],
)
def test_what_is_not_http(sent: bytes, kind: str) -> None:
    with raw_server(lambda connection: connection.sendall(sent)) as url:
        result = failure_contract(Http(1).post_json(url, HEADERS, BODY, 5))
    assert (result.kind, result.retryable) == (kind, True)


def test_a_body_without_end_is_stopped() -> None:
    def flood(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        piece = b"x" * 2**20
        try:
            for _ in range(100):
                connection.sendall(piece)
        except OSError:
            pass  # the client hung up, as it should

    with raw_server(flood) as url:
        result = failure_contract(Http(1).post_json(url, HEADERS, BODY, 30))
    assert (result.kind, result.retryable) == ("garbled", False)
    assert "32 MiB" in result.message


def test_a_body_that_trickles_is_stopped_at_the_deadline() -> None:
    done = threading.Event()

    def trickle(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
        try:
            while not done.wait(0.02):
                connection.sendall(b"x")
        except OSError:
            pass  # the client hung up, as it should

    with raw_server(trickle) as url:
        result = failure_contract(Http(1).post_json(url, HEADERS, BODY, 0.3))
        done.set()
    assert (result.kind, result.retryable) == ("timeout", True)


def test_connections_are_kept_and_bounded() -> None:
    gate = threading.Barrier(3)

    def answer(_request: object) -> str:
        gate.wait(10)
        return "together"

    with LoopbackServer(answer) as server, closing(Http(3)) as http, ThreadPoolExecutor(12) as pool:
        replies = list(pool.map(lambda _: http.post_json(server.url + "/messages", HEADERS, BODY, 20), range(12)))
        assert all(isinstance(reply, Reply) for reply in replies)
        assert server.connections == 3


def test_a_full_pool_times_out() -> None:
    with LoopbackServer(faults=lambda _n: Fault(kind="hang")) as server, closing(Http(1)) as http, ThreadPoolExecutor(2) as pool:
        both = list(pool.map(lambda wait: http.post_json(server.url + "/messages", HEADERS, BODY, wait), (0.4, 0.1)))
    assert [failure_contract(result).kind for result in both] == ["timeout", "timeout"]


def test_plain_http_behind_https_is_a_failure() -> None:
    with raw_server(lambda connection: connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")) as url:
        result = failure_contract(Http(1).post_json(url.replace("http:", "https:"), HEADERS, BODY, 5))
    assert result.kind == "connection"
    assert "TLS" in result.message


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl to make a certificate")
def test_a_certificate_nobody_vouches_for_is_refused(tmp_path: Path) -> None:
    subject = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    made = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", *subject]
    subprocess.run([*made, "-keyout", tmp_path / "key", "-out", tmp_path / "cert"], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "cert", tmp_path / "key")
    heard: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection, suppress(OSError), context.wrap_socket(connection, server_side=True) as secured:
                heard.append(secured.recv(65536))

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        result = failure_contract(Http(1).post_json(f"https://127.0.0.1:{listener.getsockname()[1]}/v1", HEADERS, BODY, 5))
        thread.join(5)
    assert (result.kind, result.retryable) == ("connection", False)
    assert "certificate" in result.message
    assert not any(heard), "nothing may be sent to a server that is not who it says"


# --- what replies mean --------------------------------------------------------------------------------------------------------


def door(**headers: str) -> Endpoint:
    address = Address(base_url="https://api.example.com/v1", path="/x", key_env="THE_KEY", headers=headers, where=WHERE)
    return endpoint(address, {"THE_KEY": f"{KEY}\n"}, ("Authorization", "Bearer "), {})


def reply(status: int, body: bytes = b"", **headers: str) -> Reply:
    return Reply(
        status=status, headers={name.replace("_", "-"): value for name, value in headers.items()}, body=body, elapsed_s=0.1
    )


@pytest.mark.parametrize(
    ("given", "kind", "retryable", "wait"),
    [
        (reply(429, retry_after="7"), "rate_limit", True, 7),
        (reply(429, retry_after_ms="250"), "rate_limit", True, 0.25),
        (reply(429, retry_after="soon"), "rate_limit", True, None),
        (reply(429, retry_after="-3"), "rate_limit", True, 0),
        (reply(429, retry_after="inf"), "rate_limit", True, None),
        (reply(429, b'{"error": {"code": "insufficient_quota", "message": "pay"}}'), "rate_limit", False, None),
        (reply(500), "server", True, None),
        (reply(503, retry_after="2"), "server", True, 2),
        (reply(529, b'{"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}'), "server", True, None),
        (reply(401), "auth", False, None),
        (reply(403), "auth", False, None),
        (reply(408), "timeout", True, None),
        (reply(400), "request", False, None),
        (reply(404), "request", False, None),
        (reply(302, location="https://evil.example/steal"), "request", False, None),
    ],
)
def test_statuses(given: Reply, kind: str, retryable: bool, wait: float | None) -> None:
    result = failure_contract(door().failure(given), secrets=(KEY,))
    assert (result.kind, result.retryable, result.retry_after_s) == (kind, retryable, wait)


def test_retry_after_as_a_date() -> None:
    date = {"retry-after": "Fri, 20 Nov 2026 12:00:30 GMT"}
    assert retry_after_s(date, now=1795176000.0) == 30
    assert retry_after_s({**date, "date": "Fri, 20 Nov 2026 12:00:10 GMT"}) == 20
    assert retry_after_s(date, now=2e9) == 0


def test_auth_names_the_variable_and_no_message_shows_the_key_or_its_ends() -> None:
    said = f"Incorrect API key provided: {KEY[:8]}****4242. You sent {KEY}."
    body = json.dumps({"error": {"message": said + "\n" * 5 + "word " * 1000}}).encode()
    for status in (400, 401, 403, 429, 500):
        message = failure_contract(door().failure(reply(status, body)), secrets=(KEY, KEY[:8])).message
        assert len(message) < 500
        assert "Incorrect API key provided: ***" in message
    assert "THE_KEY" in door().failure(reply(401, body)).message
    assert KEY not in repr(door())


def test_a_redirect_is_not_followed() -> None:
    with (
        LoopbackServer() as aim,
        LoopbackServer(faults=lambda _n: Fault(kind="status", status=307, headers={"Location": aim.url})) as server,
    ):
        result = post(server)
    assert isinstance(result, Reply)
    assert result.status == 307
    assert aim.requests == 0


def test_a_key_that_the_server_repeats_is_masked_in_the_answer() -> None:
    with LoopbackServer(lambda request: f"you sent {KEY}") as server, closing(Http(1)) as http:
        address = Address(base_url=server.url, path="/messages", key_env="K", headers={}, where=WHERE)
        result = endpoint(address, {"K": KEY}, ("x-api-key", ""), {}).post(http, BODY, 5)
    assert isinstance(result, Reply)
    assert KEY.encode() not in result.body
    assert b"you sent ***" in result.body


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b'{"error": {"message": "no", "code": "c", "type": "t"}}', ("no", "c")),
        (b'{"error": {"message": "no", "code": 400, "type": "t"}}', ("no", "t")),
        (b'{"type": "error", "error": {"type": "t", "message": "no"}}', ("no", "t")),
        (b'{"error": "no"}', ("no", "")),
        (b'{"detail": [{"loc": ["body"]}]}', ('[{"loc": ["body"]}]', "")),
        (b"plain words", ("plain words", "")),
        (b"<html><body>502</body></html>", ("", "")),
        (b"[" * 100_000, ("[" * 1200, "")),
        (b"", ("", "")),
        (b"\xff", ("\ufffd", "")),
        (b"null", ("None", "")),
    ],
)
def test_a_servers_own_words(body: bytes, expected: tuple[str, str]) -> None:
    assert complaint(body) == expected


# --- addresses and keys -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("https://API.Example.com:443/v1/", "https://api.example.com/v1"),
        ("http://127.0.0.1:8000/v1", "http://127.0.0.1:8000/v1"),
        ("http://[::1]:80", "http://[::1]"),
    ],
)
def test_one_address_has_one_spelling(url: str, origin: str) -> None:
    address = Address(base_url=url, path="/x", key_env=None, headers={}, where=WHERE)
    built = endpoint(address, {}, ("Authorization", "Bearer "), {})
    assert (built.origin, built.url) == (origin, origin + "/x")
    assert "Authorization" not in built.headers


@pytest.mark.parametrize(
    "url",
    [
        "",
        "api.example.com/v1",
        "ftp://x/v1",
        "https://",
        "https://u:p@x/v1",
        "https://x/v1?key=s",
        "http://x:99999/",
        "http://a b/",
    ],
)
def test_addresses_that_are_none_or_hold_a_key(url: str) -> None:
    address = Address(base_url=url, path="/x", key_env=None, headers={}, where=WHERE)
    with pytest.raises(UsageError) as caught:
        endpoint(address, {}, ("Authorization", "Bearer "), {})
    assert caught.value.where == WHERE


def first_call(address: Address, env: dict[str, str]) -> None:
    """Builds the endpoint and makes the first call, which is when a key is missed; nobody listens at the address."""
    with closing(Http(1)) as http:
        endpoint(address, env, ("Authorization", "Bearer "), {}).post(http, BODY, 0.1)


@pytest.mark.parametrize(
    ("headers", "env", "says"),
    [
        ({"Authorization": "Bearer sk-123"}, {}, "never stand in files"),
        ({"api-key": "sk-123"}, {}, "never stand in files"),
        ({"X-Team": {"env": "TEAM"}}, {}, "TEAM is not set"),
        ({"X-Team": {"env": "TEAM"}}, {"TEAM": "a\r\nX-Evil: 1"}, "TEAM holds characters"),
        ({"X-Team": "a\r\nX-Evil: 1"}, {}, "plain text"),
        ({"X Team": "a"}, {}, "not a header name"),
        ({"X-Team": 3}, {}, "plain text"),
    ],
)
def test_headers_that_are_refused(headers: dict[str, str], env: dict[str, str], says: str) -> None:
    address = Address(base_url="https://x/v1", path="/x", key_env=None, headers=headers, where=WHERE)
    with pytest.raises(UsageError, match=says) as caught:
        first_call(address, env)
    assert "sk-123" not in f"{caught.value}{caught.value.hint}"


def test_headers_by_name_reach_the_wire_and_stay_secret() -> None:
    with LoopbackServer() as server, closing(Http(1)) as http:
        headers = {"api-key": {"env": "AZURE"}, "X-Plain": "yes", "user-agent": "me"}
        address = Address(base_url=server.url, path="/messages", key_env=None, headers=headers, where=WHERE)
        built = endpoint(address, {"AZURE": f" {KEY}\n"}, ("Authorization", "Bearer "), {})
        assert isinstance(built.post(http, BODY, 5), Reply)
    sent = server.received[0].headers
    assert (sent["api-key"], sent["x-plain"], sent["user-agent"]) == (KEY, "yes", "me")
    assert built.literal == {"X-Plain": "yes", "user-agent": "me"}
    assert KEY not in repr(built)


def test_a_missing_key_names_the_variable_and_its_place() -> None:
    line = Where("promptreg.yaml", 5, 9)
    address = Address(base_url="https://x", path="/x", key_env="MY_KEY", headers={}, where=WHERE, marks={"api_key_env": line})
    with pytest.raises(UsageError, match="MY_KEY is not set") as caught:
        first_call(address, {"MY_KEY": "  "})
    assert caught.value.where == line
    assert "export MY_KEY" in (caught.value.hint or "")


# --- proxies ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "env", "proxy"),
    [
        ("https://a.b/", {}, None),
        ("https://a.b/", {"HTTPS_PROXY": "http://p:3128"}, "http://p:3128"),
        ("https://a.b/", {"https_proxy": "p:3128", "HTTPS_PROXY": "http://q"}, "http://p:3128"),
        ("https://a.b/", {"HTTP_PROXY": "http://p"}, None),
        ("http://a.b/", {"ALL_PROXY": "http://p"}, "http://p"),
        ("http://localhost:8000/", {"http_proxy": "http://p"}, None),
        ("http://127.0.0.2:8000/", {"http_proxy": "http://p"}, None),
        ("http://[::1]/", {"http_proxy": "http://p"}, None),
        ("https://a.b/", {"HTTPS_PROXY": "http://p", "NO_PROXY": "*"}, None),
        ("https://a.b/", {"HTTPS_PROXY": "http://p", "NO_PROXY": "x.y, .b"}, None),
        ("https://a.b/", {"HTTPS_PROXY": "http://p", "NO_PROXY": "A.B"}, None),
        ("https://xa.b/", {"HTTPS_PROXY": "http://p", "NO_PROXY": "a.b"}, "http://p"),
        ("https://a.b:8443/", {"HTTPS_PROXY": "http://p", "NO_PROXY": "a.b:8443"}, None),
        ("https://a.b:8443/", {"HTTPS_PROXY": "http://p", "NO_PROXY": "a.b:443"}, "http://p"),
        ("https://10.1.2.3/", {"HTTPS_PROXY": "http://p", "NO_PROXY": "10.0.0.0/8"}, None),
        ("https://11.1.2.3/", {"HTTPS_PROXY": "http://p", "NO_PROXY": "10.0.0.0/8,"}, "http://p"),
    ],
)
def test_which_proxy(url: str, env: dict[str, str], proxy: str | None) -> None:
    assert proxy_for(urlsplit(url), env) == proxy


def test_a_proxy_is_used_with_its_login_and_never_shown() -> None:
    seen: list[bytes] = []

    def proxy(connection: socket.socket) -> None:
        body = b'{"ok": true}'
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))

    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                seen.append(connection.recv(65536))
                proxy(connection)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        env = {"http_proxy": f"http://ada:pass%40word@127.0.0.1:{listener.getsockname()[1]}"}
        with closing(Http(1, env)) as http:
            result = http.post_json("http://models.example/v1/x", HEADERS, BODY, 5)
        thread.join(5)
    assert isinstance(result, Reply)
    assert seen[0].startswith(b"POST http://models.example/v1/x HTTP/1.1")
    login = re.search(rb"proxy-authorization: basic (\S+)", seen[0], re.IGNORECASE)
    assert login is not None
    assert base64.b64decode(login[1]) == b"ada:pass@word"
    assert proxy_login("http://a:b@h:1") == ("http://h:1", "a:b")


def test_a_dead_proxy_does_not_show_its_password() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    http = Http(1, {"https_proxy": f"http://ada:geheim@127.0.0.1:{port}"})
    result = failure_contract(http.post_json("https://models.example/v1", HEADERS, BODY, 5), secrets=("geheim",))
    assert (result.kind, result.retryable) == ("connection", True)


def test_unknown_proxy_schemes_are_refused() -> None:
    with pytest.raises(UsageError, match="socks5"):
        proxy_for(urlsplit("https://a.b/"), {"HTTPS_PROXY": "socks5://p"})


def test_a_page_that_is_not_there_has_a_remedy_and_a_long_wait_is_said() -> None:
    assert "base_url" in door().failure(reply(404, b"<html>not found</html>")).message
    assert "no such model" not in door().failure(reply(404, b'{"error": {"message": "unknown model m"}}')).message
    assert "it asks to wait 1,440 minutes" in door().failure(reply(429, retry_after="86400")).message
    assert "wait" not in door().failure(reply(429, retry_after="7")).message
