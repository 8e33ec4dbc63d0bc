"""Dead letters for operators: list them, look into one, put one back."""
