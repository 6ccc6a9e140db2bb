"""The review tool Argilla; the SDK is imported in one module, ``connection``."""
