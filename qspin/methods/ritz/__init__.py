"""Rayleigh–Ritz over neural features, in one to three dimensions."""
