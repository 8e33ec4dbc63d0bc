"""What all suites share: waiting, chance, ports, servers, and the running product with its client."""
