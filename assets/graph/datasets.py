"""The datasets: one table per kind of trainer, each made by one export."""

import dagster as dg
import polars as pl

from assets.metadata import counts, described, sample
from assets.shards import OR_EMPTY, of_all
from assets.workspace import Workspace
from datagen.code.traces import decided
from datagen.curate import kept
from datagen.export import (
    count_critiques,
    export_advantages,
    export_critique,
    export_kto,
    export_orm,
    export_policy_value,
    export_preference,
    export_prm,
    export_processbench,
    export_raw_rollouts,
    export_rl,
    export_sft,
    export_step_preference,
)
from datagen.export.sft import Form
from datagen.factors.tagging import with_tags
from datagen.review.decide.apply import decided_by_people, without_refuted
from datagen.show.samples import benchmark_samples, chat_samples, labelled_samples


@of_all(group_name="datasets", ins={"decisions": OR_EMPTY})
def sft(
    workspace: Workspace,
    traces: pl.DataFrame,
    rejected_traces: pl.DataFrame,
    reviewed_tags: pl.DataFrame,
    reviewed_corrections: pl.DataFrame,
    summaries: pl.DataFrame,
    decisions: pl.DataFrame,
) -> dg.Output[pl.DataFrame]:
    """Verified right traces as chats, in thought-factor markup, with those that mend an error."""
    fit = without_refuted(kept(traces, rejected_traces), decisions)
    frame = _chats(workspace, fit, reviewed_tags, reviewed_corrections, summaries, form="tagged")
    return dg.Output(frame, metadata=described(frame, sample=sample(chat_samples, frame)))


@of_all(group_name="datasets", ins={"decisions": OR_EMPTY})
def sft_plain(
    workspace: Workspace,
    traces: pl.DataFrame,
    rejected_traces: pl.DataFrame,
    reviewed_tags: pl.DataFrame,
    reviewed_corrections: pl.DataFrame,
    summaries: pl.DataFrame,
    decisions: pl.DataFrame,
) -> dg.Output[pl.DataFrame]:
    """The same with a plain ``<think>`` block."""
    fit = without_refuted(kept(traces, rejected_traces), decisions)
    frame = _chats(workspace, fit, reviewed_tags, reviewed_corrections, summaries, form="plain")
    return dg.Output(frame, metadata=described(frame, sample=sample(chat_samples, frame)))


def _chats(
    workspace: Workspace,
    traces: pl.DataFrame,
    tags: pl.DataFrame,
    corrections: pl.DataFrame,
    summaries: pl.DataFrame,
    *,
    form: Form,
) -> pl.DataFrame:
    return export_sft(
        with_tags(traces, tags),
        summaries,
        corrections,
        form=form,
        max_per_question=workspace.settings.export.max_per_question,
    )


@of_all(group_name="datasets")
def prm(
    workspace: Workspace,
    measured_traces: pl.DataFrame,
    traces: pl.DataFrame,
    rejected_traces: pl.DataFrame,
    code_thoughts: pl.DataFrame,
    reviewed_step_labels: pl.DataFrame,
) -> dg.Output[pl.DataFrame]:
    """Measured traces and thoughts about code, right and wrong, with a label for each step."""
    cut = workspace.settings.export.after_first_error
    labelled = pl.concat(
        [measured_traces, _about_code(kept(traces, rejected_traces), code_thoughts)]
    )
    frame = export_prm(labelled, reviewed_step_labels, after_first_error=cut)
    return dg.Output(frame, metadata=described(frame, sample=sample(labelled_samples, frame)))


def _about_code(traces: pl.DataFrame, code_thoughts: pl.DataFrame) -> pl.DataFrame:
    """Traces that are thoughts about code, which runs of the code have labelled."""
    return traces.join(
        code_thoughts, left_on="trace_id", right_on="thought_id", how="semi", maintain_order="left"
    )


@of_all(group_name="datasets")
def prm_verified(
    prm: pl.DataFrame,
    reviewed_step_labels: pl.DataFrame,
    reviewed_trace_labels: pl.DataFrame,
    code_thoughts: pl.DataFrame,
) -> dg.Output[pl.DataFrame]:
    """The part of ``prm`` whose first errors are agreed on, shown by a run, or found by people."""
    verified = pl.concat(
        [
            reviewed_trace_labels.filter("verified")["trace_id"],
            decided(code_thoughts),
            decided_by_people(reviewed_step_labels),
        ]
    )
    frame = prm.filter(pl.col("id").is_in(verified.implode()))
    return dg.Output(frame, metadata=described(frame, sample=sample(labelled_samples, frame)))


@of_all(group_name="datasets")
def rl(
    workspace: Workspace, seeds: pl.DataFrame, questions: pl.DataFrame, code_tasks: pl.DataFrame
) -> dg.Output[pl.DataFrame]:
    """Questions with verifiable answers, about code too, and their measured pass rate."""
    difficulties = workspace.settings.curation.difficulties
    frame = export_rl(seeds, questions, code_tasks, difficulties=difficulties)
    return dg.Output(frame, metadata=described(frame, "prompt", "answer", "extra_info"))


@of_all(group_name="datasets")
def orm(traces: pl.DataFrame, rejected_traces: pl.DataFrame) -> dg.Output[pl.DataFrame]:
    """Whole replies of the policy, and whether they ended right."""
    frame = export_orm(kept(traces, rejected_traces))
    return dg.Output(
        frame, metadata=described(frame, "prompt", "completion", labels=counts(frame, "label"))
    )


@of_all(group_name="datasets")
def processbench(
    measured_traces: pl.DataFrame,
    traces: pl.DataFrame,
    rejected_traces: pl.DataFrame,
    code_thoughts: pl.DataFrame,
    reviewed_step_labels: pl.DataFrame,
    reviewed_trace_labels: pl.DataFrame,
) -> dg.Output[pl.DataFrame]:
    """Traces whose first wrong step is verified, in the layout of ProcessBench."""
    labelled = pl.concat(
        [measured_traces, _about_code(kept(traces, rejected_traces), code_thoughts)]
    )
    frame = export_processbench(labelled, reviewed_step_labels, reviewed_trace_labels)
    return dg.Output(frame, metadata=described(frame, sample=sample(benchmark_samples, frame)))


@of_all(group_name="datasets")
def raw_rollouts(
    seeds: pl.DataFrame, rollouts: pl.DataFrame, probes: pl.DataFrame
) -> dg.Output[pl.DataFrame]:
    """Every completion that was drawn, with its question and outcome."""
    frame = export_raw_rollouts(seeds, rollouts, probes)
    return dg.Output(frame, metadata=described(frame, "question", "steps", "outcome"))


@of_all(group_name="datasets")
def policy_value(
    nodes: pl.DataFrame, rollouts: pl.DataFrame, prefixes: pl.DataFrame
) -> dg.Output[pl.DataFrame]:
    """States of the search trees: legal factors, prior, visits, Q and value."""
    frame = export_policy_value(nodes, rollouts, prefixes)
    return dg.Output(
        frame, metadata=described(frame, "prompt", "legal_factors", "pi", "value", "outcome")
    )


@of_all(group_name="datasets")
def advantages(
    traces: pl.DataFrame,
    rejected_traces: pl.DataFrame,
    questions: pl.DataFrame,
    reviewed_step_labels: pl.DataFrame,
    reviewed_trace_labels: pl.DataFrame,
) -> dg.Output[pl.DataFrame]:
    """Labelled traces with the advantage of each step, and the first pit that they fall into."""
    frame = export_advantages(
        kept(traces, rejected_traces), questions, reviewed_step_labels, reviewed_trace_labels
    )
    return dg.Output(frame, metadata=described(frame, "completions", "advantages", "pit"))


@of_all(group_name="datasets", ins={"decisions": OR_EMPTY})
def preference(
    workspace: Workspace,
    traces: pl.DataFrame,
    rejected_traces: pl.DataFrame,
    probes: pl.DataFrame,
    reviewed_step_labels: pl.DataFrame,
    reviewed_trace_labels: pl.DataFrame,
    decisions: pl.DataFrame,
) -> dg.Output[pl.DataFrame]:
    """Right traces against wrong ones of the same question, cut at their first pit."""
    settings = workspace.settings.export
    frame = export_preference(
        without_refuted(traces, decisions),
        probes,
        reviewed_step_labels,
        reviewed_trace_labels,
        rejected_traces,
        max_per_question=settings.max_pairs_per_question,
        wrong_ends_at=settings.wrong_ends_at,
    )
    return dg.Output(frame, metadata=described(frame, "prompt", "chosen", "rejected"))


@of_all(group_name="datasets")
def step_preference(
    workspace: Workspace, nodes: pl.DataFrame, prefixes: pl.DataFrame
) -> dg.Output[pl.DataFrame]:
    """Next steps from one state, the better against the worse by Q."""
    frame = export_step_preference(nodes, prefixes, min_delta=workspace.settings.export.min_delta_q)
    return dg.Output(frame, metadata=described(frame, "chosen", "rejected", "delta_q", "kind"))


@of_all(group_name="datasets", ins={"decisions": OR_EMPTY})
def kto(
    workspace: Workspace,
    traces: pl.DataFrame,
    rejected_traces: pl.DataFrame,
    probes: pl.DataFrame,
    reviewed_step_labels: pl.DataFrame,
    reviewed_trace_labels: pl.DataFrame,
    decisions: pl.DataFrame,
) -> dg.Output[pl.DataFrame]:
    """Single replies, each marked as desirable or not."""
    frame = export_kto(
        without_refuted(traces, decisions),
        probes,
        reviewed_step_labels,
        reviewed_trace_labels,
        rejected_traces,
        wrong_ends_at=workspace.settings.export.wrong_ends_at,
    )
    return dg.Output(
        frame, metadata=described(frame, "prompt", "completion", labels=counts(frame, "label"))
    )


@of_all(group_name="datasets")
def critique(
    measured_traces: pl.DataFrame,
    critiques: pl.DataFrame,
    reviewed_trace_labels: pl.DataFrame,
    reviewed_step_labels: pl.DataFrame,
) -> dg.Output[pl.DataFrame]:
    """Critiques whose verdict the labels confirm, for generative reward models."""
    frame = export_critique(measured_traces, critiques, reviewed_trace_labels, reviewed_step_labels)
    fates = count_critiques(measured_traces, critiques, reviewed_trace_labels, reviewed_step_labels)
    return dg.Output(
        frame,
        metadata=described(
            frame,
            sample=sample(chat_samples, frame),
            fates=dg.MetadataValue.json(dict(fates)),
        ),
    )
