"""Speaks to any hero_proc in our words: finds its dialect once, and translates where it is not ours.

The dialect is kept for as long as the same supervisor answers, in memory and, where a folder is given, in a file, so
that looking stays one round trip. The embedded hero_proc says that it is one, and its document is not read.
"""

from __future__ import annotations

import json
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from hero_livekit_units.atomic import write_atomically
from hero_livekit_units.errors import (
    EntryNotFound,
    RegistryError,
    RegistryLacks,
    RegistryProtocolError,
    RegistryRefused,
    RegistryUnavailable,
    StepFailed,
)
from hero_livekit_units.herosocket.client import HeroClient

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from hero_livekit_units.registry.dialect import Dialect

_NATIVE = "embedded"  # the kind of hero_proc whose words are ours
_PING = "system.ping"
_METHOD_NOT_FOUND = -32601
_READ_BACK = {"action.get": "action.set", "service.get": "service.set"}
_DOCUMENT_DEADLINE_S = 2.0
_LARGEST_KEPT = 1024 * 1024
_UNSHAPED = (KeyError, TypeError, ValueError, AttributeError, OverflowError)

_Identity = tuple[str, int, int]  # version, pid, start time


class Speaker:
    """Calls in our words, as HeroClient's; a method that this hero_proc has not is a RegistryLacks, not sent.

    memory: a file for the document of the supervisor, replaced when another one answers.
    """

    def __init__(self, socket: str, deadline_s: float, memory: Path | None = None) -> None:
        self._client = HeroClient(socket, deadline_s=deadline_s)
        self._memory = memory
        self._dialect: Dialect | None = None  # None: ours; to be believed only if it is _met
        self._met = False
        self._identity: _Identity | None = None

    def call(self, method: str, params: dict[str, Any] | None = None) -> Any:
        """Call one method.

        Raises:
            RegistryError: as HeroClient's `call`; RegistryLacks where there is no such method here.
        """
        (answer,) = self.batch([(method, params)])
        dialect = self._dialect
        if dialect is not None and method in dialect.creating and isinstance(answer, EntryNotFound):
            said = dialect.creating[method]
            (answer,) = self._client.batch([(said.name, said.params(params or {}))])
        if isinstance(answer, RegistryRefused):
            raise answer
        return answer

    def batch(
        self, calls: Sequence[tuple[str, dict[str, Any] | None]], *, deadline_s: float | None = None
    ) -> list[Any]:
        """Call several in one round trip; the first one of a batch may be `system.ping`, and then tells who answers.

        Raises:
            RegistryUnavailable, RegistryProtocolError: as HeroClient's `batch`.
        """
        until = None if deadline_s is None else time.monotonic() + deadline_s
        asks_who = bool(calls) and calls[0][0] == _PING
        if not self._met and not asks_who:
            try:
                self._meet(_DOCUMENT_DEADLINE_S)
            except RegistryUnavailable as error:
                wanted = ", ".join(dict.fromkeys(method for method, _ in calls))
                raise RegistryUnavailable(wanted, error.cause, hint=error.hint) from error
        elif not self._met:
            self._recall()
        answers = self._say(calls, deadline_s)
        if not asks_who:
            if self._dialect is not None and any(_is_gone(answer) for answer in answers):
                self._met = False  # another version may have come since; whoever asks next looks again
            return answers
        who = answers[0]
        if isinstance(who, dict) and who.get("kind") == _NATIVE:
            before, self._dialect, self._met = self._dialect, None, True
            return answers if before is None else self._say(calls, _left(until))
        identity = _identity(who)
        if self._met and identity == self._identity:
            return answers
        before = self._dialect
        document = self._meet(_left(until) or _DOCUMENT_DEADLINE_S, answers=True)
        if self._dialect != before:
            answers = self._say(calls, _left(until))
        self._identity = _identity(answers[0])
        self._remember(document)
        return answers

    def kept(self, method: str, spec: dict[str, Any]) -> dict[str, Any]:
        """The part of an action or service that this hero_proc can store."""
        if self._dialect is None:
            return spec
        if method in self._dialect.lacks:
            raise self._dialect.lacks[method]
        return self._dialect.kept(method, spec)

    def _say(self, calls: Sequence[tuple[str, dict[str, Any] | None]], deadline_s: float | None) -> list[Any]:
        dialect = self._dialect
        if dialect is None:
            return self._client.batch(calls, deadline_s=deadline_s)
        sent = [
            (dialect.methods[method].name, dialect.methods[method].params(params or {}))
            for method, params in calls
            if method in dialect.methods
        ]
        heard = iter(self._client.batch(sent, deadline_s=deadline_s) if sent else [])
        return [
            _heard(dialect, method, next(heard)) if method in dialect.methods else _absent(dialect, method)
            for method, _ in calls
        ]

    def _meet(self, deadline_s: float, *, answers: bool = False) -> Any:
        """Read its document, which is returned. One that has none that can be read is taken to speak as we do.

        `answers` says that it has just answered: a document that does not come will not come the next time either.
        """
        document = None
        try:
            document = self._client.document(deadline_s=deadline_s)
        except RegistryUnavailable:
            if not answers:
                raise  # nobody is there, and nothing is to be done by guess
        except RegistryError:
            pass  # it has none, or it is broken
        self._understand(document)
        self._met, self._identity = True, None
        return document

    def _remember(self, document: Any) -> None:
        """Keep the document for processes that come later, if it has to be translated and it is known whose it is."""
        if self._dialect is None or self._identity is None or self._memory is None:
            return
        if not self._memory.parent.is_dir():
            return  # to look makes no folders
        text = json.dumps({"socket": self._client.path, "identity": self._identity, "document": document})
        if len(text) <= _LARGEST_KEPT:
            with suppress(StepFailed):  # then it has to be read again
                write_atomically(self._memory, text, 0o600)

    def _recall(self) -> None:
        """Take the dialect that was kept; the answer to the ping shows whether it is still the right one."""
        if self._memory is None:
            return
        try:
            kept = json.loads(self._memory.read_bytes())
            version, pid, start = kept["identity"]
            if kept["socket"] == self._client.path:
                self._understand(kept["document"])
                self._met, self._identity = True, (str(version), int(pid), int(start))
        except (OSError, RecursionError, *_UNSHAPED):
            return

    def _understand(self, document: Any) -> None:
        # Imported here: who only ever meets the embedded hero_proc does not pay for it.
        from hero_livekit_units.registry.dialect import find_dialect  # noqa: PLC0415
        from hero_livekit_units.registry.openrpc import read  # noqa: PLC0415

        try:
            found = None if document is None else find_dialect(read(document))
        except (RecursionError, *_UNSHAPED):
            found = None
        self._dialect = None if found is None or found.native else found


def _left(until: float | None) -> float | None:
    return None if until is None else max(until - time.monotonic(), 0.001)


def _is_gone(answer: Any) -> bool:
    return (
        isinstance(answer, RegistryRefused)
        and answer.code == _METHOD_NOT_FOUND
        and not isinstance(answer, RegistryLacks)
    )


def _identity(who: Any) -> _Identity | None:
    """Who answered; None where it does not say."""
    if not isinstance(who, dict) or not isinstance(who.get("pid"), int):
        return None
    start = who.get("pid_start")
    return str(who.get("version", "")), who["pid"], start if isinstance(start, int) else 0


def _absent(dialect: Dialect, method: str) -> Any:
    return {"version": dialect.version} if method == _PING else dialect.lacks[method]


def _heard(dialect: Dialect, method: str, answer: Any) -> Any:
    """An answer in our words."""
    from hero_livekit_units.registry import answers  # noqa: PLC0415  as above

    if isinstance(answer, RegistryRefused):
        if answer.code != _METHOD_NOT_FOUND and answers.means_not_found(answer.cause, answer.data):
            return EntryNotFound(method, answer.cause, code=answer.code, data=answer.data, hint=answer.hint)
        return answer
    if answer is None and method.endswith(".get") and method != "logs.get":
        return EntryNotFound(method, "there is none", code=0)
    try:
        match method:
            case "system.ping":
                return answers.read_ping(answer)
            case "service.status":
                return answers.read_status(answer)
            case "action.get" | "service.get" if _READ_BACK[method] in dialect.methods:
                setter = _READ_BACK[method]
                return answers.read_stored(answer, lambda stored: dialect.read_back(setter, stored))
            case "secret.get":
                return answers.read_secret(answer)
            case "logs.get":
                return answers.read_lines(answer)
    except _UNSHAPED as error:
        shown = "" if method == "secret.get" else f" ({error!r})"
        raise RegistryProtocolError(method, f"an answer of unknown shape{shown}") from None
    return answer
