"""Prompts: strict templates, what each stage asks, and how its reply is read. Nothing here is sent."""
