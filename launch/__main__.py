"""``python -m inferometer.launch COMMAND``: what torchrun, mpiexec and srun start."""

import sys
from pathlib import Path

import inferometer

if __name__ == "__main__":
    here = Path(sys.path[0] or ".").resolve()
    if here != Path(inferometer.__file__).parents[1].resolve():
        del sys.path[0]  # the working directory, which `python -m` puts first: a torch.py there is no torch
    from inferometer.launch.cli import main

    sys.exit(main())
