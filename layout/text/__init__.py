"""Plain text and Markdown as pages."""
