"""Where traces go wrong: what rollouts from their steps say, and what judges do."""

import dagster as dg
import polars as pl

from assets.metadata import counts, described, engine_work, picture, sample
from assets.shards import BY_ENGINE, by_engine, by_shard
from assets.stages import engine_stage
from assets.workspace import Workspace
from datagen.code.traces import code_step_labels, without_code
from datagen.curate import kept
from datagen.measure import pick_traces
from datagen.pictures import label_reliability, outcomes_by_start, value_by_step
from datagen.show.samples import trace_samples


@by_shard(group_name="labels")
def measured_traces(
    workspace: Workspace,
    traces: pl.DataFrame,
    rejected_traces: pl.DataFrame,
    rollouts: pl.DataFrame,
) -> dg.Output[pl.DataFrame]:
    """The traces whose steps are measured: a few right and wrong ones of each prefix."""
    settings = workspace.settings.labels
    frame = pick_traces(
        kept(traces, rejected_traces),
        rollouts,
        n_right=settings.n_right_traces,
        n_wrong=settings.n_wrong_traces,
    )
    return dg.Output(
        frame,
        metadata=described(
            frame, sample=sample(trace_samples, frame), outcomes=counts(frame, "outcome")
        ),
    )


@by_engine(group_name="labels")
def critiques(workspace: Workspace, measured_traces: pl.DataFrame) -> dg.Output[pl.DataFrame]:
    """What judges say of each measured trace: arithmetic, and the model's own critiques."""
    made, progress = engine_stage(
        workspace,
        "critiques",
        {"measured_traces": measured_traces},
    )
    frame = made["critiques"]
    return dg.Output(
        frame,
        metadata=described(
            frame,
            "trace_id",
            "judge",
            "first_error",
            "quote",
            "reason",
            judges=counts(frame, "judge"),
            **engine_work(progress),
        ),
    )


@dg.multi_asset(
    outs={
        "probes": dg.AssetOut(description="Rollouts drawn to find where traces go wrong."),
        "step_labels": dg.AssetOut(description="How good each step is, with the evidence for it."),
        "trace_labels": dg.AssetOut(description="Where each measured trace first goes wrong."),
    },
    group_name="labels",
    **BY_ENGINE,
)
def label_tables(
    workspace: Workspace,
    measured_traces: pl.DataFrame,
    traces: pl.DataFrame,
    rollouts: pl.DataFrame,
    critiques: pl.DataFrame,
    code_thoughts: pl.DataFrame,
) -> tuple[dg.Output[pl.DataFrame], dg.Output[pl.DataFrame], dg.Output[pl.DataFrame]]:
    """Seek the first error of each measured trace, and compare with the judges.

    Thoughts about code need no seeking: their runs have said where they go wrong.
    """
    made, progress = engine_stage(
        workspace,
        "labels",
        {
            "traces": without_code(traces),
            "measured_traces": measured_traces,
            "rollouts": rollouts,
            "critiques": critiques,
        },
    )
    probes, labels = made["probes"], made["trace_labels"]
    steps = pl.concat([made["step_labels"], code_step_labels(code_thoughts, traces)])
    return (
        dg.Output(
            probes,
            metadata=described(
                probes,
                *("prefix_id", "n_given_steps", "outcome"),
                outcomes_by_start=picture(outcomes_by_start, probes),
                outcomes=counts(probes, "outcome"),
                **engine_work(progress),
            ),
        ),
        dg.Output(
            steps,
            metadata=described(
                steps,
                sample=sample(
                    trace_samples,
                    measured_traces,
                    step_labels=steps,
                    trace_labels=labels,
                    critiques=critiques,
                ),
                value_by_step=picture(value_by_step, steps, labels),
                labels=counts(steps, "label_source"),
            ),
        ),
        dg.Output(
            labels,
            metadata=described(
                labels,
                *("trace_id", "first_error", "first_error_mass", "judge_first_error", "verified"),
                reliability=picture(label_reliability, labels),
                verified=float(labels["verified"].mean() or 0.0),  # pyright: ignore[reportArgumentType]
            ),
        ),
    )
