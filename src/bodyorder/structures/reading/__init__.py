"""Readers of files that say more than ASE's readers keep: charges, bonds, residues, disorder."""
