"""Runs of other codes as rows: readers of their files, and the numbers that follow from them."""
