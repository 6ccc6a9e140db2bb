"""The card of a dataset: what stands on it, counted from the data, and its pictures."""

from datagen.publish.card.text import CARD, DEFAULT_TITLE, MARK, card

__all__ = ["CARD", "DEFAULT_TITLE", "MARK", "card"]
