"""Where the states of a problem live, how far they reach, and what V does that smooth functions do not expect."""
