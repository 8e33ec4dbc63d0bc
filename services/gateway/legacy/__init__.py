"""The API of the original app, for clients written against it. New ones use /v1."""
