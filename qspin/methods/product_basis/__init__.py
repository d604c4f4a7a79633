"""Products of oscillator functions, for polynomial potentials."""
