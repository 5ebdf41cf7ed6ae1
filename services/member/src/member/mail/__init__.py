"""Mails: their texts, and how they are sent."""
