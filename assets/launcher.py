"""Starts runs on this machine, and can tell which of them are dead.

The surprising fact: Dagster's own launcher cannot. It trusts the code server to notice when the
process of a run has ended, and after a power failure, or in a container that was restarted, the
code server is gone, too. Such runs would count as running for ever: they would keep their slots,
and nothing would be published any more. This one asks the code server that a run was given to; if
it does not answer or does not know the run, monitoring ends the run, and it is begun again.
"""

from dagster import DagsterRun, DefaultRunLauncher
from dagster._core.errors import DagsterUserCodeUnreachableError
from dagster._core.launcher.base import CheckRunHealthResult, WorkerStatus
from dagster._grpc.types import GetCurrentRunsResult
from dagster._serdes import deserialize_value


class WatchedRunLauncher(DefaultRunLauncher):
    """Dagster's launcher on one machine, with a check of health; named in ``dagster.yaml``."""

    @property
    def supports_check_run_worker_health(self) -> bool:
        """Whether monitoring may ask."""
        return True

    def check_run_worker_health(self, run: DagsterRun) -> CheckRunHealthResult:
        """Whether the code server of a run still has a process for it."""
        client = self._get_grpc_client_for_termination(run.run_id)
        if client is None:  # a command runs it, which sees for itself
            return CheckRunHealthResult(WorkerStatus.RUNNING)
        try:
            told = deserialize_value(client.get_current_runs(), GetCurrentRunsResult)
        except DagsterUserCodeUnreachableError as error:
            return CheckRunHealthResult(WorkerStatus.NOT_FOUND, f"its code server is gone: {error}")
        if run.run_id not in told.current_runs:
            return CheckRunHealthResult(WorkerStatus.NOT_FOUND, "its code server has ended it")
        return CheckRunHealthResult(WorkerStatus.RUNNING)
