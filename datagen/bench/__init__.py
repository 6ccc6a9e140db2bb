"""Benchmarks: how good labels are and what they cost, measured where the truth is known."""
