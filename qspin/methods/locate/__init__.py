"""From V alone: where the states of a problem are, how far they reach, and where V is not smooth."""
