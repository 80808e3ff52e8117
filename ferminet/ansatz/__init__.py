"""Wavefunctions: pure functions of one walker, built by `build(spec, **options)`."""
