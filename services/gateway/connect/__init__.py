"""From the wish to connect an account to the connection that was made."""
