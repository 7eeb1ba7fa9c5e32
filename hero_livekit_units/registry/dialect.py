"""How to say to one hero_proc what we want of it, taken from its own OpenRPC document. Pure.

Our own words are those of `wire`. A dialect knows for each method its name there and the place of each value in its
parameters; what cannot be said is said exactly, and nothing but the method that needs it is off.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from attrs import field, frozen

from hero_livekit_units.errors import RegistryLacks
from hero_livekit_units.registry.words import CONTAINERS, METHODS, PAIRS, Word, squash

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hero_livekit_units.registry.openrpc import Document

_Path = tuple[str, ...]
_SPECS = {"action", "service"}  # the parameters that are stored and read back


@frozen
class Said:
    """A method there. places: for the path of each value of ours its path in the parameters."""

    name: str
    places: Mapping[_Path, _Path]

    def params(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Our parameters, placed."""
        found: dict[str, Any] = {}
        for ours, theirs in self.places.items():
            value = _at(given, ours)
            if value is not _NOTHING:
                _put(found, theirs, value)
        if "key" in given and "context" in given and ("context",) not in self.places:
            # One space for the secrets of everybody: ours must not replace those of others.
            _put(found, self.places["key",], f"{given['context']}.{given['key']}")
        return found


@frozen
class Dialect:
    """The words of one hero_proc.

    methods: how each of ours is said. creating: how what is not there yet is stored, where that is a method of its own.
    lacks: why the others cannot be said. version: of the service as its document says.
    """

    methods: Mapping[str, Said]
    creating: Mapping[str, Said] = field(factory=dict)
    lacks: Mapping[str, RegistryLacks] = field(factory=dict, eq=False)
    version: str = ""

    @property
    def native(self) -> bool:
        """Whether it speaks as we do, so that nothing has to be translated."""
        return (
            len(self.methods) == len(METHODS)
            and not self.creating
            and all(
                ours == said.name and all(a == b for a, b in said.places.items()) for ours, said in self.methods.items()
            )
            and all(path in self.methods[method].places for method in METHODS for path in _paths(METHODS[method].words))
        )

    def kept(self, method: str, spec: Mapping[str, Any]) -> dict[str, Any]:
        """The part of an action or service that can be said there: what is left of it when it is read back."""
        (within,) = _SPECS & METHODS[method].words.keys()
        found: dict[str, Any] = {}
        for path in self.methods[method].places:
            value = _at(spec, path[1:]) if path[0] == within else _NOTHING
            if value is not _NOTHING:
                _put(found, path[1:], value)
        return found

    def read_back(self, method: str, stored: Mapping[str, Any]) -> dict[str, Any]:
        """A stored action or service in our words; `method` is the one that stores it.

        Where they lie in an object of their own in the parameters, they are read without it.
        """
        found: dict[str, Any] = {}
        places = {ours: theirs for ours, theirs in self.methods[method].places.items() if ours[0] in _SPECS}
        top = _common(list(places.values()))
        for ours, theirs in places.items():
            value = _at(stored, theirs[len(top) :])
            if value is not _NOTHING:
                _put(found, ours[1:], value)
        return found


def find_dialect(document: Document) -> Dialect:
    """The dialect of a document."""
    methods: dict[str, Said] = {}
    creating: dict[str, Said] = {}
    lacks: dict[str, RegistryLacks] = {}
    for ours in METHODS:
        try:
            methods[ours] = _find(document, ours, METHODS[ours].names)
        except RegistryLacks as lack:
            try:
                update, create = (_find(document, ours, names) for names in PAIRS.get(ours, ((), ())))
            except RegistryLacks:
                lacks[ours] = lack
            else:
                methods[ours], creating[ours] = update, create
    return Dialect(methods, creating, lacks, document.version)


def _find(document: Document, ours: str, names: tuple[str, ...]) -> Said:
    listed = {squash(name): name for name in sorted(document.methods)}
    listed |= {squash(name): name for name in names if name in document.methods}  # the exact one of those alike
    found = [listed[squash(name)] for name in names if squash(name) in listed]
    missing = ""
    for name in found:
        places, without = _placed(document, METHODS[ours].words, document.methods[name])
        if not without:
            return Said(name, places)
        missing = missing or f"{name} takes no {', no '.join(without)}"
    raise RegistryLacks(ours, METHODS[ours].does, tried=names, listed=sorted(document.methods), because=missing)


def _placed(
    document: Document, words: Mapping[str, Word], fields: Mapping[str, Any]
) -> tuple[dict[_Path, _Path], list[str]]:
    """Where each word stands among the fields, and which needed ones stand nowhere."""
    places, without = _placed_here(document, words, fields)
    if without:
        # All of it may stand in one object, such as `request`.
        for name, schema in fields.items():
            inner = document.shape(schema).fields if squash(name) in CONTAINERS else None
            if inner:
                deeper, still = _placed_here(document, words, inner)
                if not still:
                    return {ours: (name, *theirs) for ours, theirs in deeper.items()}, []
    return places, without


def _placed_here(
    document: Document, words: Mapping[str, Word], fields: Mapping[str, Any]
) -> tuple[dict[_Path, _Path], list[str]]:
    by_name: dict[str, str] = {}
    for name in sorted(fields):
        by_name.setdefault(squash(name), name)
    places: dict[_Path, _Path] = {}
    without: list[str] = []
    for ours, word in words.items():
        candidates = [by_name[squash(name)] for name in (ours, *word.names) if squash(name) in by_name]
        if not word.inner:
            fitting = [name for name in candidates if _fits(document, word, fields[name])]
            if fitting:
                places[ours,] = (ours if ours in fitting else fitting[0],)
            elif word.needed:
                without.append(ours)
            continue
        missing = [ours]
        for name in [*candidates, ""]:  # "": its fields stand here, beside the others
            inner, lacking = _placed_inner(document, word, fields[name] if name else None, fields)
            if not lacking:
                places |= {(ours, *path): (name, *to) if name else to for path, to in inner.items()}
                missing = []
                break
            if word.needed:
                missing = [f"{ours}.{lack}" for lack in lacking]
        if word.needed:
            without += missing
    return places, without


def _placed_inner(
    document: Document, word: Word, schema: Any, beside: Mapping[str, Any]
) -> tuple[dict[_Path, _Path], list[str]]:
    inner = beside if schema is None else document.shape(schema).fields
    if inner is None:  # an object that does not say what is in it
        if document.shape(schema).text and isinstance(schema, dict) and schema:
            return {}, list(word.inner)
        return {path: path for path in _paths(word.inner)}, []
    places, without = _placed_here(document, word.inner, inner)
    return places, without or ([] if places else list(word.inner))


def _fits(document: Document, word: Word, schema: Any) -> bool:
    shape = document.shape(schema)
    if word.item:
        listed = document.shape(shape.item).fields
        return listed is None or word.item <= listed.keys()
    return True


def _paths(words: Mapping[str, Word]) -> Iterator[_Path]:
    for name, word in words.items():
        if word.inner:
            yield from ((name, *path) for path in _paths(word.inner))
        else:
            yield (name,)


def _common(paths: list[_Path]) -> _Path:
    """What all paths begin with; the last piece of none of them."""
    first, last = min(paths), max(paths)
    length = next((at for at, (a, b) in enumerate(zip(first[:-1], last[:-1], strict=False)) if a != b), None)
    return first[: min(len(first), len(last)) - 1 if length is None else length]


_NOTHING: Any = object()


def _at(value: Any, path: _Path) -> Any:
    for piece in path:
        if not isinstance(value, dict) or piece not in value:
            return _NOTHING
        value = value[piece]
    return value


def _put(value: dict[str, Any], path: _Path, item: Any) -> None:
    for piece in path[:-1]:
        value = value.setdefault(piece, {})
    value[path[-1]] = item
