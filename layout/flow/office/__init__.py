"""What office files have in common: elements, colours, number formats, equations, charts."""
