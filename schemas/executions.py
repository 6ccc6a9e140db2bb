"""Contract of the ``executions`` table."""

import dataframely as dy

from schemas.contract import Contract


class Execution(Contract):
    """Runs of code seeds, recorded value by value: what claims of thoughts are compared with.

    One row = one call. Primary key: ``seed_id``, ``call``.
    """

    table = "executions"

    seed_id = dy.String(primary_key=True, min_length=1, description="The code seed.")
    call = dy.String(primary_key=True, min_length=1, description="The call, as an expression.")
    returned = dy.String(
        nullable=True, description="Its value as a literal, … if elided; null if there is none."
    )
    raised = dy.String(nullable=True, description="The exception that ended it, if one did.")
    complete = dy.Bool(description="Whether it came to its end within the tracer's bounds.")
    n_moments = dy.Int64(min=0, description="Lines that ran, in all frames.")
    run = dy.String(description="The run in lines: values, iterations, inner calls, result.")
    record = dy.String(description="Everything that the tracer recorded, as JSON.")
