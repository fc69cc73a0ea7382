"""What `local` starts for torch backends: torchrun's agent, with ranks that are forked instead of started from nothing.

``python -m inferometer.launch.ranks.forked JOB.json`` calls torch's own ``elastic_launch`` as ``torchrun --standalone``
does, but hands it a function and the start method ``forkserver``: one process imports all that a rank needs, starts no
thread, and forks the ranks. A launch imports torch, numpy and pydantic once instead of once a rank, and the ranks share the
memory that they do not write to. Each rank then sets its own scheduler class, threads and groups, as under torchrun.
"""

from __future__ import annotations

import gc
import multiprocessing
import sys
import uuid
from multiprocessing import forkserver
from pathlib import Path

from inferometer.emulator.measure.loopback import loopback_address
from inferometer.launch.ranks import worker
from inferometer.launch.ranks.job import Job

PRELOADED = [
    "numpy.ma",
    "torch.distributed",
    "inferometer.emulator.calibrate.experiment.order",
    "inferometer.emulator.measure.probing",
    "inferometer.emulator.measure.runner",
    "inferometer.emulator.measure.scheduler",
    "inferometer.emulator.samples.samples",
    "inferometer.emulator.validate.series",
    "inferometer.emulator.workload.hugging_face.families",
    "inferometer.launch.ranks.emulation_rank",
    "inferometer.launch.ranks.failure",
    "inferometer.launch.ranks.measurement_rank",
    "inferometer.launch.ranks.forked",
    "inferometer.launch.ranks.rendezvous",
    "inferometer.launch.ranks.watch",
    "inferometer.parallel.torch_communicator",
]
"""What the parent of the ranks imports. No module here starts a thread or reads a variable that differs between ranks."""


def rank(job_file: str) -> None:
    """One rank, in a process just forked."""
    gc.freeze()  # what was imported is never collected: looking through it would copy every page of it
    status = worker.main(job_file)
    if status:
        sys.exit(status)


def bracketed(address: str) -> str:
    """As an endpoint has it: [::1]."""
    return f"[{address}]" if ":" in address else address


def main(job_file: str) -> None:
    """Start the ranks and see them through. Raises torch's ``ChildFailedError``, which names the first rank that failed."""
    job = Job.model_validate_json(Path(job_file).read_text())
    multiprocessing.set_forkserver_preload(PRELOADED)
    forkserver.ensure_running()  # imports while this process does the same

    here = loopback_address()  # the host's own name may have no address
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    config = LaunchConfig(
        min_nodes=1, max_nodes=1, nproc_per_node=job.method.world_size, run_id=str(uuid.uuid4()), rdzv_backend="c10d",
        rdzv_endpoint=f"{bracketed(here)}:0", local_addr=here, max_restarts=0, start_method="forkserver",
    )  # fmt: skip
    elastic_launch(config, rank)(job_file)


if __name__ == "__main__":
    main(sys.argv[1])
