"""The formats of docs/format.md and docs/values.md, written from those pages alone."""
