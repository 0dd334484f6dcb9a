"""Front ends: from what the user names to a TestCase."""
