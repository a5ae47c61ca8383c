"""What exists and how it is stored: events, schema, writer, reads, retention and the embedded engine."""
