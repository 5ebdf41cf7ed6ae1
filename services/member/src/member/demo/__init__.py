"""The whole service at work, from sign-up to verified address: ``python -m member.demo``."""
