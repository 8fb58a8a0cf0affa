"""Whose gists a memory holds, as JSON."""

from __future__ import annotations

import json

import pytest

from mm_megacontext.store.identity import Identity

FIELDS = {"base": "tiny", "gistnet": "mean", "encoder": "dct", "dim": 16, "slots": 2}
OF_IMAGES = {"image_gistnet": "max", "image_slots": 3}


@pytest.mark.parametrize("fields", [FIELDS, {**FIELDS, **OF_IMAGES}])
def test_json_holds_all_of_it(fields: dict[str, object]) -> None:
    identity = Identity(**fields)  # type: ignore[arg-type]
    assert Identity.from_json(identity.to_json()) == identity
    assert Identity.from_json(json.dumps(fields)) == identity


@pytest.mark.parametrize(
    "fields",
    [
        {**FIELDS, **OF_IMAGES, "more": 1},
        {name: value for name, value in FIELDS.items() if name != "dim"},
        {**FIELDS, "slots": True},
        {**FIELDS, "image_gistnet": 1},
        {**FIELDS, "image_slots": "3"},
        {**FIELDS, "image_slots": -1},
        {**FIELDS, "dim": 0},
    ],
)
def test_json_of_none_is_refused(fields: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"must hold|no whole number|at least one slot"):
        Identity.from_json(json.dumps(fields))
