"""The member service: sign-up and verified addresses, with mails sent by background tasks."""
