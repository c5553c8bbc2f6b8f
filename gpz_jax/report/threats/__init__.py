"""The page and the picture of both threats to the same targets."""
