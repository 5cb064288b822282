"""What is shown: figures, tables, the notebook runner and the page."""
