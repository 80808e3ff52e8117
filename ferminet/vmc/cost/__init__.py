"""Cost of a run, predicted before it starts."""
