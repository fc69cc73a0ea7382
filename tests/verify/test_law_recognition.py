"""Is the law that made the data the one that `auto` chooses? 100 seeded trials per law, 3 % noise, at least 60 cells.

Run with -s to see the counts. One core takes a minute or two per law.
"""

import pytest

from tests.studies.recognition import PLANTED, recognise

TRIALS = 100


@pytest.mark.verify
@pytest.mark.timeout(900)
@pytest.mark.parametrize("number", range(len(PLANTED)), ids=[f"{p.form}-{n}" for n, p in enumerate(PLANTED)])
def test_the_planted_law_is_chosen(number: int) -> None:
    planted = PLANTED[number]
    assert planted.cells >= 60
    chosen = recognise(planted, range(1000 * number, 1000 * number + TRIALS))
    print(f"\n{planted.form}: {chosen}")
    assert chosen.get(planted.form, 0) >= 0.9 * TRIALS, chosen
