"""Whole traces, what their steps do, and what is made of several of them."""

import dagster as dg
import polars as pl

from assets.metadata import counts, described, engine_work, picture, sample
from assets.shards import by_engine, by_shard
from assets.stages import engine_stage
from assets.workspace import Workspace
from datagen.code.traces import code_traces
from datagen.pictures import factor_mix
from datagen.show.samples import correction_samples, trace_samples
from datagen.traces.assemble import assemble_traces
from schemas import Correction


@by_shard(group_name="traces", required_resource_keys={"workspace"})  # knows own verifiers
def traces(
    seeds: pl.DataFrame,
    prefixes: pl.DataFrame,
    rollouts: pl.DataFrame,
    nodes: pl.DataFrame,
    code_thoughts: pl.DataFrame,
    code_tasks: pl.DataFrame,
) -> dg.Output[pl.DataFrame]:
    """Whole traces, human and synthetic, about words and about code, right and wrong."""
    frame = pl.concat(
        [assemble_traces(seeds, prefixes, rollouts, nodes), code_traces(code_thoughts, code_tasks)]
    )
    return dg.Output(
        frame,
        metadata=described(
            frame,
            sample=sample(trace_samples, frame),
            outcomes=counts(frame, "outcome"),
            provenances=counts(frame, "provenance"),
        ),
    )


@by_engine(group_name="traces")
def tags(workspace: Workspace, traces: pl.DataFrame) -> dg.Output[pl.DataFrame]:
    """Which thought factor each step performs, how surely, and which steps it builds on."""
    made, progress = engine_stage(
        workspace,
        "tags",
        {"traces": traces},
    )
    frame = made["tags"]
    return dg.Output(
        frame,
        metadata=described(
            frame,
            *("text", "factor", "probability", "tagger", "depends_on"),
            factor_mix=picture(factor_mix, traces, frame),
            taggers=counts(frame, "tagger"),
            factors=counts(frame, "factor"),
            needs_review=int(frame["needs_review"].sum()),
            **engine_work(progress),
        ),
    )


@by_engine(group_name="traces")
def corrections(
    workspace: Workspace,
    traces: pl.DataFrame,
    rollouts: pl.DataFrame,
    probes: pl.DataFrame,
    trace_labels: pl.DataFrame,
    critiques: pl.DataFrame,
) -> dg.Output[pl.DataFrame]:
    """Traces that go wrong, notice it, mend it and end right, spliced from the search trees."""
    if not workspace.settings.corrections.max_rows:
        return dg.Output(Correction.empty())
    made, progress = engine_stage(
        workspace,
        "corrections",
        {
            "traces": traces,
            "rollouts": rollouts,
            "probes": probes,
            "trace_labels": trace_labels,
            "critiques": critiques,
        },
    )
    frame = made["corrections"]
    return dg.Output(
        frame,
        metadata=described(
            frame,
            sample=sample(correction_samples, frame),
            kinds=counts(frame, "kind"),
            attempts=counts(frame, "n_attempts"),
            **engine_work(progress),
        ),
    )


@by_engine(group_name="traces")
def summaries(
    workspace: Workspace, traces: pl.DataFrame, corrections: pl.DataFrame
) -> dg.Output[pl.DataFrame]:
    """What a reader may be shown of the thought of each right trace."""
    made, progress = engine_stage(
        workspace,
        "summaries",
        {"traces": pl.concat([traces, corrections.select(traces.columns)])},
    )
    frame = made["summaries"]
    return dg.Output(
        frame,
        metadata=described(
            frame,
            *("summary", "writer", "reason"),
            writers=counts(frame, "writer"),
            refused=int(frame["summary"].is_null().sum()),
            **engine_work(progress),
        ),
    )
