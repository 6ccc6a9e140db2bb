"""Contract of the ``code_seeds`` table."""

from typing import Final

import dataframely as dy
import polars as pl

from schemas.contract import Contract

MAX_CALLS: Final = 12
MAX_CALL_CHARS: Final = 300


class CodeSeed(Contract):
    """Functions with tests that they pass, the raw material of chains of thought about code.

    One row = one function. Primary key: ``seed_id``.
    """

    table = "code_seeds"

    seed_id = dy.String(primary_key=True, min_length=1, description="Identifies the seed.")
    source = dy.String(description="Where the seed was read from: a file, a folder, a dataset.")
    license = dy.String(
        description="Licence of the source, as an SPDX identifier where it has one."
    )
    question = dy.String(min_length=1, description="What the function is asked to do.")
    code = dy.String(
        min_length=1, description="Source that runs as it is, with its imports and helpers."
    )
    entry_point = dy.String(
        regex="^[A-Za-z_][A-Za-z0-9_]*$", description="Name of the function that is tested."
    )
    tests = dy.String(
        min_length=1, description="Asserts, a check(candidate), test functions, or doctests."
    )
    prelude = dy.String(
        description="Trusted code that the tests need beside the function; it may be empty."
    )
    calls = dy.List(
        dy.String(),
        min_length=1,
        max_length=MAX_CALLS,
        description="Calls of the function with literal arguments; the question's own come first.",
    )
    meta = dy.String(description="Whatever else the source had, as a JSON object.")

    @dy.rule()
    def calls_are_of_the_entry_point(cls) -> pl.Expr:
        """Each call must read ``entry_point(…)``, on one line."""
        called = pl.element().str.extract(r"^(\w+)\(.*\)$")
        return cls.calls.col.list.eval(called).list.unique() == pl.concat_list(cls.entry_point.col)

    @dy.rule()
    def calls_are_unique(cls) -> pl.Expr:
        """No call may be listed twice."""
        return cls.calls.col.list.n_unique() == cls.calls.col.list.len()

    @dy.rule()
    def calls_are_short(cls) -> pl.Expr:
        """Each call must have at most 300 characters."""
        return cls.calls.col.list.eval(pl.element().str.len_chars()).list.max() <= MAX_CALL_CHARS
