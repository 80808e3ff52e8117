"""What is solved: elements, molecules, curves, and the files they come from."""
