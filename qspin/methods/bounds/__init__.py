"""Guaranteed intervals for the levels of a Hamiltonian: `Spectrum.bounds`."""
