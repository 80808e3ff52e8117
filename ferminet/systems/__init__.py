"""Elements, molecules, curves, and the files that describe them."""
