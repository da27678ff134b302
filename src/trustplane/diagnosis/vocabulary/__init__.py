"""What the innermost layer can say, by who says it, and the causes that fit."""
