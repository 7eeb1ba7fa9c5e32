"""Plain data as text for a person. Pure, and nearly free of imports: `hlu status` waits for it."""

from __future__ import annotations

from hero_livekit_units.cli.comeback import comeback_lines
from hero_livekit_units.model.words import duration

TYPE_CHECKING = False  # typing itself would be the slowest import of `hlu status`
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

_MARKS = {"healthy": "●", "starting": "◐", "unhealthy": "✗", "stopped": "○", "foreign": "!", "unknown": "?"}


def status_text(status: dict[str, Any], *, evidence: bool = False) -> str:
    """The status report as text: a line for each unit, then who is the supervisor and where to join.

    With `evidence`, also what every witness said: + for the unit, - against it, ? where it could not be asked.
    """
    rows = [("", "UNIT", "RELEASE", "VERDICT", "PID", "UP", "CALLS", "WHY")]
    for unit in status["units"]:
        pid = str(unit["pid"]) if unit["pid"] else "-"
        up = duration(unit["age_s"]) if unit["age_s"] is not None else "-"
        release = unit["release"] or unit["wanted_release"]
        mark = _MARKS.get(unit["verdict"], "?")
        rows.append((mark, unit["instance"], release, unit["verdict"], pid, up, _calls(unit["calls"]), unit["because"]))
    supervisor = status["supervisor"]
    who = f"{supervisor['kind']} {supervisor['version']}, pid {supervisor['pid']}" if supervisor["pid"] else "none"
    lines = [*table(rows), ""]
    for unit in status["units"]:
        lines += [*_foreign(unit["instance"], unit["foreign"]), ""] if unit["foreign"] else []
        lines += [*_drain(unit["instance"], unit["drain"], unit["calls"]), ""] if unit["drain"] else []
    lines += _evidence(status) if evidence else ()
    lines.append(f"supervisor  {supervisor['verdict']}: {who} ({supervisor['says']})")
    if supervisor.get("lacks"):  # a control plane of another release may not say it
        lines.append(f"            without {', '.join(supervisor['lacks'])}: see `hlu doctor`")
    if supervisor["verdict"] != "healthy":
        lines.append("            start one with `hlu hero-proc start`; running calls do not need it")
    lines.append(f"join        {status['join_url']}")
    lines.append(f"seen by     {status['looked_by']}, in {status['took_ms']:.1f} ms")
    return "\n".join(lines)


def plan_text(plan: dict[str, Any], explained: Sequence[str] = ()) -> str:
    """A plan as text: what would be done and what it does to calls, why not gentler, what was refused or waits.

    `explained` is `plan.explain.explain` of it, shown where nothing has to change.
    """
    lines = []
    steps = [(number, step) for number, wave in enumerate(plan["waves"], 1) for step in wave["steps"]]
    for number, step in steps:
        lines.append(f"{number}. {step['action']} {step['instance']}")
        lines.append(f"   because: {step['because']}")
        lines.append(f"   calls:   {step['effect']['says']}")
    for choice in plan["choices"]:
        lines.append(f"way      {choice['instance']}: {choice['way'] or 'none is open'}")
        lines += [f"         not {passed['way']}: {passed['because']}" for passed in choice["passed_over"]]
    lines += _refused(plan)
    if steps or plan["refusals"] or plan["waits"]:
        return "\n".join(lines)
    return "\n".join(["nothing has to change", *(f"  {line}" for line in explained), *lines])


def receipt_text(receipt: dict[str, Any]) -> str:
    """A receipt as text: what was done, what was not and why, and what lives now."""
    lines = []
    for did in receipt["done"]:
        step, took_s = did["step"], did["took_ms"] / 1000
        lines.append(f"done     {step['action']} {step['instance']}: {did['outcome']} ({took_s:.2f} s)")
        lines += (f"{'' if at else 'back':8} {said}" for at, said in enumerate(comeback_lines(did.get("comeback"))))
    lines += _refused(receipt)
    for state in receipt["after"]:
        process = state["process"]
        pid = f", pid {process['pid']}" if process else ""
        lines.append(f"now      {state['instance']}: {state['verdict']}{pid}")
    if receipt["done_by"]:
        lines.append(f"done     by another caller meanwhile: receipt {receipt['done_by']}")
    if not receipt["changed"]:
        lines.append(f"nothing was changed ({receipt['took_ms']:.1f} ms)")
    return "\n".join(lines)


def history_text(receipts: Sequence[dict[str, Any]]) -> str:
    """Receipts from the supervisor's log as text, in their order.

    They may be of any release: what one lacks, or has in another shape, is left out.
    """
    return "\n\n".join("\n".join(_past(receipt)) for receipt in receipts) or "nothing that was done is on record"


def units_text(units: list[dict[str, Any]]) -> str:
    """The catalog as text."""
    rows = [("UNIT", "RELEASE", "DIGEST", "")]
    for unit in units:
        says = f"blocked: {unit['blocked']}" if unit["blocked"] else unit["summary"]
        rows.append((unit["name"], unit["release"], unit["digest"], says))
    return "\n".join(table(rows))


def unit_text(unit: dict[str, Any]) -> str:
    """One release as text."""
    rows = [("file", unit["file"]), ("digest", unit["digest"])]
    rows += [("blocked", _block(block)) for block in unit["blocks"]]
    for edge in unit["may_replace"]:
        rows.append(("may replace", f"{edge['start']} ({_basis(edge)}): {edge['because']}"))
    for change in unit["changes"]:
        rows.append(("changed", change["what"]))
        rows += [("", f"{way}: {change[way]}") for way in ("upgrade", "rollback") if change[way]]
    if unit["config"]["keys"]:
        rows.append(("configuration", _keys_source(unit["config"])))
    return "\n".join([f"{unit['name']} {unit['release']}: {unit['summary']}", "", *table(rows)])


def keys_text(config: dict[str, Any]) -> str:
    """The keys of a configuration file as text."""
    return "\n".join([_keys_source(config), "", *table(list(config["keys"].items()))])


def path_text(path: dict[str, Any]) -> str:
    """A path as text: each edge with its reason, and what must be done on the way."""
    count = len(path["edges"])
    steps = "nothing to do" if not count else "1 step" if count == 1 else f"{count} steps"
    lines = [f"{path['unit']} {path['start']} → {path['end']}: {steps}"]
    for at, edge in enumerate(path["edges"], 1):
        rows = [("because", edge["because"]), ("rests on", _basis(edge)), ("ways", ", ".join(edge["strategies"]))]
        for change in edge["on_the_way"]:
            rows.append((change["release"].partition("-")[0], change["what"]))
            rows += [("", f"do: {change['do']}")] if change["do"] else []
        lines += ["", f"{at}. {edge['start']} → {edge['end']}", *(f"   {line}" for line in table(rows))]
    return "\n".join(lines)


def _basis(edge: dict[str, Any]) -> str:
    return "calls measured on both" if edge["basis"] == "measured" else "upstream's list of changes"


def _block(block: dict[str, Any]) -> str:
    return f"{block['reason']}, on hosts with {block['where']}" if block["where"] else str(block["reason"])


def _keys_source(config: dict[str, Any]) -> str:
    count = f"{len(config['keys'])} keys of {config['file']}"
    if config["verified"]:
        return f"{count}, derived from the release's own source"
    return f"{count}, NOT VERIFIED: derived from upstream's list of changes, as its source could not be had"


def plugins_text(found: dict[str, Any]) -> str:
    """The plugins of a hero_proc as text: the units and services that each gives, and what is wrong with it."""
    rows = [("", "PLUGIN", "FROM", "GIVES")]
    for plugin in found["plugins"]:
        broken = [f"{plugin['error']['type']}: {plugin['error']['text']}"] if plugin["error"] else []
        broken += [f"{target['name']}: {target['error']}" for target in plugin["targets"] if target["error"]]
        given = [
            *plugin["units"],
            *(f"service {target['name']}" for target in plugin["targets"] if not target["error"]),
        ]
        gives = "; ".join([*([", ".join(given)] if given else []), *broken])
        mark = _MARKS["unhealthy" if broken else "healthy"]
        rows.append((mark, plugin["name"], f"{plugin['distribution']} {plugin['version']}", gives or "nothing"))
    lines = table(rows)
    if found["state"] != "loaded":
        lines += ["", f"{found['state']}: {found['error'] or 'not done yet'}; shown is what was loaded before"]
    return "\n".join(lines)


def table(rows: Sequence[tuple[str, ...]]) -> list[str]:
    """Rows of cells as lines with aligned columns."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]) if rows else 0)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def _foreign(instance: str, foreign: dict[str, Any]) -> list[str]:
    """Who is in the way of an instance: which process, whose child, what would end it, and who is in its calls."""
    who = foreign["command"]
    process = foreign["process"]
    if process:
        who = f"pid {process['pid']} ({who}), user {foreign['user'] or 'unknown'}, up {duration(foreign['age_s'])}"
        who += f", process group {foreign['group']}, session {foreign['session']}"
    lines = [f"foreign     {instance}: {who}"]
    for parent in foreign["parents"]:
        command = f" ({parent['command']})" if parent["command"] else ""
        lines.append(f"            child of pid {parent['pid']}{command}")
    lines.append(f"            {foreign['dies_with']}")
    calls = foreign["calls"]
    if calls:
        people = "unknown" if calls["people"] is None else f"{calls['people']} in {calls['rooms']} rooms"
        lines.append(f"            people in its calls: {people} ({calls['source']})")
    return lines


_AT_DEADLINE = {
    "wait": "it goes on",
    "announce": "its rooms are told",
    "move": "everybody in it reconnects to the new one",
}


def _drain(instance: str, drain: dict[str, Any], calls: dict[str, Any] | None) -> list[str]:
    """On whose word an instance gets no new rooms, since when, who is left, until when, and what happens then."""
    lines = [f"drain       {instance}: for {duration(drain['for_s'])}, on the word of {drain['by']}"]
    if calls and calls["people"] is not None:
        oldest_s = calls["longest_s"]
        oldest = "" if oldest_s is None else f", the oldest room for {duration(oldest_s)}"
        lines.append(f"            left in it: {calls['people']} people in {calls['rooms']} rooms{oldest}")
    if drain["left_s"]:
        lines.append(f"            deadline: in {duration(drain['left_s'])}; then {_AT_DEADLINE[drain['then']]}")
    elif drain["left_s"] is not None:
        lines.append("            deadline: over" + (", and its rooms were told" if drain["announced"] else ""))
    else:
        lines.append("            deadline: none; it ends with its last room")
    if drain["idle_room_s"] is not None:
        lines.append(f"            who is alone in a room for {duration(drain['idle_room_s'])} must leave it")
    if drain["signal"] == "none":
        lines.append("            `hlu drain --cancel` lets new rooms come to it again")
    else:
        lines.append("            its stop signal was sent: there is no way back from it")
    return lines


def _evidence(status: dict[str, Any]) -> list[str]:
    signs = {True: "+", False: "-", None: "?"}
    lines = []
    for unit in status["units"]:
        lines.append(unit["instance"])
        rows = [
            (f"  {signs[seen['speaks_for']]}", seen["witness"], seen["says"], f"{seen['took_ms']:.1f} ms")
            for seen in unit["evidence"]
        ]
        lines += [*table(rows), ""]
    return lines


def _calls(calls: dict[str, Any] | None) -> str:
    if calls is None:
        return "-"
    return "unknown" if calls["people"] is None else f"{calls['people']} in {calls['rooms']}"


def _refused(outcome: dict[str, Any]) -> list[str]:
    lines = []
    for refusal in outcome["refusals"]:
        lines.append(f"refused  {refusal['instance']}: {refusal['because']}")
        lines.append(f"         possible when {refusal['possible_when']}")
    for wait in outcome["waits"]:
        lines.append(f"waits    {wait['instance']}: {wait['because']}")
        lines.append(f"         until {wait['until']}")
    lines += [f"note     {note['instance']}: {note['text']}" for note in outcome["notes"]]
    return lines


def _past(receipt: dict[str, Any]) -> list[str]:
    when = _utc(receipt.get("at_s"))
    if "unreadable" in receipt:
        return [f"{when}  not a receipt: {_words(receipt['unreadable'])}"]
    ends = {"True": "as wanted", "False": "not as wanted yet"}
    parts = [
        _after("goal", receipt.get("goal")),
        _after("by", receipt.get("by")),
        ends.get(str(receipt.get("converged")), "end unknown"),
        "nothing was changed" if receipt.get("changed") is False else "",
        _after("took", _seconds(receipt.get("took_ms"))),
        _after("receipt", receipt.get("id")),
    ]
    lines = [f"{when}  {', '.join(part for part in parts if part)}"]
    lines += [f"  {said}" for said in [_after("failed  ", receipt.get("failed"))] if said]
    for did in _items(receipt, "done"):
        lines += _past_step(did)
    for word, key, then in (("refused", "refusals", "possible_when"), ("waits", "waits", "until")):
        for item in _items(receipt, key):
            lines.append(f"  {word:8} {_about(item, 'because')}")
            lines += [f"           {said}" for said in [_after(then.replace("_", " "), item.get(then))] if said]
    lines += [f"  note     {_about(note, 'text')}" for note in _items(receipt, "notes")]
    return lines + _past_states(receipt)


def _past_step(did: dict[str, Any]) -> list[str]:
    step = did.get("step")
    step = step if isinstance(step, dict) else {"step": step}
    effect = step.get("effect")
    name = " ".join(
        word for word in (_words(step.get("action") or step.get("step")), _words(step.get("instance"))) if word
    )
    took = _seconds(did.get("took_ms"))
    done = f"  done     {_about(did | {'instance': name}, 'outcome')}"
    reasons = (
        _after("because:", step.get("because")),
        _after("calls:  ", effect.get("says") if isinstance(effect, dict) else effect),
    )
    back = [f"  {'' if at else 'back':8} {said}" for at, said in enumerate(comeback_lines(did.get("comeback")))]
    return [f"{done} ({took})" if took else done, *(f"           {reason}" for reason in reasons if reason), *back]


def _past_states(receipt: dict[str, Any]) -> list[str]:
    """What each instance was before and after: its process, and the people in calls on it."""
    before, after = ({_words(of.get("instance")): of for of in _items(receipt, key)} for key in ("before", "after"))
    lines = []
    for instance in [*after, *(name for name in before if name not in after)]:
        states = [seen.get(instance, {}) for seen in (before, after)]
        old, new = (state.get("process") for state in states)
        pids = [_words(process.get("pid")) if isinstance(process, dict) else "" for process in (old, new)]
        says = f"pid {pids[0] or '-'} → {pids[1] or '-'}"
        if pids[0] and pids[0] == pids[1]:
            says = f"pid {pids[0]}, the same process" if old == new else f"{says}, another process of the same number"
        people = [_words(state.get("people")) for state in states]
        if any(people):
            says += f", people in calls {people[0] or '?'} → {people[1] or '?'}"
        lines.append(f"  process  {_about({'instance': instance, 'says': says}, 'says')}")
    return lines


def _items(receipt: dict[str, Any], key: str) -> list[dict[str, Any]]:
    found = receipt.get(key)
    return [item for item in found if isinstance(item, dict)] if isinstance(found, list) else []


def _about(item: dict[str, Any], key: str) -> str:
    """What an item says under a key, and of which instance."""
    return f"{_words(item.get('instance')) or '?'}: {_words(item.get(key)) or '?'}"


def _after(word: str, value: Any) -> str:
    """The value behind a word, nothing where there is no value."""
    return f"{word} {said}" if (said := _words(value)) else ""


def _words(value: Any) -> str:
    """Any plain value on one line. What a log holds must not move the cursor of a terminal."""
    if value is None:
        return ""
    if isinstance(value, dict):
        return ", ".join(_after(_words(key), item) for key, item in value.items())
    if isinstance(value, list):
        return ", ".join(_words(item) for item in value)
    return "".join(sign if sign.isprintable() else " " for sign in str(value)).strip()


def _seconds(took_ms: Any) -> str:
    try:
        return f"{took_ms / 1000:.2f} s"
    except (OverflowError, TypeError):
        return ""


def _utc(at_s: Any) -> str:
    from datetime import UTC, datetime  # noqa: PLC0415  `hlu status` shows no date

    try:
        return f"{datetime.fromtimestamp(at_s, UTC):%Y-%m-%d %H:%M:%S} UTC"
    except (OSError, OverflowError, TypeError, ValueError):
        return "at an unknown time"
