"""What a single value may be: names, numbers within bounds, patterns with placeholders, transforms written as text."""
