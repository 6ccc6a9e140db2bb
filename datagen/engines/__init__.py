"""Language models that can be asked: one protocol, one file per engine."""
