"""Models: what one says of itself, and where they are found."""
