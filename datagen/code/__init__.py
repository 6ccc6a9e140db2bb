"""Code into hidden chains of thought, with every intermediate value checked by execution."""
