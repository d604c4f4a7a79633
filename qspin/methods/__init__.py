"""The methods that solve a problem, one folder each, and `locate`, which all of them use."""
