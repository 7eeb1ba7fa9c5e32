"""Which release may follow which: an edge with its reason, and a path of edges with what must be done on the way."""

from __future__ import annotations

from attrs import frozen

from hero_livekit_units.model.unit import Basis, Strategy


@frozen
class OnTheWay:
    """Something that changes between two releases: `what` upstream changed in `release`, and what to `do` about it."""

    release: str
    what: str
    do: str


@frozen
class Edge:
    """From `start` to `end` in one step. `on_the_way` has every change that lies between the two."""

    unit: str
    start: str
    end: str
    strategies: tuple[Strategy, ...]
    basis: Basis
    because: str
    on_the_way: tuple[OnTheWay, ...] = ()


@frozen
class Path:
    """From `start` to `end` over one edge after the other; no edges when they are the same."""

    unit: str
    start: str
    end: str
    edges: tuple[Edge, ...]
