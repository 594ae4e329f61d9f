"""Calculators of ASE as sources, and sources as calculators of ASE."""
