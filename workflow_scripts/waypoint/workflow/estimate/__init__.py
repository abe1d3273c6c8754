"""What an experiment will cost: seconds, memory and storage."""
