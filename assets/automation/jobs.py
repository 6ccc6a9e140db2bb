"""The jobs: what is made together, in one run."""

from typing import Final

import dagster as dg

from assets.graph import SHARD_ASSETS, accepted, reviews, shards

_OF_DATASETS: Final = {"datagen/writes": "datasets"}
"""Tag of runs that write the datasets; ``dagster.yaml`` lets only one of them run at a time."""

DEPENDS_ON_REVIEWS: Final = dg.AssetSelection.assets(reviews).downstream()
"""Reviews and what is made of them; nothing of it asks a language model."""

take_in_seeds = dg.define_asset_job(
    "take_in_seeds",
    selection=[shards],
    description="Takes in the seeds that have arrived, as new shards.",
)

make_shard = dg.define_asset_job(
    "make_shard",
    selection=dg.AssetSelection.assets(*SHARD_ASSETS),
    description="Makes a shard, from its seeds to its labels; accepts it if every check passes.",
)

take_reviews = dg.define_asset_job(
    "take_reviews",
    selection=DEPENDS_ON_REVIEWS,
    tags=_OF_DATASETS,
    description="Pulls reviews, decides, and makes labels, datasets and the queue anew.",
)

publish_all = dg.define_asset_job(
    "publish_all",
    selection=dg.AssetSelection.assets(accepted).downstream(include_self=False),
    tags=_OF_DATASETS,
    description="Makes the datasets of all accepted shards, publishes them, and asks people.",
)
