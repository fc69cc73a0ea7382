"""The control plane between real processes: who is missing, who disagrees, who has failed."""

from __future__ import annotations

import time

from inferometer.parallel.control import Disagreement, MissingRanks, PeerFault


def _one_says_otherwise(world, control):
    try:
        control.agree("shape", [16, "float32"] if world.rank != 2 else [8, "float32"])
    except Disagreement as error:
        return str(error)
    return None


def test_a_disagreement_about_a_shape_is_found_before_the_call_and_names_the_rank(ranks):
    for text in ranks(4, _one_says_otherwise):
        assert text is not None and text.startswith("rank 2 disagrees about shape")
        assert "[8," in text and "[16," in text


def _one_is_silent(world, control):
    began = time.monotonic()
    caught = None
    if world.rank != 1:
        control.timeout_s = 1.5
        try:
            control.gather_all("roll call", world.rank)
        except (MissingRanks, PeerFault) as error:
            caught = (type(error).__name__, getattr(error, "ranks", None))
            if world.rank == 0:
                control.post_fault("lost", str(error), "roll call")
    waited = time.monotonic() - began
    time.sleep(max(0.0, 4 - waited))  # so that the fault just posted disturbs nobody at the end
    control.timeout_s = 20
    return caught, waited


def test_a_silent_rank_is_named_and_the_others_learn_of_it(ranks):
    (zero, waited), _, (two, _) = ranks(3, _one_is_silent)
    assert zero == ("MissingRanks", [1])
    assert two[0] == "PeerFault"
    assert waited < 10  # the limit was 1.5 s; far from the test's own 60


def _exchange(world, control):
    values = control.gather_all("values", {"rank": world.rank})
    shared = control.share("one", "from 0" if world.rank == 0 else None)
    among = control.gather("some", world.rank, among=[0, 2]) if world.rank in (0, 2) else "absent"
    return values, shared, among, control.claim("role")


def test_gather_share_and_claim(ranks):
    answers = ranks(3, _exchange)
    for values, shared, _, _ in answers:
        assert values == [{"rank": 0}, {"rank": 1}, {"rank": 2}]
        assert shared == "from 0"
    assert [among for _, _, among, _ in answers] == [[0, 2], "absent", None]
    assert sorted(claim for *_, claim in answers) == [False, False, True]
