"""The assets: each a table, named like its contract, in files that follow the data.

Every body reads inputs, makes one call into the library, and describes the result.
"""

from assets.graph.checks import SHARD_CHECKS
from assets.graph.code import code_tasks, code_thoughts, executions
from assets.graph.curation import questions, rejected_by_difficulty, rejected_traces
from assets.graph.datasets import (
    advantages,
    critique,
    kto,
    orm,
    policy_value,
    preference,
    prm,
    prm_verified,
    processbench,
    raw_rollouts,
    rl,
    sft,
    sft_plain,
    step_preference,
)
from assets.graph.labels import critiques, label_tables, measured_traces
from assets.graph.publishing import fit_to_publish, published, uploaded
from assets.graph.review import (
    decision_tables,
    offered,
    review_queue,
    reviewed_tables,
    reviews,
)
from assets.graph.search import rubric_rewards, search_tables
from assets.graph.seeds import prefixes, seed_tables
from assets.graph.shards import accepted, shards
from assets.graph.traces import corrections, summaries, tags, traces
from assets.specs import described_assets
from assets.versions import versioned

SHARD_ASSETS = described_assets(
    versioned(
        [
            seed_tables,
            executions,
            code_tasks,
            code_thoughts,
            prefixes,
            search_tables,
            rubric_rewards,
            questions,
            rejected_by_difficulty,
            traces,
            rejected_traces,
            tags,
            measured_traces,
            critiques,
            label_tables,
            corrections,
            summaries,
            accepted,
        ]
    )
)
"""What is made shard by shard, in the order of the data."""

ASSETS = [
    *described_assets([shards]),
    *SHARD_ASSETS,
    *described_assets(
        [
            reviews,
            decision_tables,
            review_queue,
            offered,
            reviewed_tables,
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
            orm,
            processbench,
            raw_rollouts,
            published,
            uploaded,
        ]
    ),
]
"""Every asset, in the order of the data."""

CHECKS = [*SHARD_CHECKS, fit_to_publish]
"""Every asset check."""
