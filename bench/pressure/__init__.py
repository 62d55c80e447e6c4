"""Servers under pressure: load from processes of its own, the machine's limit, peers, and ratios of runs side by side.

`python -m bench.pressure --help` lists the scenarios; docs/benchmarks.md says what each holds and how it is measured.
"""
