"""One page: what is seen of it, OCR, columns, regions, captions, figures."""
