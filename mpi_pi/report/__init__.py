"""All that is made for people's eyes."""
