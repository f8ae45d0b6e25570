"""Pages to look at: a summary as one HTML file that is read offline, and the index of all of them."""
