"""What the programs of an iteration are for a GPU, compiled on a machine without one."""
