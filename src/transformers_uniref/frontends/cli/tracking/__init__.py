"""What `uniref track` is made of."""
