"""Where records come from: files and Kafka topics."""
