"""House rules as tests: what a reader may rely on anywhere in the tree."""
