"""What a validation emulates: the built-in matrix, one's own, what is left out, what is refused."""

from __future__ import annotations

import pytest

from inferometer.emulator.errors import InputError
from inferometer.emulator.validate.campaign import Matrix
from inferometer.emulator.validate.plan import load_plan, parts_of
from inferometer.emulator.validate.settings import Emulation
from inferometer.emulator.workload.shape import Heads

CELL = '[[cell]]\nmodel = "llama-3-70b"\nscale = "1/16"\nlayers = 2\n'


def emulation(configuration):
    cell = Emulation(**configuration.model_dump(), world_size=configuration.ranks)
    cell.check()
    return cell


def test_the_built_in_matrix_covers_what_it_should_on_two_cores():
    plan = load_plan("default")
    parts, left_out = parts_of(plan, "default", 2, emulation)
    cells = [cell for part in parts for cell in part.matrix.cells]
    assert not left_out and [part.matrix.world_size for part in parts] == [1, 2]
    assert sorted(place for part in parts for place in part.places) == list(range(len(plan.cell)))
    assert {axis for axis in ("tp", "ep", "pp", "dp") for cell in cells if getattr(cell, axis) == 2} == {
        "tp",
        "ep",
        "pp",
        "dp",
    }
    shapes = [cell.small().shape for cell in cells]
    assert {(isinstance(shape.attention, Heads), shape.experts is None) for shape in shapes} == {
        (True, True), (True, False), (False, False),
    }  # fmt: skip
    for cell in cells:
        assert cell.resident().weights_bytes < 5e8, cell.words()  # quickly made
        for stage in cell.program("decode", 2).stages:  # beyond the caches, as the file says
            read = sum(count * getattr(op, "weight_bytes", 0.0) for count, op in stage.counted())
            assert read > 80 * 2**20, cell.words()
        assert float(cell.program("prefill", 2).total("flop")) / cell.pp < 6e10, cell.words()


def test_cells_beyond_the_cores_are_left_out_and_told(tmp_path):
    file = tmp_path / "mine.toml"
    file.write_text(f'name = "mine"\n{CELL}tp = 4\n{CELL}{CELL}tp = 2\n')
    parts, left_out = parts_of(load_plan(str(file)), str(file), 2, emulation)
    assert [part.places for part in parts] == [(1,), (2,)]
    assert list(left_out) == [0] and left_out[0].endswith("tp4, batch 1, context 512: 4 ranks, but there are 2 cores")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (f'name = "x"\n{CELL}tpp = 2', "cell.0.tpp: unknown key"),
        (f'name = "x"\n{CELL}tp = 0', "cell.0.tp = 0: input should be greater than 0"),
        (f'name = "x"\n{CELL}pp = 2\n{CELL}pp = 3', "cell.1: llama-3-70b · 0.0625: layers = 2 are fewer than pp = 3 stages"),
        (f'name = "x"\n{CELL}dp = 2\nbatch = 3', "cell.0: batch = 3 does not divide by dp = 2"),
        ('name = "x"\n[[cell]]\nmodel = "lama"', "cell.0: model 'lama': neither a file"),
        ('name = "x"\n[[cell]]\nmodel = "llama-3-70b"\nscale = "1/0"', "cell.0.scale = '1/0': '1/0' is not a fraction"),
        (f'name = "x"\n{CELL}tp = 4', "no cell fits: they need 4 ranks or more, but there are 2 cores"),
        ('name = "x"\ncell = []', "cell: list should have at least 1 item"),
        (f'name = "x"\n{CELL}[stop]\ncell_seconds = 0', "stop.cell_seconds = 0: input should be greater than 0"),
        (f"{CELL}", "name: missing"),
        ("name =", "not TOML: "),
    ],
)
def test_a_matrix_that_cannot_be_is_refused_with_file_and_key(tmp_path, text, words):
    file = tmp_path / "mine.toml"
    file.write_text(text)
    with pytest.raises(InputError) as refused:
        parts_of(load_plan(str(file)), str(file), 2, emulation)
    assert str(refused.value).startswith(f"{file}: {words}")


def test_a_matrix_that_is_not_there_is_named(tmp_path):
    with pytest.raises(InputError, match=r"'defualt': neither a readable TOML file nor a built-in one.*those are default"):
        load_plan("defualt")
    with pytest.raises(InputError, match=r"no\.toml: cannot be read: No such file"):
        load_plan(str(tmp_path / "no.toml"))


def test_cells_of_one_start_share_what_belongs_to_the_ranks():
    one, other = (Emulation(model="llama-3-70b", tp=tp, world_size=tp) for tp in (1, 2))
    with pytest.raises(ValueError, match="world_size must be the same in all cells, not 1, 2"):
        Matrix(cells=[one, other])
    cells = Matrix(cells=[one] * 6)
    orders = {tuple(cells.order(launch)) for launch in range(5)}
    assert len(orders) > 1 and all(sorted(order) == list(range(6)) for order in orders)
    assert cells.order(3) == cells.order(3)
