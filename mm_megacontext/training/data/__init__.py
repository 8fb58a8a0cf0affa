"""What models are trained on: facts, pages, scenes, and the cuts of trees that are made of them."""
