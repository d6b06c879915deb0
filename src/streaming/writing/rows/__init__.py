"""What people hand over, as rows: tables, Hugging Face datasets, images, and the encodings that fit."""
