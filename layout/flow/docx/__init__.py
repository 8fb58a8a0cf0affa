"""Word documents as flows."""
