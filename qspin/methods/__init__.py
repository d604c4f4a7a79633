"""How it is solved: one folder a method, and where the states of a problem live."""
