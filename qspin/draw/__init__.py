"""Pictures, films and pages of a spectrum."""
