"""Resolve any energy of atoms into body orders, exactly and fast, and show what they say."""
