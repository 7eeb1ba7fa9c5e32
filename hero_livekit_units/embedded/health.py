"""Health checks: asking running processes whether they are well, and nothing more. A failed check restarts nothing.

Owns: one task for each running job that has checks. Must not know what a verdict leads to.
"""

from __future__ import annotations

import asyncio
from enum import StrEnum
from typing import TYPE_CHECKING

from hero_livekit_units.embedded.spec import host_and_port

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from hero_livekit_units.embedded.records import Job
    from hero_livekit_units.embedded.spec import HealthCheck


class Verdict(StrEnum):
    """`unknown` until a check has answered, or where there is none."""

    UNKNOWN = "unknown"
    HEALTHY = "healthy"
    UNHEALTHY = "unhealthy"


class Health:
    """The verdicts on the jobs that run now."""

    def __init__(self) -> None:
        self._verdicts: dict[int, list[Verdict]] = {}
        self._tasks: dict[int, tuple[int | None, list[asyncio.Task[None]]]] = {}
        self._changed: Callable[[int], None] = lambda _: None

    def tell(self, changed: Callable[[int], None]) -> None:
        """Call this with the id of a job from now on, whenever the verdict on it changes."""
        self._changed = changed

    def watch(self, job: Job, *, running: bool) -> None:
        """Take note of a change of a job: its checks begin, begin anew or end."""
        pid = job.pid if running else None
        known = self._tasks.get(job.id)
        if known and known[0] == pid:
            return
        if known:
            for task in known[1]:
                task.cancel()
            del self._tasks[job.id], self._verdicts[job.id]
        if pid is not None and job.spec.health_checks:
            self._verdicts[job.id] = [Verdict.UNKNOWN] * len(job.spec.health_checks)
            loop = asyncio.get_running_loop()
            tasks = [
                loop.create_task(self._repeat(job.id, at, check)) for at, check in enumerate(job.spec.health_checks)
            ]
            self._tasks[job.id] = (pid, tasks)

    def of(self, job_id: int) -> Verdict:
        """The verdict on a job: the worst of its checks."""
        return _worst(self._verdicts.get(job_id, []))

    def worst(self, job_ids: Sequence[int]) -> Verdict:
        """The verdict on several jobs."""
        return _worst([self.of(job_id) for job_id in job_ids])

    def close(self) -> None:
        """End all checks."""
        for _, tasks in self._tasks.values():
            for task in tasks:
                task.cancel()
        self._tasks.clear()

    async def _repeat(self, job_id: int, at: int, check: HealthCheck) -> None:
        verdicts = self._verdicts[job_id]
        failures = 0
        while True:
            well = await _ask(check)
            failures, before = 0 if well else failures + 1, self.of(job_id)
            if well:
                verdicts[at] = Verdict.HEALTHY
            elif failures >= check.retries:
                verdicts[at] = Verdict.UNHEALTHY
            if self.of(job_id) is not before:
                self._changed(job_id)
            await asyncio.sleep(check.interval_ms / 1000)


def _worst(verdicts: Sequence[Verdict]) -> Verdict:
    for verdict in (Verdict.UNHEALTHY, Verdict.UNKNOWN):
        if verdict in verdicts:
            return verdict
    return Verdict.HEALTHY if verdicts else Verdict.UNKNOWN


async def _ask(check: HealthCheck) -> bool:
    """Whether a check succeeds within its time."""
    try:
        async with asyncio.timeout(check.timeout_ms / 1000):
            return await (_ask_http(check.url) if check.type == "http" else _ask_tcp(check.target))
    except (OSError, ValueError, UnicodeError):  # a timeout is an OSError
        return False


async def _ask_tcp(target: str) -> bool:
    _, writer = await asyncio.open_connection(*host_and_port(target))
    writer.close()
    return True


async def _ask_http(url: str) -> bool:
    where, _, path = url.removeprefix("http://").partition("/")
    host, port = host_and_port(where)
    reader, writer = await asyncio.open_connection(host, port)
    try:
        writer.write(f"GET /{path} HTTP/1.1\r\nhost: {where}\r\nconnection: close\r\n\r\n".encode())
        words = (await reader.readline()).split(None, 2)
        return len(words) >= 2 and words[0].startswith(b"HTTP/1.") and 200 <= int(words[1]) < 400
    finally:
        writer.close()
