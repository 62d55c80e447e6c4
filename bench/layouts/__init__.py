"""Drawings laid out as uploads are; what the embedded model finds and wrongly stops under each view plan, out."""
