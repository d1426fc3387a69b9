"""A module of an extension's own folder."""

LABEL = "Seeds apart"
