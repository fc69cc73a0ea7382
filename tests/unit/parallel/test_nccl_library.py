"""Which NCCL is loaded: the library says, not what torch was built with."""

from __future__ import annotations

import os

import pytest

from inferometer.parallel.nccl_library import LIBRARY, loaded_version, spelt


class Library:
    def __init__(self, number, status=0):
        self.number, self.status = number, status

    def version(self, found):
        found._obj.value = self.number
        return self.status

    ncclGetVersion = version  # noqa: N815 (the library's own name)


def test_the_loaded_library_is_asked():
    asked = []

    def opened(name, mode):
        asked.append((name, mode))
        return Library(23007)

    assert loaded_version(opened) == "2.30.7"
    assert asked == [(LIBRARY, os.RTLD_NOLOAD)]


def test_without_one_nothing_is_said():
    def missing(name, mode):
        raise OSError("not loaded")

    assert loaded_version(missing) is None
    assert loaded_version(lambda name, mode: Library(23007, status=1)) is None
    assert loaded_version(lambda name, mode: object()) is None


@pytest.mark.parametrize(("number", "text"), [(22809, "2.28.9"), (22807, "2.28.7"), (21803, "2.18.3"), (2804, "2.8.4")])
def test_versions_are_spelt_as_nccl_numbers_them(number, text):
    assert spelt(number) == text
