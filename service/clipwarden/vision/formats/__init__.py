"""Image files as bytes: formats told apart and measured within fixed budgets, before any decoder sees them."""
