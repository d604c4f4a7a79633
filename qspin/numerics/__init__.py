"""Numbers and no physics: precision, checks of arguments, Laplacians, linear algebra, quadrature, errors."""
