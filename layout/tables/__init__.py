"""Tables, by their rules or by columns of white."""
