"""Whom a text is about, and whether it says enough: reviewed word lists and the matcher that reads them."""
