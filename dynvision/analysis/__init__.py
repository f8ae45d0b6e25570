"""Analysis: measures of responses, and the pictures of them."""
