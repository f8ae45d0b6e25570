"""`.beton` files: writing, verifying and reading them."""
