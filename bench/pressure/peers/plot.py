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
    """Draw a column a size, a colour a server: verdicts against what was offered, and what they took against both."""
    sweep = json.load(sys.stdin)
    runs = sweep["points"]
    sizes = list(dict.fromkeys(run["size"] for run in runs))
    figure, rows = plt.subplots(2, len(sizes), figsize=(5 * len(sizes), 6.4), squeeze=False)
    for goodput, latency, size in zip(*rows, sizes, strict=True):
        for colour, name in enumerate(dict.fromkeys(run["kind"] for run in runs)):
            own = [run for run in runs if run["size"] == size and run["kind"] == name]
            style = {"color": f"C{colour}", "markersize": 3, "linewidth": 1}
            offered = [run["offered_a_second"] for run in own]
            goodput.plot(offered, [run["verdicts_a_second"] for run in own], "-o", label=name, **style)
            for percentile, line in (("p50", "-o"), ("p99", "--^")):
                label = f"{name} {percentile}"
                judged = [run for run in own if run["verdict_ms"][percentile]]
                times = [run["verdict_ms"][percentile] for run in judged]
                latency.plot([run["verdicts_a_second"] for run in judged], times, line, label=label, **style)
        goodput.set(title=size, xlabel="offered, a second", ylabel="verdicts in time, a second", ylim=0)
        latency.set(xlabel="verdicts in time, a second", ylabel="ms", yscale="log")
        for panel in (goodput, latency):
            panel.grid(alpha=0.3)
            panel.legend(fontsize=7)
    where = "\n".join(textwrap.wrap(sweep["where"], 70 * len(sizes)))
    figure.supxlabel(where, fontsize=6, color="grey")
    figure.tight_layout()
    figure.savefig(picture, metadata={"Date": None} if picture.endswith(".svg") else None)


if __name__ == "__main__":
    main(sys.argv[1])
