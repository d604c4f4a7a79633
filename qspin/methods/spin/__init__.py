"""Spectral Inference Networks: networks trained from samples, for any symmetric operator."""
