"""How each job is asked of a model."""
