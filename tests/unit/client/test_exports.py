import subprocess
import sys

import pytest

import clipwarden
import clipwarden.client


def test_names_that_callers_rely_on() -> None:
    assert clipwarden.client.__all__ == [
        "AsyncClient",
        "Client",
        "ClientError",
        "DeadlineExceededError",
        "Image",
        "ImageRefusedError",
        "Priority",
        "RequestRefusedError",
        "Result",
        "RetryPolicy",
        "ServerFaultError",
        "ServerFile",
        "ServerOverloadedError",
        "ServerUnavailableError",
        "StreamItem",
    ]
    assert dir(clipwarden) == [
        "AsyncClient",
        "AsyncModerator",
        "Client",
        "ClientError",
        "DecodeLimits",
        "EmbeddedImage",
        "EngineSettings",
        "ImageResult",
        "Judged",
        "Moderator",
        "RetryPolicy",
        "ServerFile",
        "StreamItem",
        "ViewPlan",
        "Views",
        "__version__",
    ]


def test_the_package_gives_the_client_lazily() -> None:
    assert clipwarden.Client is clipwarden.client.Client
    assert clipwarden.__version__.count(".") >= 2
    with pytest.raises(AttributeError, match="no attribute 'Cleint'"):
        _ = clipwarden.Cleint


def test_judging_imports_no_grpc() -> None:
    program = "import clipwarden, clipwarden.errors, sys; sys.exit('grpc' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
