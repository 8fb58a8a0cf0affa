"""PDF files with known truth, readers to compare on them, and scores."""
