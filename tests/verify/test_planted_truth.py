"""The study behind the intervals: 200 seeded runs per design, with a launch effect, outliers and heavy tails.

Run with -s to see the tables. One core takes two to four minutes.
"""

import pytest

from tests.studies.recovery import DESIGNS, recover, recovery_table

RUNS = 200


@pytest.mark.verify
@pytest.mark.timeout(600)
@pytest.mark.parametrize("number", range(len(DESIGNS)), ids=[design.name for design in DESIGNS])
def test_planted_truth_is_recovered(number: int) -> None:
    result = recover(DESIGNS[number], range(1000 * number, 1000 * number + RUNS))
    table = recovery_table([result])
    print("\n" + table)
    assert max(result.median_error.values()) <= 0.05, table
    assert all(0.90 <= coverage <= 0.99 for coverage in result.coverage.values()), table
    assert all(result.hid_all), table
