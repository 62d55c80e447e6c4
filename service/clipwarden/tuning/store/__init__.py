"""Stores: pictures as a model sees them, kept, so that policies are chosen and tried without encoding anything again.

A store is a folder of Parquet parts. `images/` has a row an upload, `embeddings/` a row a distinct picture;
`store.json` says what the uploads are and what saw the pictures. `docs/store.md` describes every column.
"""
