"""What README.md, CONTRIBUTING.md and the pages of docs/ say is held to what the code does."""
