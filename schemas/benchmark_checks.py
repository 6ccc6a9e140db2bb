"""Contract of the ``benchmark_checks`` table."""

import dataframely as dy

from schemas.contract import Contract


class BenchmarkCheck(Contract):
    """The benchmarks that all questions were compared with, and what was found.

    One row = one benchmark. Primary key: ``name``, ``digest``.
    """

    table = "benchmark_checks"

    name = dy.String(primary_key=True, min_length=1, description="The benchmark's name.")
    source = dy.String(description="Where it was read from: a file, or a Hub name and revision.")
    digest = dy.String(primary_key=True, description="SHA-256 of its questions, in order.")
    n_rows = dy.Int64(min=1, description="Questions of the benchmark.")
    n_checked = dy.Int64(min=0, description="Questions of ours that were compared with it.")
    n_rejected = dy.Int64(min=0, description="Questions of ours that it holds.")
