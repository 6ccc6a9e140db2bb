"""What follows from what people said: decisions, labels, and how good both are."""
