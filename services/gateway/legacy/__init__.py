"""The API of the original app, for clients written against it. New clients use /v1."""
