"""What `SpIN` is made of: estimators of its gradient, final energies, scales."""
