"""`ferminet COMMAND`: one file for each group of commands."""
