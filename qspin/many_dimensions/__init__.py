"""What `SampledRitz` is made of: references, the ansatz, points, steps, densities."""
