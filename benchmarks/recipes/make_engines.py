"""Fit the built-in engine profiles to served points, and write them into configs/engines.

  python benchmarks/recipes/make_engines.py ../shared/data/serving/served_points.csv

What is not fitted (scheduler, kernels, calibrations, options, their sources) stays as the files have it.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from inferometer.emulator.economics.serving.engines.profile_file import toml_of
from inferometer.emulator.economics.serving.engines.profiles import engine_names, load_profile
from inferometer.emulator.economics.serving.fitting.engine import fit_engine
from inferometer.emulator.economics.serving.points.table import read_points

HERE = Path(__file__).resolve().parents[2]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("points", help="a points file, or aiconfigurator's silicon samples")
    parser.add_argument("--engine", choices=engine_names(), help="of one engine only")
    args = parser.parse_args()
    points = read_points(args.points)
    for name in engine_names() if args.engine is None else [args.engine]:
        path = HERE / "configs" / "engines" / f"{name}.toml"
        head = path.read_text().splitlines()[0]
        found = fit_engine(
            points, load_profile(name), source="InferenceX and aiconfigurator-core 0.12.0", by=("tp", "model")
        )
        path.write_text(f"{head}\n{toml_of(found.profiles)}")
        for profile in found.profiles:
            misfit = profile.misfit.get("tpot")
            words = (
                "" if misfit is None else f"held-out TPOT error {misfit.median:.1%}, p90 {misfit.p90:.1%} ({misfit.points})"
            )
            print(f"{name} {profile.versions}: {words}")


if __name__ == "__main__":
    main()
