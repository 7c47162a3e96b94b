"""What results say: read back, explained, compared. Everything here works on result.json."""
