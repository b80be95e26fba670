"""From frame blocks to rows, the twin, and reading them back."""
