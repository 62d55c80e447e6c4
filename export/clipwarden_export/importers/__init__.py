"""Published classifiers become policies with what they learned: vectors, heads, adjustments."""
