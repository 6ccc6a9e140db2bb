"""More than one machine: the stages that need an engine, cut into shards of seeds, over Ray."""

from datagen.cluster.run import run_stage
from datagen.cluster.stages import STAGES, Snapshot, StageName

__all__ = ["STAGES", "Snapshot", "StageName", "run_stage"]
