"""Chat clients: one small protocol, `await client.ask(request) -> str` (the raw body of the reply).

Import from the modules: `live` brings the `openai` SDK, whose import takes half a second.
"""
