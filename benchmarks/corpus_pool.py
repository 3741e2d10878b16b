"""A pool of forked processes: one per job, with a limit of time and of memory, over frameworks imported once."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

Work = Callable[[], dict[str, Any]]
"""A job: what it returns is JSON and goes into its result."""


@dataclass(frozen=True)
class Limits:
    """What one job may use."""

    seconds: float = 180.0
    megabytes: float = 8000.0


@dataclass(frozen=True)
class Job:
    """Some work with a name; ``log`` takes what it prints."""

    name: str
    work: Work
    log: Path


@dataclass
class _Running:
    job: Job
    pid: int
    answer: Path
    started: float = field(default_factory=time.monotonic)
    megabytes: float = 0.0

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.started


def run(jobs: Iterable[Job], workers: int, limits: Limits) -> Iterator[tuple[Job | None, dict[str, Any]]]:
    """Run the jobs; yields each with its result when it ends, and ``(None, {})`` now and then while waiting.

    A result has ``seconds`` and ``megabytes`` besides what the work returned, and ``died`` with a reason when the
    process was stopped or fell over.
    """
    waiting = iter(jobs)
    running: list[_Running] = []
    try:
        while True:
            while len(running) < workers and (job := next(waiting, None)) is not None:
                running.append(_start(job))
            if not running:
                return
            time.sleep(0.1)
            for process in list(running):
                result = _poll(process, limits)
                if result is not None:
                    running.remove(process)
                    yield process.job, result
            yield None, {}
    finally:
        for process in running:
            _stop(process)


def _start(job: Job) -> _Running:
    """Fork a child that does the job and writes its answer to a file."""
    job.log.parent.mkdir(parents=True, exist_ok=True)
    answer = job.log.with_suffix(".answer")
    answer.unlink(missing_ok=True)
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid:
        return _Running(job, pid, answer)
    status = 1
    try:
        os.setpgid(0, 0)
        _redirect(job.log)
        part = answer.with_suffix(".part")
        part.write_text(json.dumps(job.work()), encoding="utf-8")
        part.rename(answer)  # so that an answer is whole or not there
        status = 0
    except BaseException:  # the child must end here, whatever happens
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def _redirect(log: Path) -> None:
    """Send everything the process prints, C++ included, to a file."""
    handle = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    for stream in (1, 2):
        os.dup2(handle, stream)
    sys.stdout = sys.stderr = os.fdopen(handle, "w", encoding="utf-8", buffering=1)


def _poll(process: _Running, limits: Limits) -> dict[str, Any] | None:
    """The result of a process that has ended or must end now; None while it may go on."""
    process.megabytes = max(process.megabytes, _megabytes(process.pid))
    ended, status = os.waitpid(process.pid, os.WNOHANG)
    if ended:
        return _result(process, _ending(os.waitstatus_to_exitcode(status)))
    if process.seconds > limits.seconds:
        died = f"stopped after {limits.seconds:.0f} s"
    elif process.megabytes > limits.megabytes:
        died = f"stopped above {limits.megabytes:.0f} MB"
    else:
        return None
    _stop(process)
    return _result(process, died)


def _ending(code: int) -> str:
    if code == 0:
        return ""
    return f"killed by {signal.Signals(-code).name}" if code < 0 else f"process ended with status {code}"


def _result(process: _Running, died: str) -> dict[str, Any]:
    """What the job answered, with what it used."""
    found: dict[str, Any] = {}
    if process.answer.exists():
        found = json.loads(process.answer.read_text(encoding="utf-8"))
        process.answer.unlink()
    if died:
        found["died"] = died
    return found | {"seconds": round(process.seconds, 2), "megabytes": round(process.megabytes)}


def _megabytes(pid: int) -> float:
    """Resident memory of a process and of those it started."""
    try:
        top = psutil.Process(pid)
        return sum(_resident(p) for p in [top, *top.children(recursive=True)]) / 1e6
    except psutil.Error:
        return 0.0


def _resident(process: psutil.Process) -> int:
    try:
        return int(process.memory_info().rss)
    except psutil.Error:
        return 0


def _stop(process: _Running) -> None:
    """End a process with all that it started."""
    for kill in (os.killpg, os.kill):
        try:
            kill(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
        break
    os.waitpid(process.pid, 0)
