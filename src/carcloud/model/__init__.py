"""The shared vocabulary: identifiers, time, frame blocks, signals, the stream table."""
