"""The assets: each a table, named like its contract, in files that follow the data.

Every body reads inputs, makes one call into the library, and describes the result.
"""

from assets.graph.code import code_tasks, code_thoughts, executions
from assets.graph.datasets import (
    advantages,
    critique,
    kto,
    policy_value,
    preference,
    prm,
    prm_verified,
    raw_rollouts,
    rl,
    sft,
    sft_plain,
    step_preference,
)
from assets.graph.labels import critiques, label_tables, measured_traces
from assets.graph.publishing import published
from assets.graph.search import rubric_rewards, search_tables
from assets.graph.seeds import prefixes, seed_tables
from assets.graph.traces import corrections, summaries, tags, traces

ASSETS = [
    seed_tables,
    executions,
    code_tasks,
    code_thoughts,
    prefixes,
    search_tables,
    rubric_rewards,
    traces,
    tags,
    measured_traces,
    critiques,
    label_tables,
    corrections,
    summaries,
    sft,
    sft_plain,
    prm,
    prm_verified,
    rl,
    policy_value,
    advantages,
    preference,
    step_preference,
    kto,
    critique,
    raw_rollouts,
    published,
]
"""Every asset, in the order of the data."""
