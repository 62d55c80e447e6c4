"""Whom a text is about: reviewed word lists and the matcher that reads them."""
