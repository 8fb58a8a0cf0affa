"""Files without pages, as flows of paragraphs, lists, tables and pictures, and how these are set on pages."""
