"""Importers: other systems' recordings become bags."""
