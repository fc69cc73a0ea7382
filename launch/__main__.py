"""``python -m inferometer.launch COMMAND``: what torchrun, mpiexec and srun start."""

import sys

from inferometer.launch.cli import main

if __name__ == "__main__":
    sys.exit(main())
