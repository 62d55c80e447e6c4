import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from clipwarden import machine as cpu


def cgroup(tmp_path: Path, membership: str, **files: str) -> dict[str, Path]:
    """Lay out a fake cgroup tree; keys are paths with `__` for `/` and `_dot_` for `.`."""
    root = tmp_path / "cgroup"
    for name, content in files.items():
        path = root / name.replace("__", "/").replace("_dot_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    proc = tmp_path / "proc"
    proc.write_text(membership)
    return {"cgroup_root": root, "proc_cgroup": proc}


@pytest.mark.parametrize(("content", "quota"), [("150000 100000\n", 1.5), ("max 100000\n", None), ("junk", None)])
def test_version_2_quota_is_read(tmp_path: Path, content: str, quota: float | None) -> None:
    assert cpu.cgroup_quota(**cgroup(tmp_path, "0::/\n", cpu_dot_max=content)) == quota


def test_tightest_quota_on_the_way_up_binds(tmp_path: Path) -> None:
    tree = cgroup(tmp_path, "0::/pod/box\n", pod__cpu_dot_max="200000 100000", pod__box__cpu_dot_max="max 100000")
    assert cpu.cgroup_quota(**tree) == 2.0


def test_container_that_sees_its_host_path_uses_the_mount_itself(tmp_path: Path) -> None:
    assert cpu.cgroup_quota(**cgroup(tmp_path, "0::/host/../deep/path\n", cpu_dot_max="50000 100000")) == 0.5


@pytest.mark.parametrize("mount", ["cpu", "cpu,cpuacct"])
def test_version_1_quota_is_read(tmp_path: Path, mount: str) -> None:
    files = {f"{mount}__box__cpu.cfs_quota_us": "300000\n", f"{mount}__box__cpu.cfs_period_us": "100000\n"}
    assert cpu.cgroup_quota(**cgroup(tmp_path, "5:cpu,cpuacct:/box\n3:cpuset:/x\n", **files)) == 3.0


@pytest.mark.parametrize(("quota", "period"), [("-1", "100000"), ("100000", "0"), ("0", "100000")])
def test_version_1_without_a_limit_is_no_quota(tmp_path: Path, quota: str, period: str) -> None:
    files = {"cpu__cpu.cfs_quota_us": quota, "cpu__cpu.cfs_period_us": period}
    assert cpu.cgroup_quota(**cgroup(tmp_path, "1:cpu:/\n", **files)) is None


def test_no_cgroups_are_no_quota(tmp_path: Path) -> None:
    assert cpu.cgroup_quota(cgroup_root=tmp_path / "absent", proc_cgroup=tmp_path / "absent") is None


@pytest.mark.parametrize(("content", "cpus"), [("50000 100000", 1), ("150000 100000", 2), ("9900000 100000", 4)])
def test_available_cpus_round_up_and_stop_at_the_affinity(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str, cpus: int
) -> None:
    monkeypatch.setattr(cpu, "affinity_cpus", lambda: 4)
    assert cpu.available_cpus(**cgroup(tmp_path, "0::/\n", cpu_dot_max=content)) == cpus


@pytest.mark.parametrize(("content", "cpus"), [("50000 100000", 0.5), ("150000 100000", 1.5), ("9900000 100000", 4.0)])
def test_usable_cpus_keep_the_fraction(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str, cpus: float
) -> None:
    monkeypatch.setattr(cpu, "affinity_cpus", lambda: 4)
    assert cpu.usable_cpus(**cgroup(tmp_path, "0::/\n", cpu_dot_max=content)) == cpus


def test_tightest_memory_limit_on_the_way_up_binds(tmp_path: Path) -> None:
    tree = cgroup(tmp_path, "0::/pod/box\n", pod__memory_dot_max="419430400\n", pod__box__memory_dot_max="max\n")
    assert cpu.memory_limit(**tree) == 400 * 2**20


@pytest.mark.parametrize(("content", "limit"), [("419430400\n", 400 * 2**20), ("9223372036854771712\n", None)])
def test_version_1_memory_limit_is_read(tmp_path: Path, content: str, limit: int | None) -> None:
    files = {"memory__box__memory.limit_in_bytes": content}
    assert cpu.memory_limit(**cgroup(tmp_path, "5:cpu:/x\n3:memory:/box\n", **files)) == limit


def test_busy_seconds_are_those_of_our_own_cpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: {1, 2}, raising=False)
    monkeypatch.setattr(os, "sysconf", lambda _name: 100)
    stat = tmp_path / "stat"
    stat.write_text("cpu 9 9 9 9 9 9 9 9 9 9\ncpu0 1 1 1 1 1 1 1 1 0 0\ncpu1 100 20 30 999 888 1 2 47 5 0\nintr 5\n")
    assert cpu.busy_seconds(stat=stat) == 2.0
    assert cpu.busy_seconds(stat=tmp_path / "absent") is None


def test_processor_time_of_others_is_told_on_linux() -> None:
    busy = cpu.busy_seconds()
    assert busy is None or busy > 0


def test_available_cpus_without_quota_are_the_affinity(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: {0, 5, 7}, raising=False)
    assert cpu.available_cpus(cgroup_root=tmp_path, proc_cgroup=tmp_path / "absent") == 3


def test_platform_without_affinity_falls_back_to_the_cpu_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert cpu.affinity_cpus() == 1


def test_this_machine_has_at_least_one_cpu() -> None:
    assert cpu.available_cpus() >= 1


LINUX = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere policy and niceness are a process's")


def scheduling_after(by: int, policy: int) -> tuple[int, int]:
    """Tell policy and niceness of a thread that had a policy, and was told to yield."""

    def told() -> tuple[int, int]:
        os.sched_setscheduler(0, policy, os.sched_param(0))
        cpu.yield_cores(by)
        return os.sched_getscheduler(0), os.getpriority(os.PRIO_PROCESS, threading.get_native_id())

    with ThreadPoolExecutor(1) as own:  # it keeps what it is told
        return own.submit(told).result()


@LINUX
def test_thread_yields_cores_as_far_as_it_is_told_and_nobody_chose_otherwise() -> None:
    niceness = os.getpriority(os.PRIO_PROCESS, 0)
    assert scheduling_after(0, os.SCHED_OTHER) == (os.SCHED_OTHER, niceness)
    assert scheduling_after(3, os.SCHED_OTHER) == (os.SCHED_BATCH, min(niceness + 3, 19))
    assert scheduling_after(99, os.SCHED_IDLE) == (os.SCHED_IDLE, 19)


@LINUX
@pytest.mark.parametrize("forbidden", ["getpriority", "setpriority", "sched_getscheduler", "sched_setscheduler"])
def test_sandbox_that_forbids_it_is_no_error(monkeypatch: pytest.MonkeyPatch, forbidden: str) -> None:
    def forbid(*_: object) -> None:
        raise PermissionError

    with ThreadPoolExecutor(1) as own:
        monkeypatch.setattr(os, forbidden, forbid)
        own.submit(cpu.yield_cores, 1).result()
