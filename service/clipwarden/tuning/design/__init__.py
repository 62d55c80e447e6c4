"""How labels were drawn: samples with known chances, groups of near-duplicates, and rates whose intervals hold."""
