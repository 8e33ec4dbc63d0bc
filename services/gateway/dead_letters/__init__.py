"""Dead letters for operators: list them, inspect one, replay one."""
