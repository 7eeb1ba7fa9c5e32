"""Every exception of the package.

The text of an error is one sentence in lower case, "cannot <verb> <thing>: <cause>"; what the user can do about it is
its `hint`. Errors of the libraries underneath never leave the package: they are chained as `__cause__`.

    UnitsError                      .hint .retryable
    ├─ DefinitionInvalid            .issues       every issue of every file at once
    ├─ CatalogError
    │  ├─ UnknownUnit               .name .near
    │  ├─ UnknownRelease            .unit .release
    │  ├─ DuplicateRelease          .unit .release .files
    │  ├─ ReleaseCycle              .unit .members
    │  ├─ MultipleHeads             .unit .heads
    │  └─ UpgradeBackwards          .unit .release .newer
    ├─ SettingRefused               .near         keys like the one that is not set
    ├─ PlanRefused                  .refusals
    │  ├─ BlockedRelease            .unit .release .reason
    │  └─ NoUpgradePath             .unit .start .end .reachable
    ├─ VerifyRefused                a call would be measured where it hits somebody or what was done cannot be undone
    ├─ ExaminationFailed            nothing was concluded of a supervisor, and nothing is left of it
    ├─ ProvisionFailed              .reasons      one for each road that was tried
    ├─ RegistryError                .method .cause
    │  ├─ RegistryUnavailable       no socket, refused, deadline passed (retryable)
    │  ├─ RegistryProtocolError     garbage, wrong id, short answer
    │  └─ RegistryRefused           .code .data
    │     ├─ EntryNotFound
    │     ├─ RegistryLacks          .tried .listed  its OpenRPC document has no method for this
    │     └─ RegistryConflict       somebody else has written what was to be replaced
    ├─ FrontError
    │  ├─ FrontUnavailable          no socket, refused, deadline passed (retryable)
    │  └─ FrontRefused              .action .faults   it answered that it will not
    ├─ PlanInvalid                  a text that is no plan of this version
    ├─ StepFailed                   .step
    │  ├─ PlanStale                 .changes      the world is another than the plan was made for (retryable)
    │  └─ StepTimedOut
    └─ DaemonError
       ├─ SocketBusy                .pid
       ├─ StateFileInvalid
       └─ StateFileNewer
"""

from __future__ import annotations

TYPE_CHECKING = False  # typing is slow to import, and every `hlu status` loads this module
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any


_SHOWN_RELEASES = 8
_SHOWN_METHODS = 40


class UnitsError(Exception):
    """Base of all errors that this package raises on purpose.

    Attributes:
        hint: what the user can do, one sentence, or "" where nothing is known to help.
        retryable: whether the same call may succeed later without any change.
    """

    retryable = False

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class Issue:
    """One fault in a text that a person wrote: where it is, what it is and how to mend it.

    Attributes:
        file: the path as the user gave it.
        line: 1-based line, 0 when the fault is the absence of something in the whole file.
        column: 1-based column, 0 likewise.
        path: the key, dotted, such as `run.argv`.
        text: what is wrong.
        hint: how to mend it, or "".
    """

    __slots__ = ("column", "file", "hint", "line", "path", "text")

    def __init__(self, file: str, line: int, column: int, path: str, text: str, hint: str = "") -> None:
        self.file = file
        self.line = line
        self.column = column
        self.path = path
        self.text = text
        self.hint = hint

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}:{self.column}" if self.line else self.file
        key = f"{self.path}: " if self.path else ""
        advice = f" ({self.hint})" if self.hint else ""
        return f"{where}: {key}{self.text}{advice}"

    def __repr__(self) -> str:
        return f"Issue({str(self)!r})"


class DefinitionInvalid(UnitsError):
    """One or more files are not what they should be; `issues` lists all of it, in the order of the text."""

    def __init__(self, issues: Sequence[Issue]) -> None:
        files = list(dict.fromkeys(issue.file for issue in issues))
        what = files[0] if len(files) == 1 else f"{len(files)} files"
        count = f"{len(issues)} issue" + ("s" if len(issues) != 1 else "")
        super().__init__(f"cannot use {what}: {count}\n" + "\n".join(f"  {issue}" for issue in issues))
        self.issues = tuple(issues)


class CatalogError(UnitsError):
    """The definitions are valid one by one, but what was asked of them together is not there."""


class UnknownUnit(CatalogError):
    """No definition has this name."""

    def __init__(self, name: str, near: str = "") -> None:
        super().__init__(f"cannot find unit {name!r}", hint=f"did you mean {near!r}?" if near else "")
        self.name = name
        self.near = near


class UnknownRelease(CatalogError):
    """The unit exists, this release of it does not; `named_by` is the release whose lineage names it, or ""."""

    def __init__(self, unit: str, release: str, known: Sequence[str], *, named_by: str = "") -> None:
        named = f", which the lineage of {named_by} names" if named_by else ""
        shown = known if len(known) <= _SHOWN_RELEASES else [*known[:2], "...", *known[-_SHOWN_RELEASES:]]
        super().__init__(
            f"cannot find release {release!r} of {unit}{named}", hint=f"known releases: {', '.join(shown)}"
        )
        self.unit = unit
        self.release = release


class DuplicateRelease(CatalogError):
    """Two files define the same release."""

    def __init__(self, unit: str, release: str, files: Sequence[str]) -> None:
        super().__init__(
            f"cannot load {unit} {release}: it is defined in {' and in '.join(files)}",
            hint="a release has one file; give a changed definition the next revision",
        )
        self.unit = unit
        self.release = release
        self.files = tuple(files)


class ReleaseCycle(CatalogError):
    """Releases that would each be upgraded from the next, in a circle; `members` begins and ends with the same one."""

    def __init__(self, unit: str, members: Sequence[str]) -> None:
        super().__init__(
            f"cannot order the releases of {unit}: {' upgrades from '.join(members)}",
            hint="a way back stands under [lineage.rolls_back_to] of the newer release",
        )
        self.unit = unit
        self.members = tuple(members)


class MultipleHeads(CatalogError):
    """More than one release that no other replaces, so that nobody can say which is the newest."""

    def __init__(self, unit: str, heads: Sequence[str]) -> None:
        super().__init__(
            f"cannot tell the newest release of {unit}: nothing replaces {' nor '.join(heads)}",
            hint="name it under [lineage.upgrades_from] of the release that comes after it",
        )
        self.unit = unit
        self.heads = tuple(heads)


class UpgradeBackwards(CatalogError):
    """A release says that it upgrades one that is newer than itself."""

    def __init__(self, unit: str, release: str, newer: str) -> None:
        super().__init__(
            f"cannot upgrade {unit} {newer} to {release}: it is newer",
            hint=f"a way back stands under [lineage.rolls_back_to] of {newer}",
        )
        self.unit = unit
        self.release = release
        self.newer = newer


class SettingRefused(UnitsError):
    """A key or value cannot be set or unset as asked; the file is as it was. `near` has keys like the unknown one."""

    def __init__(self, message: str, *, near: Sequence[str] = (), hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.near = tuple(near)


class PlanRefused(UnitsError):
    """The desired state cannot be reached without harm that nobody asked for; `refusals` says what is in the way."""

    def __init__(self, refusals: Sequence[str], *, hint: str = "") -> None:
        super().__init__("cannot reach the desired state: " + "; ".join(refusals), hint=hint)
        self.refusals = tuple(refusals)


class BlockedRelease(PlanRefused):
    """A release that nobody should run, with the reason; `on_the_way` is (start, end) where it only lies in between."""

    def __init__(self, unit: str, release: str, reason: str, *, on_the_way: tuple[str, str] | None = None) -> None:
        where = f"the way from {on_the_way[0]} to {on_the_way[1]} leads over {release}: " if on_the_way else ""
        super().__init__([f"{unit} {release} is blocked: {where}{reason}"], hint="choose another release")
        self.unit = unit
        self.release = release
        self.reason = reason


class NoUpgradePath(PlanRefused):
    """No chain of declared edges leads from one release to the other; `reachable` lists what can be reached."""

    def __init__(self, unit: str, start: str, end: str, reachable: Sequence[str]) -> None:
        hint = f"from {start} there is a way to {', '.join(reachable)}" if reachable else f"no edge leaves {start}"
        super().__init__([f"no way is declared from {unit} {start} to {end}"], hint=hint)
        self.unit = unit
        self.start = start
        self.end = end
        self.reachable = tuple(reachable)


class VerifyRefused(UnitsError):
    """`hlu verify` would hit people who are none of its own, measure nothing, or do what it cannot undo."""


class ExaminationFailed(UnitsError):
    """The supervisor could not be examined to the end: nothing was concluded, and nothing is left of it."""


class ProvisionFailed(UnitsError):
    """A program could not be had by any road; `reasons` has one entry for each, in the order tried."""

    def __init__(self, program: str, reasons: Sequence[tuple[str, str]], *, hint: str = "") -> None:
        listed = "\n".join(f"  {road}: {reason}" for road, reason in reasons)
        super().__init__(f"cannot provision {program}:\n{listed}", hint=hint)
        self.program = program
        self.reasons = tuple(reasons)


class RegistryError(UnitsError):
    """The supervisor could not be asked, or said no; `cause` is the message without the method."""

    def __init__(self, method: str, cause: str, *, hint: str = "") -> None:
        super().__init__(f"cannot call {method}: {cause}", hint=hint)
        self.method = method
        self.cause = cause


class RegistryUnavailable(RegistryError):
    """No socket, connection refused, or the deadline passed: nothing is known about what the supervisor holds."""

    retryable = True


class RegistryProtocolError(RegistryError):
    """The peer answered, but not in the protocol."""


class RegistryRefused(RegistryError):
    """The supervisor answered with an error of its own; `code` and `data` are as it sent them."""

    def __init__(self, method: str, cause: str, *, code: int, data: Any = None, hint: str = "") -> None:
        super().__init__(method, cause, hint=hint)
        self.code = code
        self.data = data


class EntryNotFound(RegistryRefused):
    """The supervisor does not know this name."""


class RegistryLacks(RegistryRefused):
    """This supervisor cannot be asked: its OpenRPC document names no method for it, or one that takes too little.

    Attributes:
        tried: the names that would have been understood.
        listed: the methods that the document has.
    """

    def __init__(
        self, method: str, does: str, *, tried: Sequence[str], listed: Sequence[str], because: str = ""
    ) -> None:
        names = ", ".join(listed[:_SHOWN_METHODS])
        more = f" and {len(listed) - _SHOWN_METHODS} more" if len(listed) > _SHOWN_METHODS else ""
        cause = because or f"tried {', '.join(tried)}"
        super().__init__(
            method,
            f"this hero_proc has no method to {does}, {cause}; its document lists {names}{more}",
            code=-32601,
            hint="all that does not need it still works; a newer hero_proc may have it",
        )
        self.tried = tuple(tried)
        self.listed = tuple(listed)


class RegistryConflict(RegistryRefused):
    """What is stored is not what was to be replaced; nothing was written."""


class FrontError(UnitsError):
    """HAProxy, the front, did not do what it was asked."""


class FrontUnavailable(FrontError):
    """It did not answer, or not in time: nothing is known about it, nor whether what was asked was done."""

    retryable = True

    def __init__(self, cause: str) -> None:
        super().__init__(f"cannot ask the front: {cause}")


class FrontRefused(FrontError):
    """It will not; all is as before. `faults` are those of its configuration, where that is why."""

    def __init__(self, action: str, cause: str, *, faults: Sequence[object] = (), hint: str = "") -> None:
        super().__init__(f"cannot {action}: {cause}", hint=hint)
        self.action = action
        self.faults = tuple(faults)


class StepFailed(UnitsError):
    """A step of a plan did not reach its end."""

    def __init__(self, step: str, cause: str, *, hint: str = "") -> None:
        super().__init__(f"cannot {step}: {cause}", hint=hint)
        self.step = step


class PlanStale(StepFailed):
    """The world is another than the one that the plan was made for; `changes` says what. The step was not done."""

    retryable = True

    def __init__(self, step: str, changes: Sequence[str]) -> None:
        super().__init__(step, "; ".join(changes), hint="plan again; what was done stays done")
        self.changes = tuple(changes)


class PlanInvalid(UnitsError):
    """A text is not a plan, or one of another version of the package."""


class StepTimedOut(StepFailed):
    """The step acted, but what it was to bring about did not show in time."""


class DaemonError(UnitsError):
    """One of our daemons cannot start or go on."""


class SocketBusy(DaemonError):
    """Another daemon owns the socket; `pid` is its process, 0 where it could not be told."""

    def __init__(self, message: str, *, pid: int, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.pid = pid


class StateFileInvalid(DaemonError):
    """The database of a daemon is not a database, or not ours."""


class StateFileNewer(DaemonError):
    """The database was written by a newer version of the package; going on would lose what it holds."""
