"""A camera that draws what it sees: handwritten digits on paper, boards and desks, with the truth beside each frame."""
