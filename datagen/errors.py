"""Every error that a user can meet, drawn in one place.

::

    DatagenError
    ├── ConfigError      a setting is unknown, of the wrong type or out of range
    ├── SeedError        a seed source has no usable row, or cannot be read at all
    ├── MarkupError      a trace's thought-factor markup does not parse
    ├── EngineError      a model or server is broken (a bad completion is data, not an error)
    ├── JournalError     the journal file is damaged or belongs to something else
    ├── CheckError       a shard fails a check that it must pass
    ├── PublishError     a dataset cannot be published as asked
    └── ReviewError      the review tool cannot be installed, started or reached, or refuses

A table that does not match its contract raises ``schemas.ContractError``, which stands beside this
tree, because the contracts import nothing of ours.

Each message names the value and says what to do about it.
"""


class DatagenError(Exception):
    """Base of all errors that this project raises on purpose."""


class ConfigError(DatagenError):
    """A setting is unknown, of the wrong type or out of range."""


class SeedError(DatagenError):
    """A seed source cannot be read, or holds no usable row."""


class MarkupError(DatagenError):
    """Thought-factor markup that does not parse."""


class EngineError(DatagenError):
    """A model or server is broken; names the endpoint or model and the fix."""


class JournalError(DatagenError):
    """The journal file is damaged or not a journal."""


class CheckError(DatagenError):
    """A shard fails a check that it must pass; names the check and the limit."""


class PublishError(DatagenError):
    """A dataset cannot be published as asked."""


class ReviewError(DatagenError):
    """The review tool cannot be installed, started or reached, or refuses what it is given."""
