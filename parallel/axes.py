"""A rank's place on the axes of the mesh: what it holds of anything that is cut over them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from inferometer.parallel.communicator import Communicator
from inferometer.parallel.mesh import RankMesh


@dataclass(frozen=True)
class Axis:
    """The group of ranks along one axis, as one of its members sees it."""

    name: str
    size: int = 1
    index: int = 0
    group: Communicator | None = None
    """None where the rank is alone."""

    def share(self, amount: int) -> range:
        """This rank's of ``size`` equal parts of 0 … amount − 1. Raises ``ValueError`` where they cannot be equal."""
        if amount % self.size:
            raise ValueError(f"{amount} does not divide by {self.name} = {self.size}")
        return self.padded_share(amount)

    def padded_share(self, amount: int) -> range:
        """The same with parts rounded up: the last ones reach beyond ``amount``."""
        part = -(-amount // self.size)
        return range(self.index * part, (self.index + 1) * part)


Axes = Mapping[str, Axis]


def join(world: Communicator, mesh: RankMesh, spans: Mapping[str, tuple[str, ...]]) -> dict[str, Axis]:
    """The axes of ``spans``: each lies over the named axes of ``mesh`` together, the last of them fastest.

    Collective over the world. Axes with the same groups share one communicator.
    """
    communicators: dict[tuple[tuple[int, ...], ...], Communicator | None] = {}
    axes = {}
    for name, dims in spans.items():
        groups = tuple(mesh.groups(*dims))
        if mesh.degree(*dims) == 1:
            axes[name] = Axis(name)
            continue
        if groups not in communicators:
            communicators[groups] = world.split(groups)
        group = communicators[groups]
        assert group is not None, f"rank {world.rank} stands outside the mesh"
        axes[name] = Axis(name, group.size, group.rank, group)
    return axes


def leave(axes: Axes) -> None:
    """Give every group back. Collective over the world."""
    for group in {id(axis.group): axis.group for axis in axes.values() if axis.group}.values():
        group.close()


def together(outer: Axis, inner: Axis) -> Axis:
    """The rank's place on two axes taken as one, ``inner`` fastest. It has no group: for cutting only."""
    return Axis(f"{outer.name}·{inner.name}", outer.size * inner.size, outer.index * inner.size + inner.index)
