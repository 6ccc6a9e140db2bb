"""Searches as ask/tell generators, the scheduler that drives them, and the journal."""
