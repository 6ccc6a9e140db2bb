"""Guides: models that judge a state, for a search to ask. PyTorch is imported only to load one."""

from datagen.guides.guide import Guide, load_guide

__all__ = ["Guide", "load_guide"]
