"""Draw throughput against p50 and p99: `python plot.py PICTURE`, with matplotlib.

A sweep comes as JSON on stdin: its runs as `points`, and as `where` what they were measured on, which stands below.
"""

import json
import sys
import textwrap

import matplotlib as mpl

mpl.use("Agg")
mpl.rcParams["svg.hashsalt"] = "clipwarden"  # equal figures give equal files
mpl.rcParams["svg.fonttype"] = "none"

from matplotlib import pyplot as plt  # noqa: E402  after the choice of what draws


def main(picture: str) -> None:
    """Draw one panel a size, one colour a server; solid is p50, dashed p99."""
    sweep = json.load(sys.stdin)
    runs = sweep["points"]
    sizes = list(dict.fromkeys(run["size"] for run in runs))
    figure, panels = plt.subplots(1, len(sizes), figsize=(5 * len(sizes), 3.6), squeeze=False)
    for panel, size in zip(panels[0], sizes, strict=True):
        for colour, name in enumerate(dict.fromkeys(run["kind"] for run in runs)):
            own = [run for run in runs if run["size"] == size and run["kind"] == name and run["verdict_ms"]["p99"]]
            for percentile, style in (("p50", "-o"), ("p99", "--^")):
                panel.plot(
                    [run["verdicts_a_second"] for run in own],
                    [run["verdict_ms"][percentile] for run in own],
                    style,
                    color=f"C{colour}",
                    markersize=3,
                    linewidth=1,
                    label=f"{name} {percentile}",
                )
        panel.set(title=size, xlabel="verdicts in time, a second", ylabel="ms", yscale="log")
        panel.grid(alpha=0.3)
        panel.legend(fontsize=7)
    where = "\n".join(textwrap.wrap(sweep["where"], 70 * len(sizes)))
    figure.supxlabel(where, fontsize=6, color="grey")
    figure.tight_layout()
    figure.savefig(picture, metadata={"Date": None} if picture.endswith(".svg") else None)


if __name__ == "__main__":
    main(sys.argv[1])
