"""What is to be solved: domains, operators, potentials, closed forms, symmetries, points."""
