"""What services need from engines: small protocols and their errors."""
