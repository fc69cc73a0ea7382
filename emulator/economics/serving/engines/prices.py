"""An engine as prices: its kernels on a device, its collectives, what its host adds to a step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike

from inferometer.emulator.calibrate.evaluate.stack import Stack
from inferometer.emulator.economics.pricing.accelerator import Accelerator
from inferometer.emulator.economics.pricing.network import CollectiveTime, Network
from inferometer.emulator.economics.pricing.prices import Prices, constants_on, network_of
from inferometer.emulator.economics.pricing.processor import ComputeTime, Processor, flop_per_s
from inferometer.emulator.economics.pricing.terms import Terms
from inferometer.emulator.economics.serving.engines.costs import Costs, Features, costs_of, row_of
from inferometer.emulator.economics.serving.engines.executed import Host, Kernels
from inferometer.emulator.economics.serving.engines.measured import MeasuredKernels, measured_kernels
from inferometer.emulator.economics.serving.engines.parameters import Values
from inferometer.emulator.economics.serving.engines.profile import Profile
from inferometer.emulator.workload.call import Call
from inferometer.emulator.workload.precision import Precision


class EngineProcessor(Processor):
    """An engine's kernels on a device: the datasheet's peak, reached to the shares of the profile's parameters."""

    def __init__(
        self, device: Accelerator, kernels: Kernels, host: Host, measured: MeasuredKernels, values: Values, name: str
    ) -> None:
        self._device, self._kernels, self._host, self._values, self._name = device, kernels, host, values, name
        self._measured = measured

    @property
    def name(self) -> str:
        return self._name

    def check(self, precision: Precision) -> None:
        """Raises InputError as flop_per_s does."""
        for bits in (precision.attention_bits, precision.matmul_bits):
            flop_per_s(self._device, bits)

    def times(self, calls: Sequence[Call], precision: Precision) -> list[ComputeTime]:
        """By `costs_of`. Raises InputError as flop_per_s does."""
        alone = self._measured.seconds(calls, precision)
        rows = [
            row_of(call, self._device, self._kernels, self._host, precision, seconds) for call, seconds in zip(calls, alone)
        ]
        stack = Stack(rows)
        costs = costs_of(Features(*stack.columns), self._values)
        parts = Costs(*(stack.split(part) for part in costs))  # type: ignore[arg-type]
        found = []
        for kernel, memory, arithmetic, roof, host, ahead in zip(*parts):
            terms = Terms(kernel_s=kernel, memory_s=memory, arithmetic_s=arithmetic, roof_s=roof, host_s=host)
            found.append(ComputeTime(terms, host_s=ahead))
        return found

    def relative_error(self, calls: Sequence[Call], precision: Precision) -> float | None:
        return None


class EngineNetwork(Network):
    """An engine's collectives: its own all_reduce by the calibration of its implementation up to so many bytes for a number
    of ranks (own_bytes), NCCL's beyond and for all others, in a node; the paper's constants between nodes, and where none
    of these was measured on such a device."""

    def __init__(
        self, own: Network, nccl: Network, constants: Network, values: Values, own_bytes: Mapping[int, float] | None = None
    ) -> None:
        self._own, self._nccl, self._constants, self._values = own, nccl, constants, values
        self._own_bytes = own_bytes or {}

    @property
    def name(self) -> str:
        return self._own.name

    def _of(self, collective: str) -> Network:
        for network in (self._own, self._nccl):
            if network.knows(collective):
                return network
        return self._constants

    def time(self, collective: str, bytes: ArrayLike, ranks: ArrayLike, nodes: ArrayLike) -> CollectiveTime:
        n, r, N = np.broadcast_arrays(*(np.asarray(v, dtype=float) for v in (bytes, ranks, nodes)))
        known = self._of(collective)
        found = known.time(collective, n, r, N)
        if known is self._own and self._own_bytes and self._nccl.knows(collective):
            beyond = n > np.vectorize(lambda ranks: self._own_bytes.get(int(ranks), np.inf), otypes=[float])(r)
            if beyond.any():
                other = self._nccl.time(collective, n, r, N)
                latency = np.where(beyond, other.latency_s, found.latency_s)
                found = CollectiveTime(latency, np.where(beyond, other.bandwidth_s, found.bandwidth_s))
        if known is not self._constants and (N > 1).any():
            other = self._constants.time(collective, n, r, N)
            latency = np.where(N > 1, other.latency_s, found.latency_s)
            found = CollectiveTime(latency, np.where(N > 1, other.bandwidth_s, found.bandwidth_s))
        scale, further = self._values["reduce_scale"], self._values["reduce_s"]
        return CollectiveTime(np.where(r > 1, found.latency_s * scale + further, 0.0), found.bandwidth_s * scale)

    def notes(self, collective: str, bytes: ArrayLike, ranks: ArrayLike, nodes: ArrayLike) -> list[str]:
        if self._of(collective) is self._constants:
            return [f"{collective}: the paper's constants; this engine's was not measured on such a device"]
        if np.max(np.asarray(nodes)) > 1:
            return [f"{collective} between nodes: the paper's constants"]
        return self._of(collective).notes(collective, bytes, ranks, nodes)


def engine_network(profile: Profile, device: Accelerator, precision: Precision, values: Values) -> EngineNetwork:
    """The collectives of an engine on a device."""
    constants = constants_on(device)

    def calibrated(names: dict[str, str]) -> Network:
        name = names.get(device.name)
        return constants if name is None else network_of(name, device, precision, {})

    most = profile.own_bytes.get(device.name)
    return EngineNetwork(calibrated(profile.all_reduce), calibrated(profile.collectives), constants, values, most)


def engine_prices(
    profile: Profile,
    device: Accelerator,
    precision: Precision,
    *,
    network: Network | None = None,
    values: Values | None = None,
) -> Prices:
    """What a step of an engine costs on a device. network: instead of the profile's calibrations; values: instead of its
    parameters."""
    values = profile.values if values is None else values
    own = engine_network(profile, device, precision, values)
    if network is not None:
        own = EngineNetwork(network, network, constants_on(device), values)
    name = f"{profile.label} on {device.name}"
    measured = measured_kernels(profile.measured.get(device.name))
    processor = EngineProcessor(device, profile.kernels, profile.host, measured, values, name)
    return Prices(own, processor, None, precision, replace(device))
