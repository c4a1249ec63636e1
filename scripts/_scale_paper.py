"""A large archive on paper: what each part of a cluster has to do, and which is full first."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from _scale_runs import Line

from audiosep.costs import costs_of
from audiosep.memory import PROGRAM_BYTES, memory_of

SR = 44_100
CHANNELS = 2
N_STEMS = 3
HOUR_S = 3600.0
MACHINES = (1, 10, 100, 1000)


@dataclass(frozen=True, kw_only=True)
class Place:
    """What there is.

    Parameters
    ----------
    cores : int
        Of each machine.
    memory_gb, disk_gb_s, network_gb_s : float
        Of each machine: memory, what its disk writes in a second, what its network carries.
    store_gb_s : float
        What the store of all recordings and stems gives and takes in a second.
    """

    cores: int
    memory_gb: float
    disk_gb_s: float
    network_gb_s: float
    store_gb_s: float


@dataclass(frozen=True, kw_only=True)
class Demand:
    """What an hour of sound takes.

    Parameters
    ----------
    cpu_s : float
        Seconds of a processor.
    memory_gb : float
        While it is at work.
    in_gb, out_gb : float
        The recording, and its stems.
    """

    cpu_s: float
    memory_gb: float
    in_gb: float
    out_gb: float


def demand_of(preset: str, flac: float) -> Demand:
    """What an hour of stereo at 44.1 kHz and 16 bits takes; `flac` is what is left of a stem."""
    costs = costs_of(preset)
    n_samples = round(HOUR_S * SR)
    given_s = HOUR_S + 35 * 8  # 36 chunks, which share 8 s with their neighbours
    whole = n_samples * CHANNELS * 2 / 1e9
    memory = PROGRAM_BYTES + memory_of(preset, n_samples, CHANNELS, N_STEMS, SR)
    return Demand(
        cpu_s=costs.seconds.of(given_s, CHANNELS, SR) + costs.learnt_s(100.0, CHANNELS, SR),
        memory_gb=memory / 1e9,
        in_gb=whole,
        out_gb=N_STEMS * whole * flac,
    )


def bounds(demand: Demand, place: Place, n_machines: int) -> dict[str, float]:
    """Hours of sound in an hour that each part allows."""
    at_once = min(place.cores, int(place.memory_gb / demand.memory_gb))
    moved = demand.in_gb + demand.out_gb
    return {
        "processors" if at_once == place.cores else "memory": n_machines
        * at_once
        * HOUR_S
        / demand.cpu_s,
        # A copy of the recording, and the stems before they are sent.
        "disks": n_machines * HOUR_S * place.disk_gb_s / moved,
        "networks": n_machines * HOUR_S * place.network_gb_s / moved,
        "store": HOUR_S * place.store_gb_s / moved,
    }


def paper(arguments: argparse.Namespace, _folder: Path) -> Iterator[Line]:
    """Print what an archive takes on more and more machines."""
    place = Place(
        cores=arguments.cores,
        memory_gb=arguments.memory_gb,
        disk_gb_s=arguments.disk_gb_s,
        network_gb_s=arguments.network_gbit_s / 8,
        store_gb_s=arguments.store_gb_s,
    )
    demand = demand_of(arguments.length_preset, arguments.flac)
    print(f"  an hour of sound: {demand}\n  each machine: {place}")
    for n_machines in MACHINES:
        allowed = bounds(demand, place, n_machines)
        first = min(allowed, key=lambda part: allowed[part])
        days = arguments.hours / allowed[first] / 24
        shares = ", ".join(
            f"{part} {100 * allowed[first] / allowed[part]:.0f} %" for part in allowed
        )
        yield Line(
            what=f"{arguments.hours:g} h of sound on {n_machines} machine(s)",
            goal="-",
            measured=f"{days:.1f} days, {first} full ({shares})",
            reached=True,
        )
