"""What every door of the gateway shares: errors, refusals, pages outside the console, headers, schemas."""
