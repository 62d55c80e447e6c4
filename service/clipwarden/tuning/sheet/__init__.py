"""A sample of pictures in; one HTML page on which people label them, without a network, out."""
