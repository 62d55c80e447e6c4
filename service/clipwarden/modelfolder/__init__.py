"""Model folders: what they hold, how they are verified and named, and the encoders that run them."""
