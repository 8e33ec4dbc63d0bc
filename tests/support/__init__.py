"""Share what all suites need: waiting, chance, ports, servers, the running product, a client."""
