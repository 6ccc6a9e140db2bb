"""The embedded reasoner: a tiny real language model, its world and its oracle."""
