"""Errors cross from process to process: whoever judges in a pool of workers gets them as they were raised."""

import pickle
from collections.abc import Iterator

import pytest

import clipwarden.cli.outcome
import clipwarden.client
from clipwarden.errors import (
    ClipwardenError,
    ImageError,
    OverloadedError,
    PolicyError,
    Problem,
    Reason,
    UnauthenticatedError,
)

PROBLEM = Problem(file="a.yaml", line=1, column=2, message="It is wrong.", fix="Mend it.", code="wrong")
MADE = {
    ImageError: lambda: ImageError("m", reason=Reason.IMAGE_CORRUPT),
    OverloadedError: lambda: OverloadedError("m", retry_after_seconds=1.5),
    UnauthenticatedError: lambda: UnauthenticatedError("m", reason=Reason.TOKEN_INVALID),
    PolicyError: lambda: PolicyError([PROBLEM]),
    clipwarden.cli.outcome.NotJudgedError: lambda: clipwarden.cli.outcome.NotJudgedError("m", code="C", reason="R"),
}


def kinds(base: type[ClipwardenError] = ClipwardenError) -> Iterator[type[ClipwardenError]]:
    yield base
    for kind in base.__subclasses__():
        yield from kinds(kind)


@pytest.mark.parametrize("kind", sorted(set(kinds()), key=lambda kind: kind.__name__))
def test_every_error_travels_whole(kind: type[ClipwardenError]) -> None:
    error = MADE.get(kind, lambda: kind("m"))()
    there = pickle.loads(pickle.dumps(error))  # noqa: S301  our own bytes
    assert type(there) is kind
    assert (str(there), there.args, vars(there)) == (str(error), error.args, vars(error))
