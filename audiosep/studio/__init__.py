"""The studio: a local page to separate, listen, correct and save. It needs the extra ``studio``."""
