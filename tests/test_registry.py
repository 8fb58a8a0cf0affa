"""The registry. Oracles: what Python's own import gives; distributions written by the tests themselves."""

from __future__ import annotations

import collections
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mm_megacontext.errors import BrokenEntry, MegaContextError, UnknownName
from mm_megacontext.registry import Listed, Registry

GROUP = "mm_megacontext.test_things"


@pytest.fixture
def things() -> Registry[Any]:
    return Registry[Any](
        "thing", group=GROUP, built_in={"counter": "collections:Counter", "absent": "no_such_module:x"}
    )


@pytest.fixture
def offer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Puts a distribution with entry points on the path."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def make(distribution: str, **offers: str) -> None:
        info = tmp_path / f"{distribution}-1.5.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.5\n")
        lines = "\n".join(f"{name} = {reference}" for name, reference in offers.items())
        (info / "entry_points.txt").write_text(f"[{GROUP}]\n{lines}\n")

    return make


def test_an_entry_is_what_python_imports(things: Registry[Any]) -> None:
    assert things.get("counter") is collections.Counter


def test_nothing_is_imported_before_it_is_asked_for() -> None:
    script = (
        "import sys; from mm_megacontext.registry import Registry;"
        "r = Registry('thing', group='g', built_in={'x': 'decimal:Decimal'});"
        "r.names(), 'x' in r; assert 'decimal' not in sys.modules; r.get('x'); assert 'decimal' in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_an_unknown_name_lists_what_there_is(things: Registry[Any], offer: Callable[..., None]) -> None:
    things.register("mine", 5)
    offer("others", theirs="collections:deque")
    with pytest.raises(UnknownName, match=r"^no thing is named 'x'; known: absent, counter, mine, theirs$") as caught:
        things.get("x")
    assert isinstance(caught.value, ValueError)
    assert isinstance(caught.value, MegaContextError)


def test_where_an_entry_comes_from_is_told(things: Registry[Any], offer: Callable[..., None]) -> None:
    things.register("mine", 5)
    offer("others", theirs="collections:deque")
    assert things.listed() == [
        Listed("absent", "built in"),
        Listed("counter", "built in"),
        Listed("mine", "registered"),
        Listed("theirs", "others 1.5"),
    ]
    assert things.names() == ["absent", "counter", "mine", "theirs"]


@pytest.mark.parametrize(("entry", "value"), [(5, 5), ("collections:deque", collections.deque)])
def test_what_is_registered_is_found_until_it_is_not(things: Registry[Any], entry: object, value: object) -> None:
    things.register("mine", entry)
    assert "mine" in things
    assert things.get("mine") is value
    things.unregister("mine")
    assert "mine" not in things
    with pytest.raises(UnknownName):
        things.unregister("mine")


def test_a_name_is_given_once(things: Registry[Any]) -> None:
    things.register("mine", 5)
    for name in ("mine", "counter"):
        with pytest.raises(ValueError, match=f"the thing '{name}' is registered already"):
            things.register(name, 6)


def test_a_module_of_ours_that_is_missing_says_so_itself(things: Registry[Any]) -> None:
    with pytest.raises(ModuleNotFoundError, match="no_such_module"):
        things.get("absent")


def test_other_distributions_add_entries(things: Registry[Any], offer: Callable[..., None]) -> None:
    offer("others", theirs="collections:deque", counter="collections:OrderedDict")
    assert "theirs" in things
    assert things.get("theirs") is collections.deque
    assert things.get("counter") is collections.Counter, "ours is not replaced"


def test_a_broken_distribution_is_named(things: Registry[Any], offer: Callable[..., None]) -> None:
    offer("others", theirs="no_such_module:x")
    with pytest.raises(BrokenEntry, match=r"the thing 'theirs' of others 1\.5 cannot be loaded \(ModuleNotFoundError"):
        things.get("theirs")


def test_two_distributions_with_one_name_are_named_both(things: Registry[Any], offer: Callable[..., None]) -> None:
    offer("others", theirs="collections:deque")
    offer("rivals", theirs="collections:deque")
    with pytest.raises(BrokenEntry, match=r"offered by others 1\.5 and rivals 1\.5; uninstall all but one"):
        things.get("theirs")


def test_a_family_is_listed_and_its_names_are_nobody_elses() -> None:
    saved = Registry[int]("thing", group=GROUP, built_in={}, families=["saved:DIR"])
    saved.register("saving:x", 1)
    with pytest.raises(ValueError, match="names that begin with saved: are taken, got 'saved:x'"):
        saved.register("saved:x", 1)
    with pytest.raises(UnknownName, match="no thing is named 'x'; known: saving:x, saved:DIR"):
        saved.get("x")
