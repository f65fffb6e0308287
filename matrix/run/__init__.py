"""The asyncio shell that carries a plan out."""
