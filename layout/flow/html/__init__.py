"""HTML pages as flows: the cascade of style sheets, and what nobody sees."""
