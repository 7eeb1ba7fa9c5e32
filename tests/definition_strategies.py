"""Definitions and catalogs for properties: any that the rules allow, awkward texts included."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs
from hypothesis import strategies as st

from hero_livekit_units.definitions import rules
from hero_livekit_units.definitions.catalog import catalog
from hero_livekit_units.model.unit import (
    Basis,
    BinarySection,
    BlockSection,
    CallSource,
    CallSourceKind,
    CallsSection,
    ChangeSection,
    Definition,
    DependsSection,
    EdgeSection,
    FileFormat,
    FileSection,
    HostTrait,
    LineageSection,
    PortSection,
    ProbeKind,
    ProbeLevel,
    ProbeSection,
    Protocol,
    RestartSection,
    RunSection,
    StopSection,
    Strategy,
    UnitSection,
)

if TYPE_CHECKING:
    from hero_livekit_units.definitions.catalog import Catalog

# What TOML writers and readers stumble over.
AWKWARD = [
    "",
    " ",
    "a\nb",
    'say "hi"',
    "it's",
    "back\\slash",
    "# no comment",
    "é ü 漢 🎈",
    "[x]",
    "a = 1",
    "$$",
    "\t",
    "'''",
]
texts = st.one_of(st.sampled_from(AWKWARD), st.text(st.characters(blacklist_categories=["Cs"]), max_size=20)).map(
    lambda text: text.replace("\r", "").replace("${", "$$ {")
)
sayings = texts.filter(str.strip)
names = st.from_regex(r"[a-z][a-z0-9]{0,8}", fullmatch=True)
seconds = st.floats(0.001, 1e6, allow_nan=False)
# Far enough apart that no slot's port is another's.
numbers = st.integers(1, 600).map(lambda number: 100 * number)


@st.composite
def definitions(draw: st.DrawFn) -> Definition:
    """Any definition that passes its rules."""
    ports = draw(st.dictionaries(names, numbers, min_size=1, max_size=4).filter(_distinct))
    name = draw(st.sampled_from(sorted(ports)))
    slots = draw(st.sampled_from([{}, {"a": 0}, {"a": 0, "b": 7}]))
    carries_calls = draw(st.booleans())
    files = draw(st.dictionaries(names, files_of_any_kind(), max_size=3))
    found = Definition(
        unit=UnitSection(draw(names), "1.2.3", draw(st.integers(1, 9)), draw(texts), carries_calls),
        binary=BinarySection(python_module=draw(names)),
        run=RunSection(draw(names), tuple(draw(st.lists(texts, min_size=1, max_size=3))), draw(tables()), files),
        ports={key: PortSection(number, draw(st.sampled_from(Protocol))) for key, number in ports.items()},
        probes=draw(st.dictionaries(names, probes_of(name), max_size=2)),
        stop=StopSection(
            draw(st.sampled_from(["SIGTERM", "SIGINT"])), draw(seconds), draw(seconds), draw(st.booleans())
        ),
        restart=RestartSection(draw(st.booleans()), *draw(st.tuples(seconds, seconds, seconds, seconds))),
        slots=slots,
        calls=CallsSection((CallSource(draw(st.sampled_from(CallSourceKind)), name),)) if carries_calls else None,
        depends=DependsSection(tuple(draw(st.lists(names, max_size=2)))),
        lineage=draw(lineages()),
        changes=tuple(draw(st.lists(st.builds(ChangeSection, sayings, texts, texts), max_size=2))),
        blocked=tuple(
            draw(st.lists(st.builds(BlockSection, sayings, st.sampled_from([None, *HostTrait])), max_size=2))
        ),
    )
    assert not rules.faults(found), rules.faults(found)
    return found


def _distinct(ports: dict[str, int]) -> bool:
    return len(set(ports.values())) == len(ports)


def tables() -> st.SearchStrategy[dict[str, str]]:
    """Environment variables."""
    return st.dictionaries(st.from_regex(r"[A-Z]{1,6}", fullmatch=True), texts, max_size=3)


@st.composite
def files_of_any_kind(draw: st.DrawFn) -> FileSection:
    """A file from a template, or from values."""
    if draw(st.booleans()):
        return FileSection(template=draw(texts.filter(bool)), mode=draw(st.sampled_from(["0600", "0400"])))
    leaves = st.one_of(texts, st.integers(-(2**62), 2**62), st.booleans(), st.lists(texts, max_size=2))
    values: dict[str, Any] = draw(st.dictionaries(names, leaves, min_size=1, max_size=3))
    return FileSection(format=draw(st.sampled_from([FileFormat.YAML, FileFormat.JSON])), values=values)


def probes_of(port: str) -> st.SearchStrategy[ProbeSection]:
    """Probes of a port."""
    return st.builds(
        ProbeSection,
        st.sampled_from(ProbeKind),
        st.sampled_from(ProbeLevel),
        st.just(port),
        texts,
        st.integers(100, 599),
        seconds,
        seconds,
        st.integers(1, 9),
    )


def edges() -> st.SearchStrategy[EdgeSection]:
    """Edges of a lineage."""
    ways = st.lists(st.sampled_from(Strategy), unique=True, max_size=3).map(tuple)
    return st.builds(EdgeSection, sayings, st.sampled_from(Basis), ways)


def lineages() -> st.SearchStrategy[LineageSection]:
    """Lineages that name releases which need not exist."""
    releases = st.dictionaries(st.sampled_from(["1.0.0-r1", "1.0.0-r2", "0.9-r10"]), edges(), max_size=2)
    return st.builds(LineageSection, st.just((Strategy.RESTART,)), releases, releases)


@st.composite
def catalogs(draw: st.DrawFn, largest: int = 9) -> Catalog:
    """A unit with releases 1.0 to 1.N: each replaces some older ones, some are blocked, some ways lead back."""
    count = draw(st.integers(1, largest))
    blank = EdgeSection("because")
    sources = []
    for at in range(count):
        older = st.sets(st.integers(0, at - 1), max_size=3) if at else st.just(set())
        # Each release but the newest is replaced by the next, so that there is one head.
        ups = {at - 1} | draw(older) if at else set()
        backs = draw(older)
        measured = attrs.evolve(blank, basis=draw(st.sampled_from(Basis)))
        lineage = LineageSection(
            (Strategy.TWO_SLOT,),
            {f"1.{other}-r1": measured for other in sorted(ups)},
            {f"1.{other}-r1": blank for other in sorted(backs)},
        )
        blocked = (BlockSection("it is unfit"),) if draw(st.integers(0, 5)) == 0 else ()
        sources.append((f"1.{at}-r1.toml", plain_release(f"1.{at}", lineage, blocked)))
    return catalog(draw(st.permutations(sources)))


def plain_release(
    version: str, lineage: LineageSection | None = None, blocked: tuple[BlockSection, ...] = (), revision: int = 1
) -> Definition:
    """A small definition of the unit `echo`."""
    return Definition(
        unit=UnitSection("echo", version, revision, "says what it hears"),
        binary=BinarySection(python_module="echo"),
        run=RunSection("echo", ("${python}", "-m", "echo")),
        ports={"http": PortSection(9000)},
        probes={"ready": ProbeSection(ProbeKind.HTTP, ProbeLevel.READINESS, "http")},
        stop=StopSection("SIGTERM"),
        restart=RestartSection(exit_zero_is_failure=True),
        lineage=lineage or LineageSection(),
        changes=(ChangeSection(f"{version} came", f"to {version}", f"from {version}"),),
        blocked=blocked,
    )
