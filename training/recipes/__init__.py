"""One recipe per engine, under the same name."""
