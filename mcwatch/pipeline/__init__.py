"""The stages between the adapters: pages into the store, events out of it. The halves meet only in the store."""
