"""Words for generated documents: invented ones, split for ever into training, dev and test, and everyday form words.

Which split an invented word belongs to depends on the word alone (a hash), so a test word can never occur in
training, whatever the seed.
"""

from __future__ import annotations

import hashlib
import random
from functools import cache
from typing import Literal

Split = Literal["train", "dev", "test"]

BUSINESS_WORDS = tuple(
    """
    account address agent amount annual application area article assessor asset audit authority average
    balance bank     base batch benefit bill body bonus book branch broker budget building buyer call capacity
    capital card carrier case     cash category cause cell center change charge chief city claim class clause
    client code collection color column     comment commission company condition contact contract control copy
    cost count country course cover credit currency     customer cycle data date day deadline debit decision
    deduction deed delivery density department deposit depth     description design detail device diameter
    director discount distance district division document domain draft due     duration duty element email
    employee end energy engine entry equity error estate event exchange expense expiry     export factor
    family fee field figure file final finance first fixed flight floor flow force form format freight
    frequency fuel fund gate gauge goods grade grant gross group growth guarantee head health height holder
    home hour     house identity import income index initial input inspection instalment insurance interest
    inventory invoice issue     item job journal key label labour landlord last lease length lessee letter
    level liability licence limit line list     loan location log long loss lot machine manager margin mark
    market mass material maximum mean measure medical member     meter method minimum mode model module
    monthly name net note notice number object offer office open operator option     order origin output owner
    package page paid part partner party passport patient pay payment penalty pension period     permit person
    phase phone place plan plant plate point policy port position post power premium pressure price
    principal priority process product profile program project property province purchase quality quantity
    quarter query     quota range rate ratio reason receipt record reference region register release rent
    repair report request reserve     resource result return revenue review risk role room route row rule
    salary sale sample scale schedule scope score     season second section sector security seller serial
    series service session share shipment shift side signature site     size source space speed staff stage
    standard start state statement station status stock storage store street study     sub subject sum
    supplier supply surface survey symbol system table tariff tax team temperature tenant term test time
    title tool total trade transfer transport travel trial type unit upper usage user valid value vehicle
    vendor version     vessel visit volume voltage wage warehouse warranty waste water weekly weight width
    work worker year yield zone
    """.split()
)

_ONSETS = "b c d f g h k l m n p r s t v z b c d f g l m n p r s t br cl dr fl gr pl pr sh st th tr".split()
_VOWELS = "a e i o u a e i o a e ai ee ea ou".split()
_CODAS = ["", "", "", "", "", "n", "r", "l", "s", "t", "m", "nd", "rt", "st", "ck", "x"]


def split_of(word: str) -> Split:
    """The split an invented word belongs to: 10 % test, 10 % dev, the rest training; letter case does not matter."""
    bucket = hashlib.blake2b(word.lower().encode(), digest_size=2).digest()[0] % 10
    return "test" if bucket == 0 else "dev" if bucket == 1 else "train"


def invent_word(rng: random.Random, split: Split) -> str:
    """A pronounceable lower-case word of 4 to 9 letters that belongs to ``split``."""
    while True:
        n_syllables = rng.choice((2, 2, 2, 3))
        word = "".join(rng.choice(_ONSETS) + rng.choice(_VOWELS) + rng.choice(_CODAS) for _ in range(n_syllables))
        is_allowed = split == "train" or word not in BUSINESS_WORDS  # those stand in training documents
        if 4 <= len(word) <= 9 and split_of(word) == split and is_allowed:
            return word


@cache
def invent_lexicon(seed: int, split: Split, size: int) -> tuple[str, ...]:
    """``size`` different invented words of ``split``."""
    rng = random.Random(f"{seed}-{split}")
    words: set[str] = set()
    while len(words) < size:
        words.add(invent_word(rng, split))
    return tuple(sorted(words))
