"""Thought factors: the action space of reasoning."""
