"""How it is measured: conditions, accuracy, failures, and the records that hold it."""
