"""All test tiers: unit, integration, e2e, architecture, and the bench."""
