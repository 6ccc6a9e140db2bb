"""Steps and traces: the model, its markup, splitting a thought into steps, truncating it."""
