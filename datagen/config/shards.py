"""Settings of what happens every night: what is watched, how it is cut, and when it is made."""

from pydantic import Field, field_validator

from datagen.config.section import Section


class ShardSettings(Section):
    """Seeds that arrive from time to time, and the schedule by which they are made into data."""

    seeds: tuple[str, ...] = Field(
        default=(), description="Files, folders, Hub names to watch for seeds"
    )
    code: tuple[str, ...] = Field(
        default=(), description="Files, folders, Hub names to watch for code seeds"
    )
    max_rows: int = Field(default=500, ge=1, description="Rows of a shard, at most")
    settle_s: float = Field(
        default=10.0, ge=0, description="Seconds for which a new file must lie still"
    )
    cron: str = Field(default="0 2 * * *", description="When stale shards are made anew")
    timezone: str = Field(default="UTC", description="Of that schedule")
    interval_s: int = Field(
        default=60, ge=1, description="Seconds between two looks of the sensors, at least"
    )
    retry_s: float = Field(
        default=30.0,
        gt=0,
        description="Seconds until a stage whose engine or server is down is tried again; then 3, "
        "7 times that",
    )
    isolate_steps: bool = Field(
        default=False,
        description="Each asset in a process of its own: survives a kill, opens the engine anew",
    )

    @field_validator("seeds", "code", mode="before")
    @classmethod
    def _one_is_a_list(cls, value: object) -> object:
        return (value,) if isinstance(value, str) else value
