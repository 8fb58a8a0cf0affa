"""One registry for all that is chosen by name: models, lenses, gisters, encoders, layout engines, tasks, metrics.

An entry is a reference ``"module:attribute"``, imported when it is first asked for, an object that was registered from
Python, or an entry point of another distribution. What stands in the package comes first, then what was registered,
then what is installed: nobody can put something else in the place of ours without saying so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Generic, TypeVar, cast

from mm_megacontext.errors import BrokenEntry, UnknownName, first_words

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

T = TypeVar("T")

BUILT_IN = "built in"


@dataclass(frozen=True, slots=True)
class Listed:
    """An entry, not loaded.

    Attributes:
        name: What it is asked for by.
        origin: ``built in``, ``registered``, or the distribution that brings it.
    """

    name: str
    origin: str


class Registry(Generic[T]):
    """Objects of one kind by name; nothing is imported before it is asked for.

    Args:
        kind: What an entry is, as messages call it.
        group: Entry-point group through which other distributions add theirs.
        built_in: Name to reference.
        families: Names whose end the caller understands, as in ``gistnet:DIR``: errors list them, and nothing can be
            registered under their prefix.

    Example:
        >>> joins = Registry[type]("container", group="example.containers", built_in={"counter": "collections:Counter"})
        >>> joins.get("counter").__name__
        'Counter'
        >>> joins.listed()
        [Listed(name='counter', origin='built in')]
    """

    def __init__(self, kind: str, *, group: str, built_in: Mapping[str, str], families: Sequence[str] = ()) -> None:
        self.kind = kind
        self.group = group
        self.families = tuple(families)
        self._built_in = dict(built_in)
        self._registered: dict[str, T | str] = {}

    def __contains__(self, name: str) -> bool:
        return name in self._built_in or name in self._registered or bool(self._offers(name))

    def register(self, name: str, entry: T | str) -> None:
        """Make ``entry``, an object or a reference to one, known under ``name``.

        Raises:
            ValueError: The name is taken, or begins with the prefix of a family.
        """
        prefix, colon, _ = name.partition(":")
        if colon and any(family.startswith(f"{prefix}:") for family in self.families):
            raise ValueError(f"names that begin with {prefix}: are taken, got {name!r}; choose another name")
        if name in self._built_in or name in self._registered:
            raise ValueError(f"the {self.kind} {name!r} is registered already; choose another name")
        self._registered[name] = entry

    def unregister(self, name: str) -> None:
        """Forget what was registered under ``name``. Raises UnknownName where nothing was."""
        if name not in self._registered:
            raise self.unknown(name)
        del self._registered[name]

    def get(self, name: str) -> T:
        """The entry of that name, imported if it was not yet.

        Raises:
            UnknownName: There is none; the message lists what there is.
            BrokenEntry: Another distribution offers it and it cannot be loaded, or two do.
        """
        if name in self._built_in:
            return cast(T, resolve_name(self._built_in[name]))
        if name in self._registered:
            entry = self._registered[name]
            return cast(T, resolve_name(entry)) if isinstance(entry, str) else entry
        return self._load_offered(name)

    def names(self) -> list[str]:
        """All names, sorted."""
        return [entry.name for entry in self.listed()]

    def listed(self) -> list[Listed]:
        """All entries with where they come from, sorted by name; none is loaded."""
        found = {offer.name: Listed(offer.name, _distribution(offer)) for offer in self._offers()}
        found |= {name: Listed(name, "registered") for name in self._registered}
        found |= {name: Listed(name, BUILT_IN) for name in self._built_in}
        return [found[name] for name in sorted(found)]

    def unknown(self, name: str) -> UnknownName:
        """The error for a name that is not there; it lists all that are."""
        return UnknownName(f"no {self.kind} is named {name!r}; known: {', '.join([*self.names(), *self.families])}")

    def _load_offered(self, name: str) -> T:
        offers = self._offers(name)
        if not offers:
            raise self.unknown(name)
        if len(offers) > 1:
            names = " and ".join(sorted(map(_distribution, offers)))
            raise BrokenEntry(f"the {self.kind} {name!r} is offered by {names}; uninstall all but one")
        (offer,) = offers
        try:
            return cast(T, offer.load())
        except Exception as error:  # the code of others may raise anything
            raise BrokenEntry(
                f"the {self.kind} {name!r} of {_distribution(offer)} cannot be loaded "
                f"({first_words(error)}); repair or uninstall it"
            ) from error

    def _offers(self, name: str | None = None) -> list[EntryPoint]:
        from importlib.metadata import entry_points  # takes longer than the rest of this module, and is seldom needed

        return list(entry_points(group=self.group) if name is None else entry_points(group=self.group, name=name))


def _distribution(offer: EntryPoint) -> str:
    return "an unnamed distribution" if offer.dist is None else f"{offer.dist.name} {offer.dist.version}"
