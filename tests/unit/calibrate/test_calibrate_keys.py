"""Which rows belong to which key."""

import numpy as np
import pandas as pd

from inferometer.emulator.calibrate.laws.linear import affine
from inferometer.emulator.calibrate.schema.keys import KEY_FIELDS, keys_of, rows_of_key, usable_rows
from tests.studies.synthetic import synthetic_cells

TRUTH = {"a": 120.0, "b": 35.0, "c": 80.0, "B_intra": 2.5, "B_inter": 0.9}


def made(layouts, **key):
    return synthetic_cells("all_reduce", affine("all_reduce"), TRUTH, layouts, seed=0, launches=1, sizes=[1024], **key)


def test_the_whole_mesh_belongs_to_one_group_and_to_all_groups():
    cells = pd.concat([made([(2, 1), (4, 1)]), made([(2, 1)], concurrent_groups="all")], ignore_index=True)
    alone, all_groups = keys_of(cells)
    assert (alone["concurrent_groups"], all_groups["concurrent_groups"]) == (1, "all")
    assert rows_of_key(cells, alone)["ranks"].tolist() == [2, 4]
    rows = rows_of_key(cells, all_groups)
    assert list(zip(rows["ranks"], rows["concurrent_groups"])) == [(4, 1), (2, "all")]


def test_only_a_group_of_the_whole_mesh_is_shared():
    """Four ranks of another backend make no mesh, and neither does another dtype's cell."""
    cells = pd.concat(
        [
            made([(2, 1)]),
            made([(2, 1)], concurrent_groups="all"),
            made([(4, 1)], backend="mpi"),
            made([(2, 1)], dtype="bfloat16"),
        ],
        ignore_index=True,
    )
    key = next(k for k in keys_of(cells) if k["concurrent_groups"] == "all")
    rows = rows_of_key(cells, key)
    assert rows["ranks"].tolist() == [2, 2]  # two ranks are gloo's whole mesh here
    assert set(rows["backend"]) == {"gloo"} and set(rows["dtype"]) == {"float32"}


def test_keys_are_plain_and_in_a_fixed_order():
    cells = pd.concat([made([(2, 1)], timing="pipelined"), made([(2, 1)], dtype=None)], ignore_index=True)
    cells["concurrent_groups"] = np.int64(1)
    keys = keys_of(cells)
    assert keys == keys_of(cells.iloc[::-1])
    assert {type(k["concurrent_groups"]) for k in keys} == {int}
    assert keys[0]["dtype"] is None and list(keys[0]) == list(KEY_FIELDS)
    assert len(rows_of_key(cells, keys[0])) == 1


def test_unusable_rows_are_counted_once():
    cells = made([(2, 1), (4, 1), (8, 1), (16, 1), (32, 1), (64, 1)])
    cells["wrong"] = [0, 2, None, np.nan, 0, 1]
    cells["us"] = [1.0, 1.0, 1.0, np.inf, -1.0, np.nan]
    cells["flags"] = [["oversubscribed"], [], None, [], [], ["degenerate_size"]]
    rows, excluded = usable_rows(cells)
    assert rows["ranks"].tolist() == [2, 8]
    assert excluded == {"wrong data": 2, "no time": 2}
