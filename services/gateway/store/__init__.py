"""The gateway's tables, one module per kind of row. Every function takes the caller's connection; none commits."""

READ_MODEL = "read model"
"""The lock of transactions that change what is read from the topics: each sees all that the ones before it wrote."""
