"""What `Grid` is made of: axes, meshes, matrices on them, their lowest eigenpairs."""
