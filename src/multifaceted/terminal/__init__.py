"""What people see on a terminal: messages, tables, the progress of long work, streams that may fail."""
