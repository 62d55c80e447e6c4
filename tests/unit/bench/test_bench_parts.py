"""View plans are timed on the same files, and every figure says how many views it stands for."""

from bench.parts import MIX, SIZES, run


def test_every_proportion_and_the_mix_have_a_ratio_a_plan() -> None:
    ratios = run(sizes={"1:1": (64, 64), "16:9": (160, 90)}, rounds=1)
    assert [ratio.name.partition(",")[0] for ratio in ratios[::4]] == [
        "1:1: bytes to embeddings",
        "16:9: bytes to embeddings",
        "mix of 8: bytes to embeddings",
    ]
    assert ["auto with 3 views a picture" in ratio.name for ratio in ratios[4:8]] == [True, False, True, False]
    assert all(ratio.of_medians > 0 for ratio in ratios)


def test_the_mix_is_of_proportions_that_are_timed() -> None:
    assert sum(MIX.values()) == 20
    assert MIX.keys() <= SIZES.keys()
