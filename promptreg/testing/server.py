"""An honest HTTP server on 127.0.0.1 that speaks /chat/completions and /messages, and fails exactly as it is told to.

For tests and benchmarks of whatever makes calls. It knows no provider: only what goes over the wire.
"""

from __future__ import annotations

import contextlib
import json
import random
import socket
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Literal, TypeAlias

FaultKind: TypeAlias = Literal["status", "drop", "truncate", "garbage", "hang", "die"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """What the server does instead of answering.

    `status` replies with that status, headers and body; `drop` closes the connection without a byte; `truncate` sends half a body
    under its full Content-Length; `garbage` answers 200 with what is not JSON; `hang` keeps silent until the server closes;
    `die` closes the server with every connection it has.
    """

    kind: FaultKind
    status: int = 500
    headers: Mapping[str, str] = field(default_factory=dict)
    body: str = '{"error": {"message": "told to fail"}}'


Plan: TypeAlias = Callable[[int], "Fault | None"]
"""The fault of the nth request (from 0), or None for an honest answer."""


def some_faults(share: float, seed: int = 0, retry_after: str = "0") -> Plan:
    """A plan that fails about *share* of the requests: 429, 500, a dropped connection, a truncated body in turn."""
    kinds = (
        Fault(kind="status", status=429, headers={"Retry-After": retry_after}),
        Fault(kind="status", status=500),
        Fault(kind="drop"),
        Fault(kind="truncate"),
    )

    def plan(number: int) -> Fault | None:
        chance = random.Random(f"{seed}/{number}")  # noqa: S311 - a test's dice, thrown anew for each number so that threads agree
        return chance.choice(kinds) if chance.random() < share else None

    return plan


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One request as it came in; header names in lower case."""

    path: str
    headers: Mapping[str, str]
    body: Any
    method: str = "POST"


Answers: TypeAlias = Callable[[Any], "str | Mapping[str, Any]"]
Api: TypeAlias = Callable[[Request], "tuple[int, Mapping[str, str], Any]"]
"""Another API than the two: a request's status, headers and JSON."""


def last_user_text(request: Any) -> str:
    """The default answer: what the last message said."""
    content = request["messages"][-1]["content"] if request.get("messages") else ""
    return content if isinstance(content, str) else "".join(part.get("text", "") for part in content)


class LoopbackServer:
    """`with LoopbackServer() as server: … server.url …`

    *answer* maps a request's JSON to the answer's text, or to a whole response body; *delay_s* passes before each answer;
    *faults* plans what goes wrong. `received` lists every request, also those that failed. With *api* it speaks that instead.
    """

    def __init__(
        self, answer: Answers = last_user_text, *, delay_s: float = 0.0, faults: Plan | None = None, api: Api | None = None
    ) -> None:
        self.received: list[Request] = []
        self._answer = answer
        self._api = api
        self._delay_s = delay_s
        self._faults = faults or (lambda _number: None)
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._connections: set[socket.socket] = set()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def url(self) -> str:
        """The base URL for both APIs: `url + "/chat/completions"`, `url + "/messages"`."""
        return f"http://127.0.0.1:{self.port}/v1"

    @property
    def requests(self) -> int:
        """How many requests came in so far."""
        return len(self.received)

    @property
    def connections(self) -> int:
        """How many connections are open now."""
        with self._lock:
            return len(self._connections)

    def close(self) -> None:
        """Stops listening and drops every connection: what a client sees when a server dies."""
        self._closed.set()
        with self._lock:
            sockets, self._connections = [self._listener, *self._connections], set()
        for each in sockets:
            _shut(each)

    def __enter__(self) -> LoopbackServer:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _accept(self) -> None:
        while not self._closed.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self._lock:
                self._connections.add(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        try:
            stream = connection.makefile("rb")
            while (request := _read_request(stream)) is not None and self._reply(connection, request):
                pass
        except (OSError, ValueError):
            pass  # the client went away, or the server was closed under us
        finally:
            with self._lock:
                self._connections.discard(connection)
            _shut(connection)

    def _reply(self, connection: socket.socket, request: Request) -> bool:
        """Answers or fails; returns whether the connection lives on."""
        with self._lock:
            number = len(self.received)
            self.received.append(request)
        fault = self._faults(number)
        if fault is None or fault.kind == "truncate":
            if self._delay_s:
                self._closed.wait(self._delay_s)
            whole = _answered(self._answer, request) if self._api is None else _said(*self._api(request))
            connection.sendall(whole if fault is None else whole[:-20])
            return fault is None
        if fault.kind == "status":
            connection.sendall(_response(fault.status, fault.body.encode(), fault.headers))
        elif fault.kind == "garbage":
            connection.sendall(_response(200, b"<html>hello</html>", {}))
        elif fault.kind == "hang":
            self._closed.wait()
        elif fault.kind == "die":
            self.close()
        return fault.kind in ("status", "garbage")


def _shut(each: socket.socket) -> None:
    with contextlib.suppress(OSError):
        each.shutdown(socket.SHUT_RDWR)  # wakes the thread that waits in accept or recv
    each.close()


def _read_request(stream: Any) -> Request | None:
    """The next request on a kept-alive connection, or None at its end."""
    first = stream.readline()
    if not first.strip():
        return None
    headers: dict[str, str] = {}
    while (line := stream.readline()) not in (b"\r\n", b"\n", b""):
        name, _, value = line.decode("latin-1").partition(":")
        headers[name.strip().lower()] = value.strip()
    body = stream.read(int(headers.get("content-length", "0")))
    method, path = first.decode("latin-1").split()[:2]
    return Request(path=path, headers=headers, body=json.loads(body) if body else None, method=method)


def _answered(answer: Answers, request: Request) -> bytes:
    if request.path.endswith("/chat/completions"):
        wrap = _chat_completion
    elif request.path.endswith("/messages"):
        wrap = _message
    else:
        return _response(404, b'{"error": {"message": "no such path"}}', {})
    said = answer(request.body)
    return _response(200, json.dumps(wrap(request.body, said) if isinstance(said, str) else said).encode(), {})


def _said(status: int, headers: Mapping[str, str], body: Any) -> bytes:
    return _response(status, json.dumps(body).encode(), headers)


def _response(status: int, body: bytes, headers: Mapping[str, str]) -> bytes:
    head = [f"HTTP/1.1 {status} -", "Content-Type: application/json", f"Content-Length: {len(body)}"]
    head += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([*head, "", ""]).encode("latin-1") + body


def _chat_completion(request: Any, text: str) -> dict[str, Any]:
    message = {"role": "assistant", "content": text}
    return {
        "id": "chatcmpl-loopback",
        "object": "chat.completion",
        "model": f"{request.get('model')}-2026-01-01",
        "system_fingerprint": "fp_loopback",
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": _words(request), "completion_tokens": len(text.split())},
    }


def _message(request: Any, text: str) -> dict[str, Any]:
    return {
        "id": "msg_loopback",
        "type": "message",
        "role": "assistant",
        "model": f"{request.get('model')}-2026-01-01",
        "content": [{"type": "text", "text": text}],
        "stop_reason": "end_turn",
        "usage": {"input_tokens": _words(request), "output_tokens": len(text.split())},
    }


def _words(request: Any) -> int:
    return sum(len(str(message.get("content")).split()) for message in request.get("messages", ()))
