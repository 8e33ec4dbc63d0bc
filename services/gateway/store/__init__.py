"""The gateway's tables, one module per kind of row. Every function takes the caller's connection; none commits."""
