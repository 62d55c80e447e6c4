"""What native code writes to descriptor 2, and what becomes of it when the process ends in one way or another."""

import json
import logging
import subprocess
import sys

import pytest

from clipwarden.serving.nativelog import MOST_LINES, NativeLog, handshake_failure, parse_line

GRPC = b"I1128 21:17:00.998020   28271 ssl_transport_security.cc:2563] Handshake failed with error "
EXPIRED = (
    b"SSL_ERROR_SSL: error:1000007d:SSL routines:OPENSSL_internal:CERTIFICATE_VERIFY_FAILED: certificate has expired"
)
NONE = b"SSL_ERROR_SSL: error:100000c0:SSL routines:OPENSSL_internal:PEER_DID_NOT_RETURN_A_CERTIFICATE: Invalid context"


@pytest.mark.parametrize(
    ("raw", "level", "source", "text"),
    [
        (
            b"E1128 21:20:47.005163   30765 hpack_encoder.cc:618] Ignoring",
            logging.ERROR,
            "hpack_encoder.cc:618",
            "Ignoring",
        ),
        (b"W1128 21:20:47.005163 7 a/b.cc:6] x] y", logging.WARNING, "a/b.cc:6", "x] y"),
        (b"F1128 21:20:47.0 7 a.cc:6] gone", logging.CRITICAL, "a.cc:6", "gone"),
        (b"E1128 21:20:47.0 7 add_port.cc:56] no", logging.DEBUG, "add_port.cc:56", "no"),
        (
            b"\x1b[0;93m2026-11-28 21:20:47.1 [W:onnxruntime:, graph.cc:1 f] old\x1b[m",
            logging.WARNING,
            "onnxruntime",
            "old\x1b[m",
        ),
        (b"free(): invalid pointer", logging.WARNING, "", "free(): invalid pointer"),
        (b"\xff", logging.WARNING, "", "\ufffd"),
        (b"authorization: Bearer abc.def-ghi rest", logging.WARNING, "", "authorization: Bearer ... rest"),
    ],
)
def test_line_is_read_for_its_level_and_source(raw: bytes, level: int, source: str, text: str) -> None:
    line = parse_line(raw)
    assert (line.level, line.source, line.text) == (level, source, text)


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ((GRPC + EXPIRED).decode(), "expired"),
        ((GRPC + NONE).decode(), "missing"),
        ("Handshake failed with error SSL_ERROR_SSL: CERTIFICATE_VERIFY_FAILED: self signed certificate", "untrusted"),
        ("Handshake failed with error SSL_ERROR_SSL: SSLV3_ALERT_CERTIFICATE_UNKNOWN", "rejected"),
        ("Handshake failed with error SSL_ERROR_SSL: WRONG_VERSION_NUMBER: x", "no_tls"),
        ("Handshake failed with error SSL_ERROR_SYSCALL", "other"),
        ("Handshake went well", None),
    ],
)
def test_failed_handshake_is_told_by_its_cause(text: str, cause: str | None) -> None:
    assert (handshake_failure(text) or (None,))[0] == cause


def test_flood_of_handshakes_is_a_line_a_second_and_cause(caplog: pytest.LogCaptureFixture) -> None:
    now, counted = 10.0, list[str]()
    native = NativeLog(clock=lambda: now)
    native.take(GRPC + NONE)
    native.count_failures(counted.append)
    for _ in range(1000):
        native.take(GRPC + EXPIRED)
    assert caplog.records == []
    now = 11.5
    native.tick()
    assert [(vars(each)["cause"], vars(each)["count"]) for each in caplog.records] == [
        ("missing", 1),
        ("expired", 1000),
    ]
    one, many = (record.message.partition(":")[0] for record in caplog.records)
    assert (one, many) == ("refused 1 connection", "refused 1000 connections")
    assert "EXPIRED" not in caplog.records[0].message
    assert "PEER_DID_NOT" in vars(caplog.records[0])["grpc"]
    assert (counted.count("expired"), counted.count("missing")) == (1000, 1)
    assert not native.waiting


def test_flood_of_other_lines_is_bounded_and_says_what_is_left_out(caplog: pytest.LogCaptureFixture) -> None:
    now = 10.0
    native = NativeLog(clock=lambda: now)
    for number in range(100):
        native.take(b"line %d" % number)
    assert len(caplog.records) == MOST_LINES
    now = 12.0
    native.take(b"later")
    assert [each.message for each in caplog.records[MOST_LINES:]] == ["left out 80 lines of native code", "later"]


BEGINNING = """
import ctypes, logging, os, sys, faulthandler
from clipwarden.serving.nativelog import native_lines_logged
from clipwarden.serving.process import configure_logging
native = ctypes.CDLL(None)
def say(text): native.write(2, text, len(text))
with native_lines_logged() as (log, stderr):
    configure_logging("info", stderr)
"""


def ended(*lines: str) -> tuple[int, list[str]]:
    """Run lines inside of the block, and what stands behind `---` after it."""
    inside, _, after = "\n".join(lines).partition("---")
    code = BEGINNING + "".join(f"    {line}\n" for line in inside.splitlines()) + after
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    return done.returncode, done.stderr.splitlines()


def messages(lines: list[str]) -> list[str]:
    return [json.loads(line)["message"] for line in lines if line.startswith("{")]


def test_all_that_was_written_is_in_the_log_at_an_end_in_order_the_last_unended_line_too() -> None:
    code, lines = ended("for n in range(15): say(b'native %d\\n' % n)", "say(b'last')")
    assert code == 0
    assert messages(lines) == [*(f"native {n}" for n in range(15)), "last"]


def test_traceback_and_what_is_written_afterwards_go_to_the_real_stderr() -> None:
    code, lines = ended("say(b'native\\n')", "raise ValueError('broken')")
    assert code == 1
    assert messages(lines) == ["native"]
    assert lines[-1] == "ValueError: broken"
    code, lines = ended("say(b'inside\\n')", "---", "say(b'outside\\n'); print('python', file=sys.stderr); os._exit(3)")
    assert (code, messages(lines), lines[1:]) == (3, ["inside"], ["outside", "python"])


def test_python_does_not_go_through_the_pipe() -> None:
    code, lines = ended("print('plain', file=sys.stderr)", "logging.getLogger('a').info('line')")
    assert (code, lines[0], messages(lines)) == (0, "plain", ["line"])


def test_stacks_of_a_process_that_is_aborted_reach_the_real_stderr() -> None:
    code, lines = ended("native.abort()")
    assert code < 0
    assert "Fatal Python error: Aborted" in lines


def test_native_code_never_waits_for_the_thread_that_reads() -> None:
    # 100 MB while the interpreter's lock is held, so that nobody reads.
    held = "native = ctypes.PyDLL(None)"
    code, lines = ended(held, "line = b'x' * 99999 + b'\\n'", "for _ in range(1000): native.write(2, line, len(line))")
    assert code == 0
    assert lines
