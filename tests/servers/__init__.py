"""Real servers on private ports for the tests; the bench and the e2e tier use them."""
