"""Fast tests without network; mirrors the folders of the project."""
