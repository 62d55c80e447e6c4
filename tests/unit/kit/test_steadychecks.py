"""What is asked of answers under a steady load can fail, each for its own reason."""

from dataclasses import replace

import pytest

from clipwarden.modelfolder.load import Model
from clipwarden.v1 import moderation_pb2 as pb
from kit.steady import Answer, Seen
from kit.steadychecks import Timeline, Version, faults, unheard
from kit.steadypolicies import version

OLD = Version(digest="old", verdicts={"red": pb.VERDICT_BLOCK, "blue": pb.VERDICT_ALLOW})
NEW = Version(digest="new", verdicts={"red": pb.VERDICT_REVIEW, "blue": pb.VERDICT_ALLOW})


def red_by(version: Version) -> Seen:
    return Seen(colour="red", verdict=version.verdicts["red"], digest=version.digest)


def answer(start: float, end: float, *by: Version, caller: str = "one") -> Answer:
    return Answer(caller=caller, request_id="r", start=start, end=end, images=tuple(map(red_by, by)))


def wrong_with(*answers: Answer) -> list[str]:
    """Judge answers where the new version was offered at 10 and told of at 20."""
    now = iter([10.0, 20.0])
    timeline = Timeline(first=OLD, clock=lambda: next(now))
    timeline.offer(NEW)
    timeline.told()
    return faults(answers, {"": timeline})


def test_old_before_new_after_and_either_in_between_are_well() -> None:
    assert not wrong_with(
        answer(1, 2, OLD), answer(9, 21, OLD), answer(9, 12, NEW), answer(11, 30, OLD), answer(13, 14, NEW),
        answer(21, 22, NEW, NEW),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("found", "sentence"),
    [
        (replace(answer(1, 2), failure="UNAVAILABLE: gone"), "was lost: UNAVAILABLE: gone"),
        (answer(1, 2), "has neither a verdict nor an error"),
        (answer(11, 12, OLD, NEW), "mixes 2 versions"),
        (answer(1, 2, NEW), "is by a version that came 8.000 s later"),
        (answer(21, 22, OLD), "is by a version that had gone 1.000 s before"),
        (answer(1, 2, Version(digest="bad", verdicts=OLD.verdicts)), "is by a version that was never good: bad"),
        (answer(1, 2, Version(digest="old", verdicts=NEW.verdicts)), "has not its version's verdict on red"),
    ],
)
def test_each_fault_is_found(found: Answer, sentence: str) -> None:
    assert [fault.removeprefix("the answer to r ") for fault in wrong_with(answer(1, 2, OLD), found)] == [sentence]


def test_going_back_to_an_older_version_is_found_though_nothing_was_told_yet() -> None:
    (fault,) = wrong_with(answer(11, 12, NEW), answer(13, 14, OLD), answer(11, 16, OLD))
    assert fault.endswith("is by an older version than one that had answered before it began")


def test_policies_are_judged_apart() -> None:
    still = replace(answer(30, 31, OLD), policy="still")
    assert not faults([still], {"": Timeline(first=NEW), "still": Timeline(first=OLD)})
    assert faults([still], {"still": Timeline(first=NEW)})


def test_who_never_heard_of_a_version_is_named() -> None:
    answers = [answer(1, 2, OLD), answer(3, 4, NEW), answer(1, 2, OLD, caller="another")]
    assert unheard(answers, {"one", "another"}, [OLD, NEW]) == ["another never heard of new"]


def test_versions_differ_in_digest_and_in_a_row_in_their_verdict(toy_model: Model) -> None:
    versions = [version(toy_model, number) for number in range(60)]
    assert len({each.digest for each in versions}) == 60
    assert not [number for number in range(59) if versions[number].verdicts == versions[number + 1].verdicts]
