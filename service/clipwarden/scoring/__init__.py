"""Turn image embeddings and a compiled policy into verdicts with their reasons; pure numpy, no I/O."""
