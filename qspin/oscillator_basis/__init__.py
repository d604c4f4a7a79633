"""What `ProductBasis` is made of: V as a polynomial, oscillator functions, their matrices."""
