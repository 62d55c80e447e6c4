"""The recipe of clipwarden-mini: drawings and their names in, a verified model folder out."""
