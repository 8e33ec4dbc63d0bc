"""Who may call which route, and whose data they see."""
