"""Figures, drawn from rows."""
