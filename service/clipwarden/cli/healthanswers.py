"""An address in, what a server there says of its health out: over HTTP by a socket, over gRPC without protobuf.

What probes run every few seconds is here, and imports little; see `start`.
"""

import json
import os
import re
import socket
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from clipwarden.errors import ConfigError, RequestError
from clipwarden.serving import values

if TYPE_CHECKING:
    import grpc

    from clipwarden.client.security import Security

OK = 0
NOT_SERVING = 6
"""Exit code: a server answered that it does not serve; or, asked for life, that a restart would help."""
UNREACHABLE = 7
"""Exit code: nobody answered."""

TIMEOUT_SECONDS = 5.0
"""For one answer; a healthy server takes milliseconds."""
MAX_SECONDS = 86_400.0
PAUSE_SECONDS = 0.25
"""Between two questions while waiting."""

CHECK = "/grpc.health.v1.Health/Check"
STATE_KEY, NOTICES_KEY = "clipwarden-state", "clipwarden-notices"  # as `serving.health` has them; that imports gRPC
_SERVING = b"\x08\x01"
"""HealthCheckResponse{status: SERVING}, as protobuf writes it; all others are not serving."""

MAX_ANSWER_BYTES = 2**20
_STATUS_LINE = re.compile(rb"HTTP/1\.[01] (\d{3})")
_ANYBODY = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  what a server listens on, and where to find it


class Answer(NamedTuple):  # a dataclass takes 9 ms to import
    """What was heard, or not.

    Attributes:
        address: That was asked.
        heard: Whether a server answered the question.
        good: Whether it serves; or lives, where that was asked.
        state: In a word where a server told, else in a sentence.
        notices: What is wrong although it serves.
    """

    address: str
    heard: bool
    good: bool
    state: str
    notices: Mapping[str, str] = MappingProxyType({})

    @property
    def code(self) -> int:
        """Exit code."""
        if self.good:
            return OK
        return NOT_SERVING if self.heard else UNREACHABLE

    def as_json(self) -> str:
        """Render one object, in ASCII."""
        told = {"address": self.address, "good": self.good, "state": self.state, "notices": dict(self.notices)}
        return json.dumps(told)

    def as_text(self) -> str:
        """Render the state, and a line for each notice; with nothing that would steer a terminal."""
        lines = [self.state, *(f"{subject}: {sentence}" for subject, sentence in self.notices.items())]
        return "\n".join("".join(sign if sign.isprintable() else ascii(sign)[1:-1] for sign in line) for line in lines)


Ask = Callable[[float], Answer]
"""Asks once, for so many seconds."""


def ask_until(ask: Ask, *, wait_seconds: float, timeout_seconds: float) -> Answer:
    """Ask until the answer is good, but no longer than may be waited, and once at least.

    Raises:
        RequestError: The times are none.
    """
    _require_seconds("--wait", wait_seconds, zero=True)
    _require_seconds("--timeout", timeout_seconds, zero=False)
    until = time.monotonic() + wait_seconds
    answer = ask(timeout_seconds)
    while not answer.good and (left := until - time.monotonic()) > 0:
        time.sleep(min(PAUSE_SECONDS, left))
        answer = ask(timeout_seconds)
    return answer


def _require_seconds(option: str, seconds: float, *, zero: bool) -> None:
    if not 0 <= seconds <= MAX_SECONDS or (seconds == 0 and not zero):  # false for NaN
        raise RequestError(f"{option} is {seconds:g}; it must be a number of seconds, at most {MAX_SECONDS:.0f}.")


def asking(address: str | None, *, live: bool, tls: Mapping[str, Any] = MappingProxyType({})) -> Ask:
    """Find out whom to ask, and how.

    Args:
        address: As the command has it; None takes that of the environment's settings.
        live: Whether to ask for life alone.
        tls: Arguments of the client that make the connection TLS; none asks in plain text.

    Raises:
        RequestError: It is no address, or TLS does not go with it.
        ConfigError: The settings or certificates cannot be read.
    """
    where = address or _of_environment()
    if where.startswith("http://"):
        if tls:
            raise RequestError("TLS is for gRPC; probes are answered in plain text.")
        host, port = _host_and_port(where.removeprefix("http://").removesuffix("/"), where)
        return partial(_ask_http, where, host, port, "/livez" if live else "/readyz")
    if not where.startswith("unix:"):
        _host_and_port(where, where)
    return partial(_ask_grpc, where, _security(tls) if tls else None, live)


def _security(tls: Mapping[str, Any]) -> "Security":
    from clipwarden.cli.serveroptions import in_flags
    from clipwarden.client.security import make_security

    try:
        return make_security(**tls)
    except ValueError as exc:
        raise ConfigError(f"{in_flags(str(exc))}.") from exc


def _host_and_port(text: str, whole: str) -> tuple[str, int]:
    try:
        found = values.address(text)
    except ValueError:
        found = None
    if not found:
        raise RequestError(f"{whole!r} is no address; write HOST:PORT, unix:PATH or http://HOST:PORT.")
    return values.split_address(found)


def _of_environment() -> str:
    """Name where a server of this environment's settings is asked most cheaply."""
    probes, path, listen = _settings()
    if probes:
        return f"http://{_reachable(probes)}"
    if path:
        return f"unix:{path}"
    if listen:
        return _reachable(listen)
    raise RequestError("the settings of this environment name no address to ask; give one, such as localhost:50051.")


def _settings() -> tuple[str | None, str | None, str | None]:
    names = ("probe_listen", "unix_socket", "listen")
    variables = {name: os.environ.get(f"CLIPWARDEN_{name.upper()}") for name in names}
    if not os.environ.get("CLIPWARDEN_CONFIG"):
        probes, path, listen = (variables[name] for name in names)
        return probes, path, "127.0.0.1:50051" if listen is None else listen
    # Files take yaml and the whole table of settings: a tenth of a second that few need.
    from clipwarden.serving.sources import load_settings

    files = [Path(file) for file in os.environ["CLIPWARDEN_CONFIG"].split(os.pathsep)]
    settings = load_settings({}, os.environ, files)
    return settings.probe_listen, settings.unix_socket, settings.listen


def _reachable(listening: str) -> str:
    host, port = _host_and_port(listening, listening)
    if port == 0:
        raise RequestError("the server of these settings takes any free port; give the address that its log tells.")
    host = _ANYBODY.get(host, host)
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _ask_http(where: str, host: str, port: int, path: str, seconds: float) -> Answer:
    request = f"GET {path}?verbose HTTP/1.1\r\nHost: clipwarden\r\nConnection: close\r\n\r\n"
    try:
        whole = _exchange(host, port, request.encode(), seconds)
    except OSError as exc:
        why = f"no answer within {seconds:g} s" if isinstance(exc, TimeoutError) else (exc.strerror or str(exc)).lower()
        return _silence(where, why)
    head, _, body = whole.partition(b"\r\n\r\n")
    status = _STATUS_LINE.match(head)
    told = _read_json(body)
    if status is None or "state" not in told:
        return _silence(where, "what answers there is not the probe listener of a clipwarden server")
    notices = told.get("notices")
    return Answer(
        address=where,
        heard=True,
        good=status[1] == b"200",
        state=str(told["state"]),
        notices=notices if isinstance(notices, dict) else {},
    )


def _exchange(host: str, port: int, request: bytes, seconds: float) -> bytes:
    """Send a request, and read all that comes back."""
    until = time.monotonic() + seconds
    answer = bytearray()
    with socket.create_connection((host, port), timeout=seconds) as connection:
        connection.sendall(request)
        while len(answer) <= MAX_ANSWER_BYTES:
            connection.settimeout(max(until - time.monotonic(), 0.001))
            part = connection.recv(65536)
            if not part:
                break
            answer += part
            if time.monotonic() > until:
                raise TimeoutError
    return bytes(answer)


def _ask_grpc(where: str, security: "Security | None", live: bool, seconds: float) -> Answer:  # noqa: FBT001  bound
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # its own lines off stderr, where sentences of ours stand
    import grpc

    with _channel(where, security) as channel:
        try:
            answer, call = channel.unary_unary(CHECK, bytes, bytes).with_call(b"", timeout=seconds)
        except grpc.RpcError as exc:
            return _unanswered(where, exc, security, seconds)
    metadata = {key: value for key, value in call.trailing_metadata() or () if isinstance(value, str)}
    serving = answer == _SERVING
    state = metadata.get(STATE_KEY) or ("serving" if serving else "not serving")
    notices = _read_json(metadata.get(NOTICES_KEY, "{}"))
    return Answer(address=where, heard=True, good=serving or live, state=state, notices=notices)


def _channel(where: str, security: "Security | None") -> "grpc.Channel":
    import grpc

    # Health is no business of a proxy's, and each question connects anew.
    options: list[tuple[str, int | str]] = [
        ("grpc.enable_http_proxy", 0),
        ("grpc.address_http_proxy_enabled_addresses", ""),
        ("grpc.use_local_subchannel_pool", 1),
    ]
    if security is None or security.credentials is None:
        return grpc.insecure_channel(where, options)
    if security.server_name is not None:
        options.append(("grpc.ssl_target_name_override", security.server_name))
    return grpc.secure_channel(where, security.credentials, options)


def _unanswered(where: str, exc: "grpc.RpcError", security: "Security | None", seconds: float) -> Answer:
    """Say why nobody answered, as clients and other commands say it."""
    import grpc

    code, details = exc.code(), exc.details() or ""
    if code is grpc.StatusCode.DEADLINE_EXCEEDED:
        return _silence(where, f"no answer within {seconds:g} s")
    # Here, since it takes as long to import as gRPC itself, and who is answered does without.
    from clipwarden.cli.serveroptions import in_flags
    from clipwarden.client.failures import Peer, explain

    certificate = security is not None and security.has_certificate
    failure = explain(code, details, Peer(target=where, tls=security is not None, has_certificate=certificate))
    if failure is None:
        return _silence(where, f"what answers there tells no health ({code.name})")
    return Answer(address=where, heard=False, good=False, state=in_flags(failure.sentence))


def _silence(where: str, why: str) -> Answer:
    return Answer(address=where, heard=False, good=False, state=f"{where}: {why}")


def _read_json(text: bytes | str) -> dict[str, str]:
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
