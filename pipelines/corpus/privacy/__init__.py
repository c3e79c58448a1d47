"""Sensitive spans: byte ranges of e-mail addresses, public IP addresses and phone numbers; edited in cleaning."""
