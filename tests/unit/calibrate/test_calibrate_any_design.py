"""Whatever was measured, a valid file comes out: a few designs here, many in tests/verify."""

from hypothesis import given, settings

from tests.studies.any_design import ANY_DESIGN, check_design


@settings(max_examples=3)
@given(ANY_DESIGN)
def test_any_design_gives_a_file_that_answers_for_its_cells(design):
    check_design(design)
