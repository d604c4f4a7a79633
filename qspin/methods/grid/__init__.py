"""Diagonalisation on grids, in one to three dimensions."""
