"""What is answered: energies with errors, eigenfunctions, comparisons, tables, files."""
