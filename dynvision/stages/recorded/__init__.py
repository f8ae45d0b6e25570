"""What the responses stage does with recorded responses: their records, films, images, results and checks."""
