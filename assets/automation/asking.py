"""Asks for a run about a state of things: once, and again later if that failed.

The surprising fact: Dagster starts a run key only once, for ever. That keeps a sensor that ticks
every minute from starting the same run sixty times an hour, but a run that failed because the Hub
was down for a night would never be tried again. So the key counts the attempts.
"""

from datetime import UTC, datetime, timedelta
from typing import Final

import dagster as dg
from dagster._core.storage.tags import AUTO_RETRY_RUN_ID_TAG, WILL_RETRY_TAG

STATE: Final = "datagen/state"
"""Tag with the state of things that a run is about."""

AGAIN_AFTER: Final = timedelta(minutes=30)

_BEGUN_AGAIN_WITHIN: Final = timedelta(minutes=10)
"""For what was killed and is not, nobody waits longer: its backfill may have been cancelled."""

ACTIVE: Final = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]
"""Statuses of runs that are not over."""


def ask_for(
    instance: dg.DagsterInstance,
    job: str,
    state: str,
    *,
    partition: str | None = None,
    again_after: timedelta = AGAIN_AFTER,
) -> dg.RunRequest | dg.SkipReason:
    """Ask for a run of a job about a state, unless there was one that did not fail.

    Args:
        instance: knows the earlier runs.
        job: its name.
        state: a mark of what the run will deal with.
        partition: of the job, if it is partitioned.
        again_after: since a failure.
    """
    if partition is not None and is_active(instance, job, partition):
        return dg.SkipReason(f"{job} is at {partition} already")
    about = dg.RunsFilter(job_name=job, tags={STATE: state})
    runs = instance.get_run_records(about, limit=100)
    if runs:
        last = runs[0]
        if last.dagster_run.status is not dg.DagsterRunStatus.FAILURE:
            return dg.SkipReason(f"{job} is about it already: run {last.dagster_run.run_id}")
        ended = datetime.fromtimestamp(last.end_time or 0, UTC)
        if datetime.now(UTC) - ended < again_after:
            return dg.SkipReason(f"{job} has failed, and is tried again after {again_after}")
    return dg.RunRequest(
        run_key=f"{job}-{state}-{len(runs)}",
        job_name=job,
        partition_key=partition,
        tags={STATE: state},
    )


def is_active(instance: dg.DagsterInstance, job: str, partition: str | None = None) -> bool:
    """Whether a job is running or about to, for a partition or for any."""
    tags = {} if partition is None else {"dagster/partition": partition}
    if instance.get_runs_count(dg.RunsFilter(job_name=job, statuses=ACTIVE, tags=tags)):
        return True
    # A run that was killed is over for some seconds, until it is begun again.
    killed = dg.RunsFilter(
        job_name=job,
        statuses=[dg.DagsterRunStatus.FAILURE],
        tags={**tags, WILL_RETRY_TAG: "true"},
        updated_after=datetime.now(UTC) - _BEGUN_AGAIN_WITHIN,
    )
    return any(AUTO_RETRY_RUN_ID_TAG not in run.tags for run in instance.get_runs(killed))
