"""How many CPUs this process may really use (cgroup quota, affinity), and libraries kept from fighting over them."""

import logging
import math
import os
import platform
import sys
import warnings
from contextlib import suppress
from functools import cache
from pathlib import Path
from threading import get_native_id

from PIL import AvifImagePlugin
from threadpoolctl import threadpool_limits

_CGROUP_ROOT = Path("/sys/fs/cgroup")
_PROC_CGROUP = Path("/proc/self/cgroup")
_PROC_STAT = Path("/proc/stat")
_NO_LIMIT_BYTES = 2**60
_LEAST_URGENT = 19  # nobody can be nicer


def usable_cpus(*, cgroup_root: Path = _CGROUP_ROOT, proc_cgroup: Path = _PROC_CGROUP) -> float:
    """Say how much processor time a second affinity and the cgroup quota leave to this process.

    onnxruntime sizes its pool by the host's cores and cannot see a container's quota, so a pod with two CPUs on
    a 64-core node would be throttled most of the time.

    Args:
        cgroup_root: Where cgroups are mounted.
        proc_cgroup: The file that names this process's cgroups.

    Returns:
        CPUs, such as 0.5 or 2.0; above 0.

    Source: onnxruntime issue 29510; kernel documentation, cgroup-v2 `cpu.max`, cgroup-v1 `cpu.cfs_quota_us`.
    """
    quota = cgroup_quota(cgroup_root=cgroup_root, proc_cgroup=proc_cgroup)
    return min(float(affinity_cpus()), math.inf if quota is None else quota)


def available_cpus(*, cgroup_root: Path = _CGROUP_ROOT, proc_cgroup: Path = _PROC_CGROUP) -> int:
    """Count the threads that can be at work at once with `usable_cpus`: a fractional quota rounds up.

    Under a quota of 1.5 two threads run side by side for three quarters of each period, and both wait for the rest.

    Args:
        cgroup_root: Where cgroups are mounted.
        proc_cgroup: The file that names this process's cgroups.

    Returns:
        At least 1.
    """
    return math.ceil(usable_cpus(cgroup_root=cgroup_root, proc_cgroup=proc_cgroup))


def affinity_cpus() -> int:
    """Count the CPUs that the scheduler may place this process on; at least 1."""
    if hasattr(os, "sched_getaffinity"):
        return max(1, len(os.sched_getaffinity(0)))
    return os.cpu_count() or 1


def cgroup_quota(*, cgroup_root: Path = _CGROUP_ROOT, proc_cgroup: Path = _PROC_CGROUP) -> float | None:
    """Read the tightest CPU quota on the way from this process's cgroup to the root.

    Args:
        cgroup_root: Where cgroups are mounted.
        proc_cgroup: The file that names this process's cgroups.

    Returns:
        CPUs, such as 1.5; None when nothing limits them.
    """
    quotas = [
        quota
        for controller, path in _memberships(proc_cgroup, "cpu")
        for quota in _quotas_up_from(cgroup_root, controller, path)
    ]
    return min(quotas, default=None)


def memory_limit(*, cgroup_root: Path = _CGROUP_ROOT, proc_cgroup: Path = _PROC_CGROUP) -> int | None:
    """Read the tightest memory limit on the way from this process's cgroup to the root.

    Args:
        cgroup_root: Where cgroups are mounted.
        proc_cgroup: The file that names this process's cgroups.

    Returns:
        Bytes; None when nothing limits them.

    Source: kernel documentation, cgroup-v2 `memory.max`, cgroup-v1 `memory.limit_in_bytes` (near 2^63: no limit).
    """
    texts = [
        _read(folder / ("memory.limit_in_bytes" if controller else "memory.max")).strip()
        for controller, path in _memberships(proc_cgroup, "memory")
        for folder in _folders_up_from(cgroup_root, "memory", controller, path)
    ]
    limits = [int(text) for text in texts if text.isdigit()]
    return min((limit for limit in limits if limit < _NO_LIMIT_BYTES), default=None)


def busy_seconds(*, stat: Path = _PROC_STAT) -> float | None:
    """Sum the processor time that all programs have used, on the CPUs that this process may be placed on.

    Args:
        stat: The kernel's counts, a line a CPU.

    Returns:
        Seconds since the machine's start, time taken by other virtual machines included; None where nobody counts them.

    Source: kernel documentation, filesystems/proc, `/proc/stat`.
    """
    mine = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set()
    lines = (line.split() for line in _read(stat).splitlines())
    ticks = {words[0]: [int(word) for word in words[1:9]] for words in lines if words and words[0][:3] == "cpu"}
    counted = [ticks[f"cpu{cpu}"] for cpu in mine if f"cpu{cpu}" in ticks]
    # user, nice, system, idle, waiting for disks, interrupts (2), taken by other virtual machines
    busy = sum(sum(each) - sum(each[3:5]) for each in counted)
    return busy / os.sysconf("SC_CLK_TCK") if counted else None


def processor_name() -> str:
    """Name the processor; `platform.processor` is empty on most Linux systems."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _memberships(proc_cgroup: Path, wanted: str) -> list[tuple[str, str]]:
    """Return (controller mount, path) pairs; the controller is "" for v2's single hierarchy."""
    found = []
    for line in _read(proc_cgroup).splitlines():
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if not controllers:
            found.append(("", path))
        elif wanted in controllers.split(","):
            found.append((controllers, path))
    return found


def _quotas_up_from(cgroup_root: Path, controller: str, path: str) -> list[float]:
    """Collect quotas of a cgroup and its ancestors: a parent's quota binds its children too."""
    folders = _folders_up_from(cgroup_root, "cpu", controller, path)
    quotas = [_quota_v1(folder) if controller else _quota_v2(folder) for folder in folders]
    return [quota for quota in quotas if quota is not None]


def _folders_up_from(cgroup_root: Path, wanted: str, controller: str, path: str) -> list[Path]:
    # Hybrid hosts mount v1 controllers beside `unified`; v1 mounts may be named "cpu,cpuacct" or just "cpu".
    mounts = [wanted, controller] if controller else ["", "unified"]
    # Inside a container the path in /proc may be the host's; the container's own root is then the mount itself.
    inner = [part for part in path.split("/") if part and part != ".."]
    steps = ["/".join(inner[:depth]) for depth in range(len(inner) + 1)]
    return [cgroup_root / mount / step for mount in mounts for step in steps]


def _quota_v2(folder: Path) -> float | None:
    quota, _, period = _read(folder / "cpu.max").strip().partition(" ")
    return _ratio(quota, period)


def _quota_v1(folder: Path) -> float | None:
    return _ratio(_read(folder / "cpu.cfs_quota_us").strip(), _read(folder / "cpu.cfs_period_us").strip())


def _ratio(quota: str, period: str) -> float | None:
    """Divide quota by period, both microseconds; "max" (v2) and -1 (v1) mean no limit."""
    if not quota.isdigit() or not period.isdigit() or int(period) == 0:
        return None
    return int(quota) / int(period) or None


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii")
    except (OSError, ValueError):
        return ""


@cache
def limit_blas_threads() -> None:
    """Keep numpy's BLAS to one thread for the rest of the process; commands call it at start-up.

    One image against 1,000 prompts takes 31 microseconds with one thread, and milliseconds when a BLAS pool fights
    the encoder for the cores.
    """
    # Not used as a context manager: the limit must outlive this call.
    threadpool_limits(limits=1, user_api="blas")


def prepare_process() -> None:
    """Keep libraries from fighting over the cores and from writing to stderr about callers' files.

    Not done at import: a program that merely imports clipwarden keeps its own settings.
    """
    limit_blas_threads()
    quiet_pillow()


def yield_cores(by: int) -> None:
    """Have this thread run as batch work, nicer than it was; only on Linux, where both are a thread's.

    It then interrupts no other thread when it wakes, and takes less of a core than others that want it. Neither needs a
    privilege. Whoever chose another policy for this process keeps that.

    Args:
        by: Niceness above what it has; 0 leaves all as it is.

    Source: sched(7), "SCHED_BATCH: Scheduling batch processes", "The nice value and group scheduling".
    """
    if not by or sys.platform != "linux":
        return
    thread = get_native_id()
    with suppress(OSError):  # a sandbox may forbid it, and musl has no such calls
        own = os.getpriority(os.PRIO_PROCESS, thread)
        os.setpriority(os.PRIO_PROCESS, thread, min(own + by, _LEAST_URGENT))
        if os.sched_getscheduler(0) == os.SCHED_OTHER:
            os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))


def quiet_pillow() -> None:
    """Have Pillow decode each image in one thread, and keep what it says about images to itself.

    A program whose warnings are errors would otherwise refuse images that others judge.
    """
    # Images are decoded side by side in a pool as wide as the CPUs; more threads inside one image only contend.
    AvifImagePlugin.DEFAULT_MAX_THREADS = 1
    # A hostile file can make Pillow warn in ever new words, each remembered for ever by the warnings registry.
    warnings.filterwarnings("ignore", module=r"PIL\.")
    # At debug level Pillow logs EXIF values, which are the caller's content; its errors reach us as exceptions anyway.
    logging.getLogger("PIL").setLevel(logging.CRITICAL)
