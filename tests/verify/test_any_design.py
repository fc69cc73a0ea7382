"""Whatever was measured, however little: a valid file comes out, and it answers for the cells it was made from."""

import pytest
from hypothesis import given, settings

from tests.studies.any_design import ANY_DESIGN, Design, check_design


@pytest.mark.timeout(900)
@settings(max_examples=100)
@given(ANY_DESIGN)
def test_any_design_gives_a_file_that_answers_for_its_cells(design: Design) -> None:
    check_design(design)
