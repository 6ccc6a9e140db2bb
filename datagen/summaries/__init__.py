"""Summaries: what a reader may be shown of a hidden thought, between the thought and the answer."""

from datagen.summaries.run import Summarised, SummaryConfig, Writer, summarise_traces

__all__ = ["Summarised", "SummaryConfig", "Writer", "summarise_traces"]
