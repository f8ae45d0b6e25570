"""What stimulus sets are made of: the images below a folder, and the table about them."""
