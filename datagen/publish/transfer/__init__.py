"""Brings a finished folder to its target: a plan, and then all of it at once or nothing."""
