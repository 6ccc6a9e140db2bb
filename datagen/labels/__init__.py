"""Labels of steps, from the outcomes of rollouts."""
