"""Many bundles built at once, on a scheduler of dask.distributed: a local one, or one that is already there.

A task is one bundle. When a worker is killed, its guard ends the tool, and the scheduler runs the build again on
another worker, where it goes on with the first stage that was not finished. The folders must be seen under the
same path by every worker.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .build import BuildOptions, build_bundle
from .errors import ToolError


@dataclass(frozen=True)
class Outcome:
    """How one build of many ended."""

    folder: Path
    error: str = ""
    hint: str = ""
    seconds: dict[str, float] = field(default_factory=dict)
    """Stage -> time that it took when it last ran."""

    @property
    def built(self) -> bool:
        return not self.error


def build_one(folder: str, options: BuildOptions) -> Outcome:
    """Build one bundle, on a worker. An error is a result: the others go on."""
    path = Path(folder)
    if not path.is_dir():
        return Outcome(path, f"the worker sees no folder {folder}", "put the sweep on storage that all workers share")
    try:
        result = build_bundle(path, options)
    except ToolError as error:
        return Outcome(path, error.message, error.hint)
    return Outcome(path, seconds={stage.name: stage.seconds for stage in result.stages})


@contextmanager
def _client(scheduler: str | None, workers: int) -> Iterator[Any]:
    """A client of the scheduler; one of a cluster of our own, with a process a worker, where none is given."""
    from distributed import Client, LocalCluster

    if scheduler is None:
        with LocalCluster(
            n_workers=workers, threads_per_worker=1, dashboard_address=None, silence_logs=logging.CRITICAL
        ) as cluster, Client(cluster) as client:  # fmt: skip
            yield client
        return
    try:
        client = Client(scheduler, timeout="10s")
    except (OSError, ValueError) as error:
        raise ToolError(f"no scheduler answers at {scheduler}", "start one: dask scheduler") from error
    with client:
        yield client


def build_many(
    folders: Sequence[Path],
    options: BuildOptions,
    scheduler: str | None = None,
    workers: int = 2,
    on_done: Callable[[Outcome], None] = lambda _: None,
) -> list[Outcome]:
    """Build bundles in parallel; the outcomes in the order of the folders.

    Args:
        folders: bundles.
        options: for all of them.
        scheduler: address of a running scheduler, `tcp://host:8786`.
        workers: of the local cluster where there is none.
        on_done: called with each outcome as it comes.

    Raises:
        ToolError: the scheduler does not answer.
    """
    from distributed import KilledWorker, as_completed

    outcomes: dict[Path, Outcome] = {}
    with _client(scheduler, workers) as client:
        asked = {client.submit(build_one, str(folder), options, pure=False): folder for folder in folders}
        for future in as_completed(asked):
            folder = asked[future]
            try:
                outcome = future.result()
            except KilledWorker:
                outcome = Outcome(
                    folder, "every worker that built it was killed", "give the workers more memory, or fewer --workers"
                )
            except (RuntimeError, ImportError) as error:  # the task could not be unpacked there
                first = str(error).partition("\n")[0]
                outcome = Outcome(
                    folder, f"a worker cannot run it: {first}", "install this tritloom, with [sweep], on every worker"
                )
            outcomes[folder] = outcome
            on_done(outcome)
    return [outcomes[folder] for folder in folders]
