"""What lies at a place: files, tables of Delta and Iceberg, datasets of the Hugging Face Hub."""
