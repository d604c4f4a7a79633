"""Rayleigh–Ritz with sampled integrals, past three dimensions."""
