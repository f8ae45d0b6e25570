"""Images: where they come from, how they are kept, and how they are shown over time."""
