"""What a file says of its colours in, a conversion to sRGB out."""
