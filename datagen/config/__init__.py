"""Every setting of the pipeline, with its default, unit and help, in one typed tree.

A ``datagen.toml`` holds the same names in the same sections. An unknown name is an error, since a
misspelt setting that is silently ignored costs a night of GPU time.
"""

from datagen.config.checks import CheckSettings
from datagen.config.curation import CurationSettings
from datagen.config.datasets import ExportSettings, PublishSettings
from datagen.config.labels import CorrectionSettings, FactorSettings, LabelSettings, SummarySettings
from datagen.config.models import EngineSettings, RaySettings
from datagen.config.review import ReviewSettings
from datagen.config.search import SearchSettings
from datagen.config.section import AUTO, BUNDLED, EMBEDDED, NONE
from datagen.config.settings import Settings, load_settings
from datagen.config.sources import CodeSettings, PrefixSettings, SandboxSettings, SeedSettings

__all__ = [
    "AUTO",
    "BUNDLED",
    "EMBEDDED",
    "NONE",
    "CheckSettings",
    "CodeSettings",
    "CorrectionSettings",
    "CurationSettings",
    "EngineSettings",
    "ExportSettings",
    "FactorSettings",
    "LabelSettings",
    "PrefixSettings",
    "PublishSettings",
    "RaySettings",
    "ReviewSettings",
    "SandboxSettings",
    "SearchSettings",
    "SeedSettings",
    "Settings",
    "SummarySettings",
    "load_settings",
]
