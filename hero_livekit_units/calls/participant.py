"""One participant of a call, as a program: `python -m hero_livekit_units.calls.participant`.

A process of its own, because the WebRTC library leaves native threads behind and because a participant must not share
the fate or the pauses of what is tested. It reads JSON lines on stdin and writes JSON lines on stdout.

    stdin   1st line    {"url", "token", "speaks": bool, "hears": [identity, ...]}
            then        {"id": n, "mark": name} · {"id": n, "report": true} · {"stop": true}; the end of stdin stops too
    stdout  {"event": "joined", "identity", "room"} · {"event": "hearing", "speaker"} · {"event": "reconnecting"}
            {"event": "reconnected"} · {"event": "disconnected", "reason"} · {"event": "failed", "cause"}
            {"event": "marked", "id"} · {"event": "report", "id", ...}

The token comes in by stdin, so it is in no argv and no environment; what the library logs goes to stderr without it.
Must not know of other processes: `call` starts these and ends them.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import re
import signal
import sys
import threading
import time
from contextlib import suppress
from itertools import cycle
from typing import TYPE_CHECKING, Any

from attrs import frozen

from hero_livekit_units.calls.extra import extra_missing
from hero_livekit_units.calls.listening import Listening
from hero_livekit_units.calls.tone_clock import FRAME_MS, SAMPLE_RATE_HZ, whole_tones

try:
    from livekit import rtc
except ImportError as error:
    raise extra_missing("livekit") from error

if TYPE_CHECKING:
    from typing import BinaryIO

CONNECT_S = 5.0  # for each attempt of the library
JOIN_S = 20.0  # for connecting and publishing, all attempts together
LEAVE_S = 2.0
LAST_RESORT_S = 6.0  # after the end of stdin: the process ends even if the library hangs

_PULSE_S = 0.02
_QUEUE_MS = 200
_BACKLOG_FRAMES = 500  # 5 s of a stream that nobody had time to look at
_TOKEN = re.compile(r"eyJ[\w-]+\.[\w-]+\.[\w-]*")


@frozen
class Job:
    """What the participant is to do; `hears` are the identities whose tone clocks it reads."""

    url: str
    token: str
    speaks: bool
    hears: tuple[str, ...]


class _NoToken(logging.Formatter):
    """The library names the address it connects to, and the token is part of that."""

    def format(self, record: logging.LogRecord) -> str:
        return _TOKEN.sub("<token>", super().format(record))


class _NotForEver(logging.Filter):
    """Lets the first records through: the library logs each attempt to reconnect, and a run may have thousands."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self._left = most

    def filter(self, _record: logging.LogRecord) -> bool:
        self._left -= 1
        return self._left >= 0


class Events:
    """The way out: one JSON line an event. When nobody reads any more, nobody needs this process."""

    def __init__(self, out: BinaryIO) -> None:
        self._out = out

    def send(self, event: str, **fields: Any) -> None:
        """Write one event."""
        try:
            self._out.write(json.dumps({"event": event, **fields}).encode() + b"\n")
            self._out.flush()
        except BrokenPipeError:
            os._exit(0)


class Participant:
    """One participant in one room, from joining to leaving."""

    def __init__(self, job: Job, events: Events) -> None:
        self._job = job
        self._events = events
        self._listening = Listening(job.hears)
        self._disconnects = 0
        self._reconnects = 0
        self._reasons: list[str] = []
        self._leaving = False
        self._stall_ms = 0.0
        self._streams: dict[str, tuple[rtc.AudioStream, asyncio.Task[None]]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._room = rtc.Room()
        self._room.on("track_subscribed", self._on_track)
        self._room.on("reconnecting", self._on_reconnecting)
        self._room.on("reconnected", self._on_reconnected)
        self._room.on("disconnected", self._on_disconnected)

    async def run(self, commands: asyncio.Queue[dict[str, Any]]) -> None:
        """Join, take part until the command to stop, leave.

        Raises:
            rtc.ConnectError: the server did not let us in.
            TimeoutError: nor did it say no.
        """
        async with asyncio.timeout(JOIN_S):
            options = rtc.RoomOptions(auto_subscribe=bool(self._job.hears), connect_timeout=CONNECT_S)
            await self._room.connect(self._job.url, self._job.token, options)
            source = await self._publish() if self._job.speaks else None
        self._events.send("joined", identity=self._room.local_participant.identity, room=self._room.name)
        obeying = asyncio.create_task(self._obey(commands))
        working = [asyncio.create_task(self._watch_stalls())]
        if source is not None:
            working.append(asyncio.create_task(_speak(source)))
        # Speaking and watching never end by themselves: when one does, it failed, and the participant with it.
        done, _ = await asyncio.wait({obeying, *working}, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()

    async def leave(self) -> None:
        """Tell the server, for as long as it takes to answer, within bounds."""
        self._leaving = True
        with suppress(TimeoutError):
            async with asyncio.timeout(LEAVE_S):
                await self._room.disconnect()

    async def _publish(self) -> rtc.AudioSource:
        source = rtc.AudioSource(SAMPLE_RATE_HZ, 1, queue_size_ms=_QUEUE_MS)
        track = rtc.LocalAudioTrack.create_audio_track("tone-clock", source)
        # DTX would leave out what sounds like silence, RED would repeat lost packets: both would hide what is measured.
        options = rtc.TrackPublishOptions(source=rtc.TrackSource.SOURCE_MICROPHONE, dtx=False, red=False)
        await self._room.local_participant.publish_track(track, options)
        return source

    async def _obey(self, commands: asyncio.Queue[dict[str, Any]]) -> None:
        while True:
            command = await commands.get()
            if "mark" in command:
                if self._listening.in_ramp:
                    self._stall_ms = 0.0
                self._listening.mark(command["mark"], time.monotonic())
                self._events.send("marked", id=command["id"])
            elif "report" in command:
                self._events.send("report", id=command["id"], **self._report())
            else:
                return

    def _report(self) -> dict[str, Any]:
        return {
            **self._listening.report(time.monotonic()),
            "disconnects": self._disconnects,
            "reconnects": self._reconnects,
            "reasons": self._reasons,
            "stall_ms": self._stall_ms,
        }

    async def _watch_stalls(self) -> None:
        """Note how late this process wakes up: a gap as long as that may be its own."""
        while True:
            began_s = time.monotonic()
            await asyncio.sleep(_PULSE_S)
            self._stall_ms = max(self._stall_ms, 1000 * (time.monotonic() - began_s - _PULSE_S))

    def _on_track(
        self, track: rtc.Track, _publication: rtc.RemoteTrackPublication, speaker: rtc.RemoteParticipant
    ) -> None:
        if track.kind != rtc.TrackKind.KIND_AUDIO or speaker.identity not in self._job.hears:
            return
        # After a reconnect the same speaker comes with a new track: the clock goes on, the old stream would leak.
        if (old := self._streams.pop(speaker.identity, None)) is not None:
            self._keep(asyncio.create_task(_close(*old)))
        stream = rtc.AudioStream(
            track, capacity=_BACKLOG_FRAMES, sample_rate=SAMPLE_RATE_HZ, num_channels=1, frame_size_ms=FRAME_MS
        )
        task = asyncio.create_task(self._hear(speaker.identity, stream))
        self._keep(task)
        self._streams[speaker.identity] = (stream, task)

    async def _hear(self, speaker: str, stream: rtc.AudioStream) -> None:
        async for event in stream:
            if self._listening.hear(speaker, event.frame.data, time.monotonic()):
                self._events.send("hearing", speaker=speaker)

    def _on_reconnecting(self) -> None:
        self._events.send("reconnecting")

    def _on_reconnected(self) -> None:
        self._reconnects += 1
        self._events.send("reconnected")

    def _on_disconnected(self, reason: rtc.DisconnectReason.ValueType) -> None:
        if self._leaving:
            return
        self._disconnects += 1
        self._reasons = [*self._reasons, rtc.DisconnectReason.Name(reason)][-10:]
        self._events.send("disconnected", reason=self._reasons[-1])

    def _keep(self, task: asyncio.Task[None]) -> None:
        """The loop holds tasks by weak references only."""
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


async def _speak(source: rtc.AudioSource) -> None:
    """Send the signal for ever; the source makes us wait while its queue is full."""
    # A whole tone at a time: the library splits it, and each call costs as much as hearing four frames.
    tones = [rtc.AudioFrame(tone, SAMPLE_RATE_HZ, 1, len(tone) // 2) for tone in whole_tones()]
    for tone in cycle(tones):
        await source.capture_frame(tone)


async def _close(stream: rtc.AudioStream, hearing: asyncio.Task[None]) -> None:
    hearing.cancel()
    with suppress(TimeoutError):
        async with asyncio.timeout(LEAVE_S):
            await stream.aclose()


def _read_job(line: bytes) -> Job:
    try:
        fields = json.loads(line)
        return Job(str(fields["url"]), str(fields["token"]), bool(fields["speaks"]), tuple(fields["hears"]))
    except (ValueError, TypeError, KeyError) as error:
        # Without the line itself: it holds a token.
        raise ValueError(f"the job is not what it should be ({type(error).__name__})") from None


async def _take_part(job: Job, events: Events, stdin: BinaryIO) -> int:
    commands: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    loop = asyncio.get_running_loop()

    def read_commands() -> None:
        # A thread, so that the end of stdin (the parent died) ends this process even when the loop hangs.
        try:
            for line in stdin:
                loop.call_soon_threadsafe(commands.put_nowait, json.loads(line))
        finally:
            with suppress(RuntimeError):  # the loop is closed already
                loop.call_soon_threadsafe(commands.put_nowait, {"stop": True})
            time.sleep(LAST_RESORT_S)
            os._exit(1)

    threading.Thread(target=read_commands, daemon=True).start()
    participant = Participant(job, events)
    try:
        await participant.run(commands)
    except rtc.ConnectError as error:
        events.send("failed", cause=f"it cannot join: {_TOKEN.sub('<token>', error.message)}")
        return 1
    except TimeoutError:
        events.send("failed", cause=f"it could not join within {JOIN_S:g} s")
        return 1
    await participant.leave()
    return 0


def run() -> int:
    """Be a participant until stdin says otherwise; the exit status."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, whose end is ours
    stdin = sys.stdin.buffer
    # Whatever a library prints must not come between the events.
    events = Events(os.fdopen(os.dup(1), "wb"))
    os.dup2(2, 1)
    handler = logging.StreamHandler()
    handler.setFormatter(_NoToken())
    handler.addFilter(_NotForEver(500))
    logging.basicConfig(level=logging.ERROR, handlers=[handler])
    try:
        job = _read_job(stdin.readline())
    except ValueError as error:
        events.send("failed", cause=str(error))
        return 2
    return asyncio.run(_take_part(job, events, stdin))


def _main() -> None:
    try:
        status = run()
    except BaseException:
        # Whatever it was: the native threads must not keep a broken process alive.
        logging.getLogger(__name__).exception("the participant failed")
        status = 1
    os._exit(status)


if __name__ == "__main__":
    _main()
